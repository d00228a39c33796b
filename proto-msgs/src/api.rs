//! Bodies of the REST API, and the questions a gateway puts to a config's coordinator to answer it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    config::{Change, Config},
    docs,
    error::{ErrorCode, Recoverability, Refusal, RequestCode},
    ids::{
        ConfigId, CorrelationId, Epoch, ItemType, MemberId, RecordKey, Revision, RunId, Sequence, SetHash, VersionId,
    },
    plan::PlanView,
    record::{LeaveKind, Record},
    run::Run,
    status::Status,
    timestamp::Timestamp,
};

/// Most entries a page may hold.
pub const PAGE_MAX: u32 = 500;
/// Entries of a page if nothing is said.
pub const PAGE_DEFAULT: u32 = 100;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass as `cursor` for the next page; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Entries on all pages, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Of all entries on all pages as they are now; what is decided about all of them at once carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<SetHash>,
}

/// A config and how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigView {
    #[serde(flatten)]
    pub config: Config,
    pub revision: Revision,
    /// None: no coordinator answered, so nothing is known of its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ConfigSummary>,
}

/// What a coordinator knows of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSummary {
    pub coordinator: MemberId,
    pub epoch: Epoch,
    pub by_status: BTreeMap<Status, u64>,
    pub by_code: BTreeMap<ErrorCode, u64>,
    pub run: Option<Run>,
    pub next_run: Option<Timestamp>,
    /// End of the last run whose listings were complete.
    pub last_verified_at: Option<Timestamp>,
    /// Nothing was verified for two intervals: what is shown may be long out of date.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    pub conditions: Vec<Condition>,
}

impl ConfigSummary {
    pub fn records(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// No run is open and no record waits for anything.
    pub fn is_settled(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.is_open()) && self.by_status.keys().all(|status| status.is_settled())
    }
}

/// Whether something a config depends on is as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub kind: ConditionKind,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    SourceReadable,
    TargetWritable,
    WorkersAvailable,
    LogReadable,
    /// The config is not paused, and not everything is stopped.
    WorkAllowed,
}

/// A record as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    #[serde(flatten)]
    pub record: Record,
    pub sequence: Sequence,
    /// When this state was written.
    pub at: Timestamp,
    pub correlation_id: CorrelationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recoverability: Option<Recoverability>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Where the target's deleted items are, while one of them is in the way. None for a cloud whose portal is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<String>,
    /// What happened before, newest first; only where one record was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RecordView>,
}

/// Asks a config's coordinator. Sent on [`crate::subject::Subjects::config_query`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum ConfigQuery {
    Summary,
    /// Keys of the records that match, in order of type and name.
    Records {
        filter: RecordFilter,
        after: Option<RecordKey>,
        limit: u32,
    },
    /// Lists both vaults and plans; nothing is carried out.
    Plan {
        after: Option<RecordKey>,
        limit: u32,
    },
}

/// Which records. A key that is not known is refused: half understood, a decision would be about others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordFilter {
    pub status: Option<Status>,
    pub kind: Option<ItemType>,
    /// Glob over the name.
    pub name: Option<String>,
}

/// Answers a [`ConfigQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum ConfigReply {
    Summary {
        summary: Box<ConfigSummary>,
    },
    Records {
        keys: Vec<RecordKey>,
        next: Option<RecordKey>,
        total: u64,
        /// Of all records that match, on whichever page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash: Option<SetHash>,
    },
    Plan {
        plan: Box<PlanView>,
    },
    Refused {
        refusal: Refusal,
    },
}

/// Tells a config's coordinator to do something. Sent on [`crate::subject::Subjects::config_command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum ConfigCommand {
    /// Run now, all enabled records.
    Sync { actor: String },
    /// List both vaults again, and do what follows from it.
    Expand { actor: String },
    /// One record, at once, reading both ends.
    SyncRecord { actor: String, key: RecordKey },
    /// Leave for one record, as it was seen.
    Leave { actor: String, key: RecordKey, leave: LeaveBody },
    /// Leave for all records that match, as they were listed.
    LeaveAll { actor: String, leave: LeaveAllBody },
    /// One record on or off.
    SetEnabled { actor: String, key: RecordKey, enabled: bool },
    /// All records that match on or off, as they were listed.
    SetEnabledAll { actor: String, enabled: bool, set: SetBody },
    /// The held deletes, as they were listed.
    ReleaseDeletes { actor: String, hash: SetHash },
}

