//! What an estate must hold beyond its shape, each refusal with the place and the fix.

use std::collections::BTreeSet;

use super::{CertificateSpec, Count, Estate, EstateError, KeySpec, Moment, SecretSpec, Sku, VaultSpec};
use crate::{
    actions,
    auth::assertion::ClientCertificate,
    crypto, keyspec,
    operation::Category,
    regions::Region,
    roles::Role,
    state::{
        rotation::Rotation,
        validate::{self, MAX_SECRET_BYTES},
    },
};

/// Azure's bounds on the days a deleted item is kept.
const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 7..=90;
/// Most versions one entry may ask for; backups fail beyond 500, and tests want to go there.
const MAX_VERSIONS: u32 = 1_000;
/// Most versions of all items of one entry: each is held in memory.
const MAX_ENTRY_VERSIONS: u64 = 1_000_000;
/// Longest chain; certificates in the wild have one or two intermediates.
const MAX_CHAIN: u32 = 5;

pub(super) fn check(estate: &Estate) -> Result<(), EstateError> {
    guid("tenant", &estate.tenant)?;
    let identities = unique("identities", estate.identities.iter().map(|identity| identity.name.as_str()))?;
    unique("identities (client_id)", estate.identities.iter().map(|identity| identity.client_id.as_str()))?;
    for identity in &estate.identities {
        let place = format!("identity {}", identity.name);
        guid(&place, &identity.client_id)?;
        if let Some(pem) = &identity.client_certificate {
            ClientCertificate::from_pem(pem).map_err(|text| invalid(place, format!("client_certificate {text}")))?;
        }
    }
    unique("custom_roles", estate.custom_roles.iter().map(|role| role.name.as_str()))?;
    for role in &estate.custom_roles {
        let mut patterns = role.data_actions.iter().chain(&role.not_data_actions);
        if let Some(pattern) = patterns.find(|pattern| !actions::is_known(pattern)) {
            return Err(invalid(format!("custom role {}", role.name), format!("no data action is called `{pattern}`")));
        }
    }
    unique("subscriptions", estate.subscriptions.iter().map(|subscription| subscription.id.as_str()))?;
    unique("vaults", estate.vaults().map(|(_, vault)| vault.name.as_str()))?;
    for subscription in &estate.subscriptions {
        guid(&format!("subscription {}", subscription.name), &subscription.id)?;
    }
    for (_, vault) in estate.vaults() {
        check_vault(estate, vault, &identities)?;
    }
    match estate.unlisted_regions.iter().find(|region| Region::find(region).is_none()) {
        Some(region) => Err(invalid("unlisted_regions", format!("`{region}` is not a region of Azure"))),
        None => Ok(()),
    }
}

