//! Which items of a vault a config is about.
//!
//! Names compare without case, as Key Vault compares them; tags compare exactly, as it keeps them.

use std::collections::{BTreeMap, BTreeSet};

use glob::Pattern;
use proto_msgs::{ConfigSpec, ErrorCode, ItemName, Record, Rule};

use crate::mutant::{self, Mutant};

/// What names are made of at Key Vault, without case.
const NAME_LETTERS: &str = "0123456789abcdefghijklmnopqrstuvwxyz-";

/// A rule that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("glob {glob:?} is not valid: {reason}; use *, ? and [a-z]")]
    Glob { glob: String, reason: &'static str },
    #[error("tag {tag:?} has no name: write name=value, or name alone for any value")]
    Tag { tag: String },
}

/// A glob over item names.
#[derive(Debug, Clone)]
pub struct NameGlob(Pattern);

impl NameGlob {
    pub fn new(text: &str) -> Result<Self, RuleError> {
        let invalid = |reason| RuleError::Glob { glob: text.to_owned(), reason };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        let mut lower = text.to_lowercase();
        while lower.contains("**") {
            lower = lower.replace("**", "*");
        }
        Pattern::new(&lower).map(Self).map_err(|error| invalid(error.msg))
    }

    pub fn matches(&self, name: &ItemName) -> bool {
        self.0.matches(&name.key())
    }

    /// The first part of it that no name can have, so that it would never match; none: some name matches.
    pub fn impossible_part(&self) -> Option<&str> {
        let is_possible = |part: &str| {
            Pattern::new(part)
                .is_ok_and(|part| NAME_LETTERS.chars().any(|letter| part.matches(letter.encode_utf8(&mut [0]))))
        };
        let mut rest = self.0.as_str();
        while !rest.is_empty() {
            let (part, left) = rest.split_at(first_part(rest));
            if !is_possible(part) {
                return Some(part);
            }
            rest = left;
        }
        None
    }
}

/// Length in bytes of what a valid glob begins with: one letter, or a class such as `[a-z]`, in which the first letter may
/// be a bracket.
fn first_part(glob: &str) -> usize {
    let letter = |at: usize| glob[at..].chars().next().map_or(0, char::len_utf8);
    if !glob.starts_with('[') {
        return letter(0);
    }
    let first = if glob.starts_with("[!") { 2 } else { 1 };
    let after = first + letter(first);
    glob[after..].find(']').map_or(glob.len(), |end| after + end + 1)
}

/// What a rule says of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    Yes,
    /// Matched, and taken out by an exclude.
    Excluded,
    No,
}

/// A config's rule and excludes, ready to be asked.
#[derive(Debug)]
pub struct Matcher {
    rule: Include,
    exclude: Vec<NameGlob>,
}

#[derive(Debug)]
enum Include {
    All,
    Tag { name: String, value: Option<String> },
    Glob(NameGlob),
    Names(BTreeSet<ItemName>),
}

impl Matcher {
    pub fn new(spec: &ConfigSpec) -> Result<Self, RuleError> {
        let rule = match &spec.rule {
            Rule::All {} => Include::All,
            Rule::Tagged { tag } => tag_rule(tag)?,
            Rule::Pattern { glob } => Include::Glob(NameGlob::new(glob)?),
            Rule::Manual { names } => Include::Names(names.clone()),
        };
        let exclude = spec.exclude.iter().map(|glob| NameGlob::new(glob)).collect::<Result<_, _>>()?;
        Ok(Self { rule, exclude })
    }

    pub fn matches(&self, name: &ItemName, tags: &BTreeMap<String, String>) -> Matched {
        let included = match &self.rule {
            Include::All => true,
            Include::Tag { name, value: None } => tags.contains_key(name),
            Include::Tag { name, value: Some(value) } => tags.get(name) == Some(value),
            Include::Glob(glob) => glob.matches(name),
            Include::Names(names) => names.contains(name),
        };
        match included {
            false => Matched::No,
            true if self.exclude.iter().any(|glob| glob.matches(name)) => Matched::Excluded,
            true => Matched::Yes,
        }
    }
}

impl Matcher {
    /// What can be said without the item: a rule about tags may match any name.
    pub fn matches_name(&self, name: &ItemName) -> Matched {
        match &self.rule {
            Include::Tag { .. } if self.exclude.iter().any(|glob| glob.matches(name)) => Matched::Excluded,
            Include::Tag { .. } => Matched::Yes,
            Include::All | Include::Glob(_) | Include::Names(_) => self.matches(name, &BTreeMap::new()),
        }
    }

    /// The names of a `manual` rule.
    pub fn names(&self) -> Option<&BTreeSet<ItemName>> {
        match &self.rule {
            Include::Names(names) => Some(names),
            Include::All | Include::Tag { .. } | Include::Glob(_) => None,
        }
    }
}

