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
#[serde(untagged)]
pub enum VaultRef {
    Discovered(DiscoveredVault),
    ByHand(VaultByHand),
}

/// A vault that discovery finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoveredVault {
    pub vault: String,
}

/// A vault that discovery cannot see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultByHand {
    pub uri: String,
    pub subscription: String,
    pub region: String,
}

/// Which items of the source become records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
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
    /// Fixed at creation.
    pub source: VaultIdentity,
    /// Fixed at creation.
    pub target: VaultIdentity,
    pub created: Timestamp,
    /// Marked, not removed: its records leave first.
    #[serde(default)]
    pub deleted: bool,
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