fn check_vault(estate: &Estate, vault: &VaultSpec, identities: &BTreeSet<String>) -> Result<(), EstateError> {
    let place = format!("vault {}", vault.name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !(3..=24).contains(&vault.name.len()) || !vault.name.bytes().all(fits) {
        return Err(invalid(place, "a vault's name has 3 to 24 letters, digits and hyphens"));
    }
    if Region::find(&vault.region).is_none() {
        return Err(invalid(place, format!("`{}` is not a region of Azure; try westeurope", vault.region)));
    }
    if !RETENTION_DAYS.contains(&vault.soft_delete_retention_days) {
        return Err(invalid(place, "soft_delete_retention_days must be 7 to 90"));
    }
    let known = |identity: &str| identities.contains(&identity.to_ascii_lowercase());
    for assignment in &vault.roles {
        if !known(&assignment.identity) {
            return Err(invalid(place, format!("identity `{}` is not declared under identities", assignment.identity)));
        }
        if Role::find(&assignment.role, &estate.custom_roles).is_none() {
            let names = Role::built_in_names();
            return Err(invalid(
                place,
                format!("role `{}` is neither in custom_roles nor one of: {names}", assignment.role),
            ));
        }
    }
    for policy in &vault.access_policies {
        if !known(&policy.identity) {
            return Err(invalid(place, format!("identity `{}` is not declared under identities", policy.identity)));
        }
        for category in [Category::Secrets, Category::Keys, Category::Certificates] {
            check_permissions(&place, category, policy.permissions(category))?;
        }
    }
    check_items(&place, vault)
}

fn check_permissions(place: &str, category: Category, named: &[String]) -> Result<(), EstateError> {
    let known: &[&str] = match category {
        Category::Secrets => &["all", "get", "list", "set", "delete", "backup", "restore", "recover", "purge"],
        Category::Keys => &[
            "all",
            "get",
            "list",
            "create",
            "delete",
            "update",
            "import",
            "backup",
            "restore",
            "recover",
            "purge",
            "sign",
            "verify",
            "encrypt",
            "decrypt",
            "wrapkey",
            "unwrapkey",
            "release",
            "rotate",
            "getrotationpolicy",
            "setrotationpolicy",
        ],
        Category::Certificates => &[
            "all",
            "get",
            "list",
            "create",
            "import",
            "update",
            "delete",
            "backup",
            "restore",
            "recover",
            "purge",
            "managecontacts",
            "getissuers",
            "listissuers",
            "setissuers",
            "deleteissuers",
            "manageissuers",
        ],
    };
    match named.iter().find(|name| !known.contains(&name.to_ascii_lowercase().as_str())) {
        Some(name) => {
            let (word, known) = (category.word(), known.join(", "));
            Err(invalid(place.to_owned(), format!("`{name}` is not a permission for {word}; there are: {known}")))
        }
        None => Ok(()),
    }
}

fn check_items(place: &str, vault: &VaultSpec) -> Result<(), EstateError> {
    let items = &vault.items;
    for secret in &items.secrets {
        check_secret(&format!("{place}, secret {}", secret.name), secret)?;
    }
    for certificate in &items.certificates {
        check_certificate(&format!("{place}, certificate {}", certificate.name), certificate, vault.sku)?;
    }
    for key in &items.keys {
        check_key(&format!("{place}, key {}", key.name), key, vault.sku)?;
    }
    let names = |kind: &str, entries: Vec<(&str, Option<Count>)>| {
        let expanded: Vec<String> = entries.into_iter().flat_map(|(name, count)| expand(name, count)).collect();
        unique(&format!("{place}, {kind}"), expanded.iter().map(String::as_str))
    };
    let certificates =
        names("certificates", items.certificates.iter().map(|item| (item.name.as_str(), item.count)).collect())?;
    let secrets = names("secrets", items.secrets.iter().map(|item| (item.name.as_str(), item.count)).collect())?;
    let keys = names("keys", items.keys.iter().map(|item| (item.name.as_str(), item.count)).collect())?;
    match secrets.union(&keys).find(|name| certificates.contains(*name)) {
        Some(name) => {
            Err(invalid(place.to_owned(), format!("`{name}` is a certificate, whose secret and key come with it")))
        }
        None => Ok(()),
    }
}

fn check_secret(place: &str, secret: &SecretSpec) -> Result<(), EstateError> {
    check_common(place, &secret.name, secret.count, secret.versions)?;
    if secret.value.as_ref().is_some_and(|value| value.len() > MAX_SECRET_BYTES) {
        return Err(invalid(place, format!("the value is longer than {MAX_SECRET_BYTES} bytes")));
    }
    validate::content_type(secret.content_type.as_deref()).map_err(|error| invalid(place, error.message))?;
    validate::tags(Some(&secret.tags)).map_err(|error| invalid(place, error.message))?;
    check_moments(place, [&secret.not_before, &secret.expires])
}

fn check_certificate(place: &str, certificate: &CertificateSpec, sku: Sku) -> Result<(), EstateError> {
    check_common(place, &certificate.name, certificate.count, certificate.versions)?;
    validate::tags(Some(&certificate.tags)).map_err(|error| invalid(place, error.message))?;
    if certificate.chain > MAX_CHAIN {
        return Err(invalid(place, format!("a chain has at most {MAX_CHAIN} intermediates")));
    }
    check_kind(place, &certificate.kind, certificate.size, certificate.curve.as_deref(), sku)?;
    check_moments(place, [&certificate.not_before, &certificate.expires])
}

fn check_key(place: &str, key: &KeySpec, sku: Sku) -> Result<(), EstateError> {
    check_common(place, &key.name, key.count, key.versions)?;
    validate::tags(Some(&key.tags)).map_err(|error| invalid(place, error.message))?;
    check_kind(place, &key.kind, key.size, key.curve.as_deref(), sku)?;
    if let Some(after) = &key.rotate_after {
        Rotation::after(after, 0).map_err(|error| invalid(place, error.message))?;
    }
    check_moments(place, [&key.not_before, &key.expires])
}

fn check_kind(place: &str, kty: &str, size: Option<u32>, curve: Option<&str>, sku: Sku) -> Result<(), EstateError> {
    let shape = keyspec::parse(kty, size, curve).map_err(|error| invalid(place, error.message))?;
    match shape.spec {
        crypto::KeySpec::Rsa { .. } if curve.is_some() => return Err(invalid(place, "a curve is for keys of type EC")),
        crypto::KeySpec::Ec { .. } if size.is_some() => return Err(invalid(place, "a size is for keys of type RSA")),
        crypto::KeySpec::Rsa { .. } | crypto::KeySpec::Ec { .. } => {}
    }
    if shape.hsm && sku != Sku::Premium {
        return Err(invalid(place, "keys in an HSM need `sku: premium`"));
    }
    Ok(())
}

fn check_common(place: &str, name: &str, count: Option<Count>, versions: u32) -> Result<(), EstateError> {
    if count.is_some() != name.contains("{n}") {
        return Err(invalid(place, "`count` and `{n}` in the name go together"));
    }
    if !(1..=MAX_VERSIONS).contains(&versions) {
        return Err(invalid(place, format!("versions is 1 to {MAX_VERSIONS}")));
    }
    let count = count.map_or(1, Count::get);
    if u64::from(count) * u64::from(versions) > MAX_ENTRY_VERSIONS {
        return Err(invalid(place, format!("count times versions is at most {MAX_ENTRY_VERSIONS}")));
    }
    // The last name is the longest.
    validate::name(&name.replace("{n}", &count.to_string())).map_err(|error| invalid(place, error.message))
}

fn check_moments(place: &str, moments: [&Option<Moment>; 2]) -> Result<(), EstateError> {
    match moments.into_iter().flatten().find(|moment| moment.seconds().is_none()) {
        Some(_) => Err(invalid(place, "times are seconds since 1970 or like 2030-01-31T00:00:00Z")),
        None => Ok(()),
    }
}

/// The names an entry stands for.
pub(crate) fn expand(name: &str, count: Option<Count>) -> Vec<String> {
    match count {
        None => vec![name.to_owned()],
        Some(count) => (1..=count.get()).map(|n| name.replace("{n}", &n.to_string())).collect(),
    }
}

fn unique<'a>(place: &str, names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<String>, EstateError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(invalid(place, format!("`{name}` is there twice (case does not matter)")));
        }
    }
    Ok(seen)
}