/// Why a config does not take a record's item, as it was last seen; none: it does, as far as is known.
pub fn refusal(spec: &ConfigSpec, matcher: &Matcher, record: &Record) -> Option<(ErrorCode, &'static str)> {
    if !spec.item_types.contains(&record.id.kind) {
        return Some((ErrorCode::RuleNoMatch, "the item's type is no longer among those of the config"));
    }
    let seen = record.source_seen.as_ref().or(record.baseline.as_ref().map(|baseline| &baseline.source));
    let matched = match seen {
        Some(seen) => matcher.matches(&record.id.name, &seen.attributes.tags),
        None => matcher.matches_name(&record.id.name),
    };
    match matched {
        Matched::No if !mutant::is(Mutant::RuleIsIgnored) => {
            Some((ErrorCode::RuleNoMatch, "the rule no longer matches this item"))
        }
        Matched::Excluded if !mutant::is(Mutant::ExcludeIsIgnored) => {
            Some((ErrorCode::Excluded, "an exclude takes this item out"))
        }
        Matched::Yes | Matched::Excluded | Matched::No => None,
    }
}

fn tag_rule(tag: &str) -> Result<Include, RuleError> {
    let (name, value) = match tag.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (tag, None),
    };
    if name.is_empty() {
        return Err(RuleError::Tag { tag: tag.to_owned() });
    }
    Ok(Include::Tag { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::spec;

    fn matched(rule: Rule, exclude: &[&str], name: &str, tags: &[(&str, &str)]) -> Matched {
        let mut spec = spec(rule);
        spec.exclude = exclude.iter().map(|&glob| glob.to_owned()).collect();
        let tags = tags.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Matcher::new(&spec).unwrap().matches(&name.parse().unwrap(), &tags)
    }

    #[test]
    fn a_tag_rule_with_a_value_wants_that_value_and_without_one_any() {
        let tagged = |tag: &str| Rule::Tagged { tag: tag.to_owned() };
        assert_eq!(matched(tagged("replicate=true"), &[], "a", &[("replicate", "true")]), Matched::Yes);
        assert_eq!(matched(tagged("replicate=true"), &[], "a", &[("replicate", "false")]), Matched::No);
        assert_eq!(matched(tagged("replicate"), &[], "a", &[("replicate", "false")]), Matched::Yes);
        assert_eq!(matched(tagged("replicate"), &[], "a", &[]), Matched::No);
        assert_eq!(matched(tagged("a=b=c"), &[], "a", &[("a", "b=c")]), Matched::Yes);
    }

    #[test]
    fn globs_and_names_compare_without_case() {
        let pattern = |glob: &str| Rule::Pattern { glob: glob.to_owned() };
        assert_eq!(matched(pattern("DB-*"), &[], "db-password", &[]), Matched::Yes);
        assert_eq!(matched(pattern("db-[A-C]?"), &[], "DB-b1", &[]), Matched::Yes);
        assert_eq!(matched(pattern("db-[!a]"), &[], "db-a", &[]), Matched::No);
        assert_eq!(matched(pattern("**x**"), &[], "axb", &[]), Matched::Yes);
        let manual = Rule::Manual { names: BTreeSet::from(["DB-Password".parse().unwrap()]) };
        assert_eq!(matched(manual, &[], "db-password", &[]), Matched::Yes);
    }

    #[test]
    fn a_glob_that_no_name_matches_says_which_part_of_it_is_why() {
        let part = |glob: &str| NameGlob::new(glob).unwrap().impossible_part().map(str::to_owned);
        for possible in ["*", "DB-*", "a?b", "[a-z]", "[!a]", "[-x]", "[]x]", "[!]]", "[_a]"] {
            assert_eq!(part(possible), None, "{possible}");
        }
        for (glob, why) in
            [("prod_*", "_"), ("{a,b}", "{"), ("a b", " "), ("*[z-a]", "[z-a]"), ("x[_.]*", "[_.]"), ("Ümlaut", "ü")]
        {
            assert_eq!(part(glob), Some(why.to_owned()), "{glob}");
        }
    }

    #[test]
    fn an_exclude_speaks_only_where_the_rule_matched() {
        assert_eq!(matched(Rule::All {}, &["tmp-*"], "TMP-1", &[]), Matched::Excluded);
        assert_eq!(matched(Rule::Pattern { glob: "db-*".into() }, &["tmp-*"], "tmp-1", &[]), Matched::No);
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for rule in [
            Rule::Pattern { glob: "[a".into() },
            Rule::Pattern { glob: String::new() },
            Rule::Tagged { tag: "=x".into() },
            Rule::Tagged { tag: String::new() },
        ] {
            assert!(Matcher::new(&spec(rule)).is_err());
        }
    }
}
