//! What an attempt carries from step to step. The values it reads are not in here: they live in the steps' own variables.

use std::{collections::BTreeSet, sync::Arc};

use domain::{attempt::Resolved, compare::print_of_carried};
use proto_msgs::{
    CorrelationId, ErrorCode, ItemName, ItemType, MessageId, Record, Sequence, Timestamp,
    record::{Arrival, Baseline, OutcomeKind, UnresolvedAttempt},
    vault::{CallCounts, Detail, KeyRotation, Side, SideState},
    worker::SyncRecord,
};
use vault::{Answer, Vault, VaultError, VaultErrorKind, WriteGate};

use super::append::NotAppended;
use crate::{WorkerParts, fences::Fences};

/// An attempt under way.
pub(super) struct Work<'a> {
    pub parts: &'a WorkerParts,
    pub command: SyncRecord,
    pub correlation: CorrelationId,
    /// This attempt's own intent.
    pub own: UnresolvedAttempt,
    /// The record as this attempt last appended it, or was going to.
    pub record: Record,
    /// The newest message that this attempt builds on.
    pub sequence: Sequence,
    /// The newest message that this attempt appended.
    pub message: MessageId,
    /// The record as others annotated it since: what they noted is carried on.
    pub noted: Option<Record>,
    pub gate: WriteGate,
    pub fences: &'a Fences,
    pub calls: CallCounts,
    pub request_id: Option<String>,
    /// The end that was opened last: calls go there.
    pub asked: Side,
    pub answered: BTreeSet<Side>,
    /// A vault asked to be left alone, in a call that the attempt went on without.
    pub throttled: Option<VaultError>,
    /// The source as it was read, or listed where it cannot be read.
    pub source: Option<Read>,
    /// The target's item as it was looked at.
    pub seen: Option<SideState>,
    /// How the key that the target has, or gets, is rotated, where that was looked at.
    pub rotation: Option<KeyRotation>,
    /// What is worth saying of a success: it goes into the record's detail.
    pub remark: Option<String>,
    /// Both ends are left as they are, though they differ: somebody accepted that.
    pub is_accepted: bool,
    /// What became of the older attempts, until that is in the log.
    pub resolved: Option<Resolved>,
    /// A write was sent, whatever became of it.
    pub has_written: bool,
}

/// An end that was read, and when, by the server's clock.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub state: SideState,
    pub date: Timestamp,
}

/// How an attempt came to an end that is none of the failures.
#[derive(Debug)]
pub(super) enum End {
    Synced(Done),
    /// Nothing is at the target any more.
    Deleted(OutcomeKind),
    /// It was to be deleted, and is at the source again.
    CameBack,
}

/// An attempt that reached its goal.
#[derive(Debug)]
pub(super) struct Done {
    pub outcome: OutcomeKind,
    pub how: Arrival,
    pub target: SideState,
}

/// An attempt that did not.
#[derive(Debug)]
pub(super) enum Halt {
    Vault(VaultError),
    /// A rule forbids it.
    Block {
        code: ErrorCode,
        detail: Detail,
    },
    /// Whether this worker may still overwrite what is not Keyferry's could not be confirmed: nothing was written.
    Unconfirmed(Detail),
    /// The intent that follows a settled one is not in the log: nothing was written.
    NotAppended(NotAppended),
}

impl From<VaultError> for Halt {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<NotAppended> for Halt {
    fn from(error: NotAppended) -> Self {
        Self::NotAppended(error)
    }
}

impl Halt {
    pub(super) fn block(code: ErrorCode, message: &str) -> Self {
        Self::Block { code, detail: Detail::new(message) }
    }
}

impl Work<'_> {
    pub(super) fn kind(&self) -> ItemType {
        self.command.record.id.kind
    }

    pub(super) fn name(&self) -> ItemName {
        self.command.record.id.name.clone()
    }

    pub(super) fn baseline(&self) -> Option<&Baseline> {
        self.record.baseline.as_ref()
    }

    /// What a success leaves: both ends, and when the source was read.
    pub(super) fn left(&self, source: Read, target: SideState, how: Arrival) -> Baseline {
        let command = &self.command;
        Baseline {
            source: source.state,
            target,
            read_at: source.date,
            synced_at: self.parts.origin.now(),
            how,
            source_uri: command.source.uri.clone(),
            target_uri: command.target.uri.clone(),
            source_resource_id: command.source.resource_id.clone(),
            target_resource_id: command.target.resource_id.clone(),
            rotation: self.rotation.or_else(|| self.baseline()?.rotation),
        }
    }

    /// Attempts that may have written before this one began, or too late: an intent without outcome, and outcomes that
    /// were refused.
    pub(super) fn older(&self) -> impl Iterator<Item = &UnresolvedAttempt> {
        let unresolved = self.record.unresolved.iter().filter(|older| older.operation != self.own.operation);
        unresolved.chain(&self.record.late)
    }

    /// Whether the target must be read, and compared with what older attempts were about to write, before anything is
    /// written.
    pub(super) fn must_settle(&self) -> bool {
        self.command.outcome_unknown || self.older().next().is_some()
    }

    /// Whether the target is looked at whatever the baseline says: also where what was seen there decided before.
    pub(super) fn must_compare(&self) -> bool {
        let record = &self.record;
        self.must_settle() || self.command.thorough || record.thorough || record.target_seen.is_some()
    }

    /// This attempt, naming what it writes as far as that is known.
    pub(super) fn named(&self) -> UnresolvedAttempt {
        let state = self.source.as_ref().map(|read| &read.state);
        UnresolvedAttempt {
            source_version: state.and_then(|state| state.version.clone()),
            x5t: state.and_then(|state| state.x5t.clone()).or(self.own.x5t.clone()),
            brings: state.map(|state| print_of_carried(self.kind(), &state.attributes)).or(self.own.brings),
            ..self.own.clone()
        }
    }

    pub(super) async fn open(&mut self, side: Side) -> Result<Arc<dyn Vault>, VaultError> {
        self.asked = side;
        let vault = match side {
            Side::Source => &self.command.source,
            Side::Target => &self.command.target,
        };
        self.parts.vaults.open(side, vault).await
    }

    /// Notes a read that was answered, whichever way.
    pub(super) fn got<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        self.calls.get += 1;
        self.note(answer)
    }

    /// Notes a read of metadata: of a secret, that is a listing of its versions.
    pub(super) fn glanced<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        match self.kind() {
            ItemType::Secrets => self.listed(answer),
            ItemType::Certificates | ItemType::Keys => self.got(answer),
        }
    }

    pub(super) fn listed<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        self.calls.list += 1;
        self.note(answer)
    }

    /// Notes a write that was answered, or not; one that was kept back was never made.
    pub(super) fn wrote<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        let was_sent = answer.as_ref().map_or_else(|error| error.kind != VaultErrorKind::GateClosed, |_| true);
        self.calls.set += u64::from(was_sent);
        self.has_written |= answer.as_ref().map_or_else(|error| error.may_have_written, |_| true);
        self.note(answer)
    }

    fn note<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        if answer.as_ref().map_or_else(|error| error.kind == VaultErrorKind::NotFound, |_| true) {
            self.answered.insert(self.asked);
        }
        let id =
            answer.as_ref().map_or_else(|error| error.azure_request_id.clone(), |answer| answer.request_id.clone());
        self.request_id = id.or(self.request_id.take());
        answer
    }
}