fn guid(place: &str, text: &str) -> Result<(), EstateError> {
    match uuid::Uuid::try_parse(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(place, format!("`{text}` is not a GUID"))),
    }
}

fn invalid(place: impl Into<String>, message: impl Into<String>) -> EstateError {
    EstateError::Invalid { place: place.into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_vault(lines: &str) -> Result<Estate, EstateError> {
        Estate::parse(&format!(
            "tenant: 5f0c1d4e-0000-4000-8000-000000000001\nidentities: [{{ name: app, client_id: \
             00000000-0000-4000-8000-0000000000aa, client_secret: s }}]\nsubscriptions:\n  - id: \
             00000000-0000-4000-8000-000000000001\n    name: production\n    vaults:\n      - name: a-vault\n        \
             resource_group: rg\n        region: westeurope\n{lines}"
        ))
    }

    #[test]
    fn what_an_estate_cannot_mean_is_refused_with_its_place() {
        for (lines, expected) in [
            ("        soft_delete_retention_days: 3\n", "7 to 90"),
            ("        roles: [{ identity: nobody, role: Key Vault Reader }]\n", "nobody"),
            ("        roles: [{ identity: app, role: King }]\n", "King"),
            ("        access_policies: [{ identity: app, secrets: [steal] }]\n", "steal"),
            ("        items: { secrets: [{ name: a, count: 2 }] }\n", "{n}"),
            ("        items: { secrets: [{ name: a }, { name: A }] }\n", "twice"),
            ("        items: { secrets: [{ name: a_b }] }\n", "a_b"),
            ("        items: { secrets: [{ name: \"a{n}\", count: 2000, versions: 501 }] }\n", "count times versions"),
            ("        items: { secrets: [{ name: a }], certificates: [{ name: a }] }\n", "certificate"),
            ("        items: { keys: [{ name: a, type: RSA, size: 1024 }] }\n", "1024"),
            ("        items: { keys: [{ name: a, type: RSA-HSM }] }\n", "premium"),
            ("        items: { keys: [{ name: a, type: RSA, curve: P-256 }] }\n", "a curve is for"),
            ("        items: { keys: [{ name: a, type: EC, size: 256 }] }\n", "a size is for"),
            ("        items: { keys: [{ name: a, type: EC, rotate_after: soon }] }\n", "soon"),
        ] {
            let error = with_vault(lines).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("a-vault"), "{lines}: {error}");
        }
    }

    #[test]
    fn an_entry_stands_for_one_item_at_least_and_a_million_at_most() {
        let entry = |kind: &str, count: &str| {
            with_vault(&format!(
                "        items:\n          {kind}: [{{ name: \"a-{{n}}\", type: EC, count: {count} }}]\n"
            ))
        };
        let secret = |count: &str| {
            with_vault(&format!(
                "        items:\n          secrets:\n            - name: \"a-{{n}}\"\n              count: {count}\n"
            ))
        };
        for count in ["1", "1000000"] {
            assert!(secret(count).is_ok(), "{count}");
        }
        for (refused, line, count) in [
            (secret("0"), 13, "0"),
            (secret("-3"), 13, "-3"),
            (secret("1000001"), 13, "1000001"),
            (secret("99999999999999"), 13, "99999999999999"),
            (entry("keys", "0"), 11, "0"),
            (entry("certificates", "0"), 11, "0"),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}, column ")), "{error}");
            assert!(error.contains(&format!("count is 1 to 1000000, not {count}: ")), "{error}");
        }
    }

    #[test]
    fn a_custom_role_grants_only_actions_that_exist() {
        let role = |action: &str| {
            with_vault(&format!(
                "        roles: [{{ identity: app, role: Mine }}]\ncustom_roles: [{{ name: mine, data_actions: \
                 [\"Microsoft.KeyVault/vaults/{action}\"] }}]\n"
            ))
        };
        for good in ["certificates/read", "SECRETS/*", "*", "keys/*/action", "keys/wrap/action"] {
            assert!(role(good).is_ok(), "{good}");
        }
        for bad in ["certificates/get/action", "secrets/read", "keys"] {
            assert!(role(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn the_longest_name_of_an_entry_is_what_has_to_fit() {
        let named = |letters: usize| {
            let name = "x".repeat(letters);
            with_vault(&format!("        items: {{ secrets: [{{ name: \"{name}{{n}}\", count: 1000 }}] }}\n"))
        };
        assert!(named(123).is_ok() && named(124).is_err());
    }

    #[test]
    fn an_entry_with_a_count_stands_for_so_many_items() {
        assert_eq!(expand("bulk-{n}", Some(serde_json::from_str("3").unwrap())), ["bulk-1", "bulk-2", "bulk-3"]);
        assert!(with_vault("        items: { secrets: [{ name: \"bulk-{n}\", count: 200 }] }\n").is_ok());
    }
}
