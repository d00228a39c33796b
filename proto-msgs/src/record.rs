//! A record: one matched item of one config, with everything that is known of it.
//!
//! Every message on a record's subject is a whole [`Record`]. The newest is the state, the ones before are the history;
//! nothing has to be folded. An intent without outcome ([`Record::unresolved`]) and an outcome that came too late
//! ([`Record::late`]) are carried forward by whoever appends, until a read of the target settles them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    config::DeleteTrigger,
    error::ErrorCode,
    ids::{Epoch, MemberId, MessageId, RecordId, Revision, RunId, Sequence, VersionId},
    status::Status,
    timestamp::Timestamp,
    vault::{CallCounts, Detail, KeyRotation, Side, SideState},
};

/// The whole state of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: RecordId,
    pub status: Status,
    /// Why; none exactly for `pending`, `syncing` and `active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Both ends at the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What the source looked like when the status was decided: unchanged, the same decision would be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_seen: Option<SideState>,
    /// What the target looked like when the status was decided, where that had to do with it: what leave is given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_seen: Option<SideState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<Leave>,
    /// Its item was missing from a complete inventory of the source once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miss: Option<Miss>,
    /// The target item is to be deleted, and nothing else: the state in which the source item was last listed. The
    /// attempt confirms it by reads of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<DeleteTrigger>,
    /// When the target item was last deleted by Keyferry. Stays when the record comes back: what is deleted in a day
    /// is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Attempts made in a row without success.
    #[serde(default)]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<UnresolvedAttempt>,
    /// Attempts that may have written after others had gone on with the record: the target is compared with what they
    /// were about to write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<UnresolvedAttempt>,
    /// Somebody asked for it: the next attempt reads both ends, whatever the baseline says. Stays until one did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thorough: bool,
    /// The last attempt that came to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<AttemptReport>,
    /// The run in which this was written; none for a sync asked for by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The config revision it was decided under.
    #[serde(default)]
    pub revision: Revision,
    /// Its config is deleted: the last message of this record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl Record {
    /// A record nobody has attempted yet.
    pub fn new(id: RecordId, status: Status, code: Option<ErrorCode>) -> Self {
        Self {
            id,
            status,
            code,
            detail: None,
            baseline: None,
            source_seen: None,
            target_seen: None,
            leave: None,
            miss: None,
            delete: None,
            deleted_at: None,
            attempt: 0,
            next_attempt: None,
            unresolved: None,
            late: Vec::new(),
            thorough: false,
            last_attempt: None,
            run: None,
            revision: Revision(0),
            removed: false,
        }
    }
}

/// Both ends of a record at its last success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    pub source: SideState,
    pub target: SideState,
    /// When the source was read, by the server's own clock (`Date`): Key Vault's times have whole seconds.
    pub read_at: Timestamp,
    pub synced_at: Timestamp,
    pub how: Arrival,
    pub source_uri: String,
    pub target_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_resource_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_resource_id: Option<String>,
    /// Keys only: how the target's got new versions, as last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<KeyRotation>,
}

/// How the target came to equal the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Keyferry wrote it at least once.
    Written,
    /// It was equal already.
    Adopted,
}

/// A record's item was not in a complete inventory of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Miss {
    pub run: RunId,
    pub at: Timestamp,
}

/// Somebody's leave, for exactly what they saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    pub actor: String,
    pub at: Timestamp,
    /// The record as it was seen.
    pub sequence: Sequence,
    /// The target's version as it was seen.
    pub target_version: Option<VersionId>,
    #[serde(default, skip_serializing_if = "LeaveKind::is_default")]
    pub kind: LeaveKind,
}

/// What leave is given to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveKind {
    /// Overwrite what Keyferry did not write.
    #[default]
    Acknowledge,
    /// Write the source's state back over a drifted target.
    Correct,
    /// Take a drifted target as it is.
    Accept,
}

impl LeaveKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Correct => "correct",
            Self::Accept => "accept",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An intent whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnresolvedAttempt {
    /// The intent's message id.
    pub operation: MessageId,
    pub worker: MemberId,
    pub epoch: Epoch,
    /// By the worker's wall clock, just before the intent was published.
    pub started: Timestamp,
    /// The source version about to be written. None until the source was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<VersionId>,
    /// `updated` of the source as listed: names the version where only a listing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_updated: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<String>,
    /// Stands in for the attributes about to be brought, as they were listed, or read before the write. None: nothing of
    /// them was known, or it was about to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brings: Option<u64>,
    /// It was about to delete the target item, not to write it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletes: bool,
}

/// An attempt that came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub worker: MemberId,
    pub started: Timestamp,
    pub duration_ms: u64,
    pub outcome: OutcomeKind,
    pub calls: CallCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<VersionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_version: Option<VersionId>,
    /// Of the last call, whichever way it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_request_id: Option<String>,
    /// The end whose vault asked to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Side>,
    /// The end whose call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Side>,
    /// The ends whose vault answered a call as it should.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub answered: BTreeSet<Side>,
    /// For how long, in milliseconds, if it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What an attempt did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// A new version was written to the target.
    Written,
    /// Attributes or tags of the target were brought up to date.
    Updated,
    /// The target item was soft-deleted.
    Deleted,
    /// Both ends were equal; nothing was written.
    Equal,
    /// A write whose outcome had been unknown turned out to be done.
    Settled,
    /// A rule forbids the write.
    Blocked,
    /// A call failed and certainly changed nothing.
    Failed,
    /// A write was sent and its answer never came.
    Unknown,
}

impl OutcomeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Equal => "equal",
            Self::Settled => "settled",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}
