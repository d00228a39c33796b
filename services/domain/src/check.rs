//! Whether a config may be saved, as far as its text and its two vaults tell.

use proto_msgs::{
    ConfigId, ConfigSpec, ItemType, RequestCode, Rule, VaultRef,
    error::Refusal,
    vault::{Side, VaultIdentity, uri_key},
};

use crate::rule::{Matcher, NameGlob};

/// Longest name of a config, in characters.
const NAME_MAX: usize = 80;
/// A config must fit in one message with room to spare: 127 bytes a name.
const MANUAL_NAMES_MAX: usize = 5_000;
/// More excludes than this want to be a rule.
const EXCLUDES_MAX: usize = 100;
/// Longest glob or tag: the longest tag Key Vault takes, name and value.
const PATTERN_MAX: usize = 1_025;

/// Everything that is wrong with a spec, one sentence each with its fix; empty: nothing.
pub fn check_spec(spec: &ConfigSpec) -> Vec<String> {
    let mut problems = Vec::new();
    let name = spec.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || !name.chars().all(is_printable) {
        problems.push(format!("name: give 1 to {NAME_MAX} printable characters"));
    }
    if name != spec.name {
        problems.push("name: take the blanks at its ends away".to_owned());
    }
    // Paths of the API have names in them, where these two mean something else.
    if matches!(name, "." | "..") {
        problems.push("name: give one that is not made of dots alone".to_owned());
    }
    // Wherever a config is named its id may stand as well, and comes first.
    if name.parse::<ConfigId>().is_ok() {
        problems.push("name: give one that does not look like an id".to_owned());
    }
    if spec.item_types.is_empty() {
        problems.push("item_types: choose at least one of secrets, certificates, keys".to_owned());
    }
    if spec.exclude.len() > EXCLUDES_MAX {
        problems.push(format!("exclude: at most {EXCLUDES_MAX} globs; say it in the rule"));
    }
    check_rule(spec, &mut problems);
    for (side, vault) in [(Side::Source, &spec.source), (Side::Target, &spec.target)] {
        check_vault(side, vault, &mut problems);
    }
    if let (VaultRef::Discovered(source), VaultRef::Discovered(target)) = (&spec.source, &spec.target)
        && source.vault.eq_ignore_ascii_case(&target.vault)
    {
        problems.push("target: must be another vault than the source".to_owned());
    }
    problems
}

/// Neither a control character nor one that is not seen, or turns what is around it: a name must be what it looks like.
fn is_printable(letter: char) -> bool {
    let is_hidden = matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !letter.is_control() && !is_hidden
}

/// Whether two vaults can be the pair of a config.
pub fn check_pair(spec: &ConfigSpec, source: &VaultIdentity, target: &VaultIdentity) -> Result<(), Refusal> {
    let refusal = |detail: String, fix: &str| Err(Refusal::new(RequestCode::NotValidated, detail, fix));
    if uri_key(&source.uri) == uri_key(&target.uri) {
        return refusal(format!("source and target are the same vault, {}", source.name), "choose another target");
    }
    if !source.tenant.eq_ignore_ascii_case(&target.tenant) {
        return refusal(
            format!("{} is in tenant {}, {} in {}", source.name, source.tenant, target.name, target.tenant),
            "choose two vaults of one tenant",
        );
    }
    if spec.item_types.contains(&ItemType::Keys) {
        for (side, vault) in [(Side::Source, source), (Side::Target, target)] {
            // Discovery takes the region from Azure; only by hand can it be misspelt.
            if let (false, None, Some(region)) = (vault.verified, &vault.geography, &vault.region) {
                let side = side.as_str();
                return refusal(
                    format!("{side}.region: the geography of `{region}` is not known, and a key never leaves its own"),
                    "correct the region, or take keys out of item_types",
                );
            }
        }
    }
    Ok(())
}

/// Whether another vault has the place of the one that a config was made for.
pub fn is_replaced(before: &VaultIdentity, now: &VaultIdentity) -> bool {
    let ids = before.resource_id.as_deref().zip(now.resource_id.as_deref());
    ids.map_or_else(|| uri_key(&before.uri) != uri_key(&now.uri), |(before, now)| !before.eq_ignore_ascii_case(now))
}

/// What is said of a config that is stopped for that.
pub fn replaced(side: Side) -> String {
    format!("another vault has the name of the {} now: make a new config for it", side.as_str())
}

fn check_rule(spec: &ConfigSpec, problems: &mut Vec<String>) {
    let pattern = match &spec.rule {
        Rule::Tagged { tag } => Some(tag),
        Rule::Pattern { glob } => Some(glob),
        Rule::All {} | Rule::Manual { .. } => None,
    };
    let labelled = spec.exclude.iter().map(|glob| ("exclude", glob)).chain(pattern.map(|pattern| ("rule", pattern)));
    let too_long: Vec<_> = labelled.filter(|(_, pattern)| pattern.len() > PATTERN_MAX).collect();
    if !too_long.is_empty() {
        let say = |(label, _)| format!("{label}: a glob or tag may have at most {PATTERN_MAX} bytes");
        problems.extend(too_long.into_iter().map(say));
        return;
    }
    for (label, glob) in globs(spec) {
        if let Some(part) = NameGlob::new(glob).ok().as_ref().and_then(NameGlob::impossible_part) {
            problems.push(format!(
                "{label}: no name matches {glob:?}, since names are made of letters, digits and hyphens; correct `{part}`"
            ));
        }
    }
    for glob in &spec.exclude {
        if let Err(error) = NameGlob::new(glob) {
            problems.push(format!("exclude: {error}"));
        }
    }
    if let Err(error) = Matcher::new(&ConfigSpec { exclude: Vec::new(), ..spec.clone() }) {
        problems.push(format!("rule: {error}"));
    }
    if let Rule::Manual { names } = &spec.rule {
        if names.is_empty() {
            problems.push("rule: name at least one item".to_owned());
        }
        if names.len() > MANUAL_NAMES_MAX {
            problems.push(format!("rule: at most {MANUAL_NAMES_MAX} names; use a tag or a glob"));
        }
    }
}

