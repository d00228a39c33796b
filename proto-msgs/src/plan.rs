//! What the next run of a config would do, as it is shown to somebody who decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::ErrorCode,
    ids::{ItemName, RecordKey, SetHash},
};

/// A plan that nobody has carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView<N = RecordKey> {
    /// One page of what is not `nothing`, in order of type and name.
    pub items: Vec<PlanItem>,
    /// Where the next page begins; none: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<N>,
    /// All records and items, by what happens to them.
    pub counts: BTreeMap<PlanAction, u64>,
    /// Names of a `manual` rule that the source does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_found: Vec<ItemName>,
    /// False: a listing broke off, so nothing is known of what it did not show.
    pub complete: bool,
    /// Of the whole plan, whichever page this is.
    pub hash: SetHash,
}

/// One page of a plan as clients see it: they pass `next` as `cursor`.
pub type PlanPage = PlanView<String>;

/// What happens to one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanItem {
    pub key: RecordKey,
    pub action: PlanAction,
    /// The code it will show, where it will not be in sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a plan has in store for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    /// As it should be.
    Nothing,
    /// A record is made and attempted for the first time.
    Make,
    /// The source changed since the last success.
    Update,
    /// Attempted again, for any other reason.
    Sync,
    Block,
    Disable,
    /// Shown as drifted.
    Drift,
    /// Missing at the source, for the first time.
    Miss,
    /// Was missing once, and is there.
    Found,
    /// The target item is deleted.
    Delete,
}

impl PlanAction {
    pub const ALL: [Self; 10] = [
        Self::Nothing,
        Self::Make,
        Self::Update,
        Self::Sync,
        Self::Block,
        Self::Disable,
        Self::Drift,
        Self::Miss,
        Self::Found,
        Self::Delete,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Make => "make",
            Self::Update => "update",
            Self::Sync => "sync",
            Self::Block => "block",
            Self::Disable => "disable",
            Self::Drift => "drift",
            Self::Miss => "miss",
            Self::Found => "found",
            Self::Delete => "delete",
        }
    }
}
