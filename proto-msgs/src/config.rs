//! What an operator declares: the vault pair, the rule, the behaviour.
//!
//! [`ConfigSpec`] is what people and programs write; [`Config`] is what the store keeps: the spec, the vaults as they
//! were found when it was saved, and who changed it last. Unknown keys are refused: a role that half understands a
//! config must not act on it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ConfigId, CorrelationId, ItemName, ItemType},
    interval::Interval,
    timestamp::Timestamp,
    vault::VaultIdentity,
};

/// A replication config as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSpec {
    /// 1 to 80 characters, unique.
    pub name: String,
    #[serde(default)]
    pub target_type: TargetType,
    pub source: VaultRef,
    pub target: VaultRef,
    pub item_types: BTreeSet<ItemType>,
    pub rule: Rule,
    /// Globs taken out after the rule matched.
    #[serde(default)]
    pub exclude: Vec<String>,
    #[serde(default)]
    pub behaviour: Behaviour,
    /// Keeps its state, starts nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// Where items go to. An open set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetType {
    #[default]
    AzureKeyVault,
}

/// A vault, by the name discovery knows it under, or by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "AnyVault")]
pub enum VaultRef {
    Discovered(DiscoveredVault),
    ByHand(VaultByHand),
}

/// A vault that discovery finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiscoveredVault {
    pub vault: String,
}

/// A vault that discovery cannot see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultByHand {
    pub uri: String,
    pub subscription: String,
    pub region: String,
}

/// Either kind of reference as it is read: with every key there is, so that a wrong or missing one is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a vault: { vault: NAME }, or { uri, subscription, region }")]
struct AnyVault {
    vault: Option<String>,
    uri: Option<String>,
    subscription: Option<String>,
    region: Option<String>,
}

impl TryFrom<AnyVault> for VaultRef {
    type Error = &'static str;

    fn try_from(given: AnyVault) -> Result<Self, &'static str> {
        match given {
            AnyVault { vault: Some(vault), uri: None, subscription: None, region: None } => {
                Ok(Self::Discovered(DiscoveredVault { vault }))
            }
            AnyVault { vault: Some(_), .. } => Err("give `vault`, or `uri`, `subscription` and `region`, not both"),
            AnyVault { uri: Some(uri), subscription: Some(subscription), region: Some(region), .. } => {
                Ok(Self::ByHand(VaultByHand { uri, subscription, region }))
            }
            AnyVault { uri: None, subscription: None, region: None, .. } => {
                Err("`vault` is missing; or give `uri`, `subscription` and `region`")
            }
            AnyVault { uri: None, .. } => Err("`uri` is missing; it goes with `subscription` and `region`"),
            AnyVault { subscription: None, .. } => Err("`subscription` is missing; it goes with `uri` and `region`"),
            AnyVault { region: None, .. } => Err("`region` is missing; it goes with `uri` and `subscription`"),
        }
    }
}

/// Which items of the source become records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AnyRule", tag = "kind", rename_all = "snake_case")]
pub enum Rule {
    All {},
    /// `name=value`, or `name` alone: tag present with any value.
    Tagged {
        tag: String,
    },
    /// `*`, `?`, `[a-z]` over the name, without case.
    Pattern {
        glob: String,
    },
    Manual {
        names: BTreeSet<ItemName>,
    },
}

/// Any kind of rule as it is read: with every key there is, so that a wrong or missing one is named.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a rule: { kind: all }, { kind: tagged, tag }, { kind: pattern, glob }, or { kind: manual, names }"
)]
struct AnyRule {
    kind: RuleKind,
    tag: Option<String>,
    glob: Option<String>,
    names: Option<BTreeSet<ItemName>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RuleKind {
    All,
    Tagged,
    Pattern,
    Manual,
}

impl TryFrom<AnyRule> for Rule {
    type Error = &'static str;