/// Every glob of a spec, with the field that it stands in.
fn globs(spec: &ConfigSpec) -> impl Iterator<Item = (&'static str, &String)> {
    let rule = match &spec.rule {
        Rule::Pattern { glob } => Some(glob),
        Rule::All {} | Rule::Tagged { .. } | Rule::Manual { .. } => None,
    };
    spec.exclude.iter().map(|glob| ("exclude", glob)).chain(rule.map(|glob| ("rule", glob)))
}

fn check_vault(side: Side, vault: &VaultRef, problems: &mut Vec<String>) {
    let side = side.as_str();
    match vault {
        VaultRef::Discovered(reference) => {
            let name = &reference.vault;
            let valid = (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !valid {
                problems.push(format!("{side}.vault: a vault's name has 3 to 24 characters of 0-9, a-z and -"));
            }
        }
        VaultRef::ByHand(reference) => {
            let host = reference.uri.trim_end_matches('/').strip_prefix("https://");
            let valid = host.is_some_and(|host| {
                !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'))
            });
            if !valid {
                problems.push(format!("{side}.uri: write https://NAME.vault.azure.net, without a path"));
            }
            if !is_guid(&reference.subscription) {
                problems.push(format!("{side}.subscription: give the subscription's id, a GUID"));
            }
            if reference.region.is_empty() || !reference.region.bytes().all(|b| b.is_ascii_alphanumeric()) {
                problems.push(format!("{side}.region: give the region's short name, such as westeurope"));
            }
        }
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(
            |(i, b)| {
                if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() }
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{spec, vault};

    #[test]
    fn a_good_spec_has_no_problems() {
        assert_eq!(check_spec(&spec(Rule::All {})), Vec::<String>::new());
    }

    #[test]
    fn each_problem_is_named_by_its_field() {
        let mut bad = spec(Rule::Manual { names: Default::default() });
        bad.name = " ".to_owned();
        bad.item_types.clear();
        bad.exclude = vec!["[".to_owned()];
        bad.target = bad.source.clone();
        let problems = check_spec(&bad);
        for field in ["name:", "item_types:", "rule:", "exclude:", "target:"] {
            assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field} in {problems:?}");
        }
        bad.exclude = vec!["x".repeat(PATTERN_MAX + 1)];
        for name in ["..", "00000000-0000-4000-8000-000000000001", "a\u{202e}b", "\u{200b}", "a\tb"] {
            bad.name = name.to_owned();
            let problems = check_spec(&bad);
            for field in ["name:", "exclude: a glob"] {
                assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field} in {problems:?}");
            }
        }
    }

    #[test]
    fn a_glob_that_no_name_can_match_is_refused_where_it_stands() {
        let mut bad = spec(Rule::Pattern { glob: "{a,b}-*".to_owned() });
        bad.exclude = vec!["prod-*".to_owned(), "prod_*".to_owned()];
        let problems = check_spec(&bad);
        let named =
            |field: &str, part: &str| problems.iter().any(|said| said.starts_with(field) && said.contains(part));
        assert!(
            problems.len() == 2 && named("exclude:", "correct `_`") && named("rule:", "correct `{`"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_vault_by_hand_is_checked_for_form() {
        let by_hand = |uri: &str, subscription: &str, region: &str| {
            let mut spec = spec(Rule::All {});
            spec.source = VaultRef::ByHand(proto_msgs::config::VaultByHand {
                uri: uri.into(),
                subscription: subscription.into(),
                region: region.into(),
            });
            check_spec(&spec).len()
        };
        let guid = "00000000-0000-4000-8000-000000000001";
        assert_eq!(by_hand("https://a.vault.azure.net/", guid, "westeurope"), 0);
        assert_eq!(by_hand("http://a.vault.azure.net", "x", "west europe"), 3);
        assert_eq!(by_hand("https://a.vault.azure.net/secrets/x", guid, "westeurope"), 1);
    }

    #[test]
    fn a_pair_must_differ_and_share_the_tenant() {
        let (spec, a, b) = (spec(Rule::All {}), vault("a"), vault("b"));
        assert_eq!(check_pair(&spec, &a, &b), Ok(()));
        assert!(check_pair(&spec, &a, &a).is_err());
        let elsewhere = VaultIdentity { tenant: "other".to_owned(), ..b };
        assert!(check_pair(&spec, &a, &elsewhere).is_err());
    }

    #[test]
    fn a_region_that_nobody_knows_is_refused_by_hand_where_keys_are_to_be_carried() {
        let mut spec = spec(Rule::All {});
        let by_hand =
            VaultIdentity { verified: false, region: Some("atlantis".to_owned()), geography: None, ..vault("a") };
        spec.item_types = [ItemType::Secrets, ItemType::Keys].into();
        let refusal = check_pair(&spec, &vault("b"), &by_hand).unwrap_err();
        assert!(refusal.detail.contains("target.region") && refusal.detail.contains("atlantis"), "{refusal}");
        let discovered = VaultIdentity { verified: true, ..by_hand.clone() };
        assert_eq!(check_pair(&spec, &vault("b"), &discovered), Ok(()));
        spec.item_types = [ItemType::Secrets, ItemType::Certificates].into();
        assert_eq!(check_pair(&spec, &vault("b"), &by_hand), Ok(()));
    }
}
