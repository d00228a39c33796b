//! Runs: one cycle of a config. Every message on `kf.run.<config>` is a whole [`Run`]; the newest is the lock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    error::ErrorCode,
    ids::{ConfigId, CorrelationId, Epoch, ItemType, MemberId, Revision, RunId},
    status::Status,
    timestamp::Timestamp,
    vault::{CallCounts, Side},
    worker::Listing,
};

/// The whole state of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub config: ConfigId,
    pub revision: Revision,
    pub trigger: Trigger,
    pub correlation_id: CorrelationId,
    /// Who asked for it, if anybody did: so many of them as its coordinator keeps.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub asked_by: BTreeSet<String>,
    pub coordinator: MemberId,
    pub epoch: Epoch,
    pub started: Timestamp,
    pub phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
    #[serde(default)]
    pub counts: RunCounts,
    /// Listings that broke off: at most one for each side, type and listing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ListingFailure>,
    /// How often it was taken over by another owner.
    #[serde(default)]
    pub resumed: u32,
    /// Asked for while this one was open: all of that is one more run behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextRun>,
    /// Follow-up runs in a row, this one included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub follow_up: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A run that was promised and has not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRun {
    pub id: RunId,
    pub correlation_id: CorrelationId,
    pub trigger: Trigger,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub asked_by: BTreeSet<String>,
}

impl Run {
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The config was saved.
    Saved,
    Schedule,
    /// "Replicate now".
    Manual,
    /// "Re-expand": inventories and plan, as every run.
    Expand,
    /// Records failed for a while: looked at again soon, not a whole interval later.
    FollowUp,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Listing,
    Syncing,
    Ended,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RunEnd {
    Completed,
    CompletedWithFailures,
    Failed { code: ErrorCode, message: String },
    Interrupted,
    Cancelled,
}

/// A listing that broke off: what it does not show means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingFailure {
    pub side: Side,
    pub kind: ItemType,
    pub listing: Listing,
    pub code: ErrorCode,
    pub message: String,
}

/// What a run saw and did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunCounts {
    pub source_items: u64,
    pub target_items: u64,
    /// Records planned for a sync.
    pub planned: u64,
    /// Of those, how many came to an end.
    pub attempted: u64,
    pub unchanged: u64,
    pub calls: CallCounts,
    /// All records of the config at the end of the run.
    #[serde(default)]
    pub by_status: BTreeMap<Status, u64>,
    #[serde(default)]
    pub by_code: BTreeMap<ErrorCode, u64>,
    /// False: a listing broke off, so nothing was counted as missing; or a planned state could not be written.
    pub complete: bool,
}