    fn try_from(given: AnyRule) -> Result<Self, &'static str> {
        match given {
            AnyRule { kind: RuleKind::All, tag: None, glob: None, names: None } => Ok(Self::All {}),
            AnyRule { kind: RuleKind::All, .. } => Err("a rule of kind `all` takes nothing but `kind`"),
            AnyRule { kind: RuleKind::Tagged, tag: Some(tag), glob: None, names: None } => Ok(Self::Tagged { tag }),
            AnyRule { kind: RuleKind::Tagged, .. } => Err("a rule of kind `tagged` takes `tag`, and nothing else"),
            AnyRule { kind: RuleKind::Pattern, tag: None, glob: Some(glob), names: None } => Ok(Self::Pattern { glob }),
            AnyRule { kind: RuleKind::Pattern, .. } => Err("a rule of kind `pattern` takes `glob`, and nothing else"),
            AnyRule { kind: RuleKind::Manual, tag: None, glob: None, names: Some(names) } => Ok(Self::Manual { names }),
            AnyRule { kind: RuleKind::Manual, .. } => Err("a rule of kind `manual` takes `names`, and nothing else"),
        }
    }
}

/// How the items are brought over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    pub overwrite_on_conflict: bool,
    pub propagate_deletes: bool,
    pub delete_trigger: DeleteTrigger,
    pub drift_policy: DriftPolicy,
    pub interval: Interval,
    pub schedule_mode: ScheduleMode,
}

/// When a delete at the source is due at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteTrigger {
    /// Gone from the live and the soft-deleted listing.
    #[default]
    Purged,
    /// As soon as it is soft-deleted.
    Deleted,
}

/// What happens when the target is not as it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftPolicy {
    #[default]
    Report,
    Correct,
    Block,
}

/// Whether a config runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleMode {
    #[default]
    Interval,
    Manual,
}

/// A config as the store keeps it. Its revision is the store's own number for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub id: ConfigId,
    pub spec: ConfigSpec,
    /// Which vault it is, is fixed at creation.
    pub source: VaultIdentity,
    /// Which vault it is, is fixed at creation.
    pub target: VaultIdentity,
    pub created: Timestamp,
    /// Marked, not removed: its records leave first.
    #[serde(default)]
    pub deleted: bool,
    pub change: Change,
}

/// The emergency stop: one for all configs. Absent: nothing was ever stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// No config starts anything, and no write begins.
    pub stopped: bool,
    pub change: Change,
}

/// Who did what, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub actor: String,
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub correlation_id: CorrelationId,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_reference_is_read_back_and_its_mistakes_are_named() {
        let by_hand = r#"{"uri":"https://a","subscription":"s","region":"westeurope"}"#;
        for text in [r#"{"vault":"a"}"#, by_hand] {
            let reference: VaultRef = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&reference).unwrap(), text);
        }
        for (text, word) in [
            (r#"{"vualt":"a"}"#, "vualt"),
            (r#"{"uri":"https://a","subscription":"s"}"#, "`region` is missing"),
            (r#"{"region":"a"}"#, "`uri` is missing"),
            (r#"{"vault":"a","uri":"https://a"}"#, "not both"),
            ("{}", "`vault` is missing"),
            (r#""a""#, "{ vault: NAME }"),
        ] {
            let error = serde_json::from_str::<VaultRef>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_rule_is_read_back_and_its_mistakes_are_named() {
        for text in [
            r#"{"kind":"all"}"#,
            r#"{"kind":"tagged","tag":"a=b"}"#,
            r#"{"kind":"pattern","glob":"a*"}"#,
            r#"{"kind":"manual","names":["a"]}"#,
        ] {
            let rule: Rule = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        }
        for (text, word) in [
            (r#"{"kind":"all","tag":"a"}"#, "`all` takes nothing"),
            (r#"{"kind":"tagged"}"#, "takes `tag`"),
            (r#"{"kind":"tagged","tag":"a","glob":"b"}"#, "nothing else"),
            (r#"{"kind":"pattern","names":[]}"#, "takes `glob`"),
            (r#"{"kind":"manual"}"#, "takes `names`"),
            (r#"{"kind":"some"}"#, "expected one of `all`"),
            (r#"{"tag":"a"}"#, "`kind`"),
            (r#"{"kind":"all","tga":"a"}"#, "expected one of `kind`, `tag`"),
            (r#""all""#, "{ kind: all }"),
        ] {
            let error = serde_json::from_str::<Rule>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