/// Answers a [`ConfigCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum CommandReply {
    /// It goes on under this correlation id; in this run, where there is one.
    Accepted {
        run: Option<RunId>,
        correlation_id: CorrelationId,
    },
    /// It is in the log, for that many records.
    Done {
        records: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passed_over: Option<PassedOver>,
        correlation_id: CorrelationId,
    },
    Refused {
        refusal: Refusal,
    },
}

/// Leave for one record. Carries what was seen, else `stale_view`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveBody {
    pub kind: LeaveKind,
    /// The record's sequence.
    pub sequence: Sequence,
    /// Of the record's `target_seen`, if that names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_version: Option<VersionId>,
}

/// Leave for all records of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveAllBody {
    pub kind: LeaveKind,
    pub set: SetBody,
}

/// The records that a listing showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetBody {
    #[serde(default)]
    pub filter: RecordFilter,
    /// As the listing's page gave it.
    pub hash: SetHash,
}

/// Releases the held deletes: those that `status=blocked_delete_held` lists, under that listing's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    pub hash: SetHash,
}

/// Goes with a pause, a resume, a stop or an edit, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReasonBody {
    pub reason: Option<String>,
}

/// The emergency stop as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlView {
    pub stopped: bool,
    /// Who changed it last; none: nobody ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    pub revision: Revision,
}

/// Answer to a request about records that is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub records: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<PassedOver>,
    pub correlation_id: CorrelationId,
}

/// Records of a decision about many that are as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    pub records: u64,
    /// One of them, and why.
    pub key: RecordKey,
    pub detail: String,
    pub fix: String,
}

/// Answer to a request whose work goes on (202).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    pub correlation_id: CorrelationId,
}

/// A code or status, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recoverability: Option<Recoverability>,
    pub meaning: String,
    pub causes: String,
    pub fix: String,
    pub escalate: String,
    /// The whole page, as Markdown.
    pub page: String,
}

impl Explanation {
    /// What is known of a code or status.
    pub fn of(word: &str) -> Option<Self> {
        let page = docs::explain(word)?;
        let of_error = page.word.parse().ok().map(ErrorCode::recoverability);
        let of_request = page.word.parse().ok().map(RequestCode::recoverability);
        Some(Self {
            code: page.word.to_owned(),
            recoverability: of_error.or(of_request),
            meaning: page.meaning.to_owned(),
            causes: page.causes.to_owned(),
            fix: page.fix.to_owned(),
            escalate: page.escalate.to_owned(),
            page: page.text.to_owned(),
        })
    }
}

/// What the event stream sends, one JSON object a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Record {
        cursor: String,
        at: Timestamp,
        correlation_id: CorrelationId,
        sequence: Sequence,
        record: Box<Record>,
    },
    Run {
        cursor: String,
        at: Timestamp,
        correlation_id: CorrelationId,
        sequence: Sequence,
        run: Box<Run>,
    },
    /// Events may have been missed: read the state again.
    Reset {
        reason: String,
    },
}

/// A bearer token as it is kept: only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    pub name: String,
    pub role: ApiRole,
    /// SHA-256 of the token, hex. Tokens are 256 random bits, so a slow hash would add nothing.
    pub sha256: String,
    pub created: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiRole {
    Viewer,
    Operator,
    Admin,
}

/// Which config holds a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameReservation {
    pub config: ConfigId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_with_who_can_mend_it() {
        let codes = ErrorCode::ALL.iter().map(|code| (code.as_str(), code.recoverability()));
        let requests = RequestCode::ALL.iter().map(|code| (code.as_str(), code.recoverability()));
        for (word, recoverability) in codes.chain(requests) {
            assert_eq!(Explanation::of(word).unwrap().recoverability, Some(recoverability), "{word}");
        }
        assert_eq!(Explanation::of("active").unwrap().recoverability, None);
    }
}
