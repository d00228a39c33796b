//! What an attempt carries from step to step. The values it reads are not in here: they live in the steps' own variables.

use std::sync::Arc;

use proto_msgs::{
    CorrelationId, ItemName, ItemType, Record, Sequence, Timestamp,
    record::{Arrival, Baseline, OutcomeKind, UnresolvedAttempt},
    vault::{CallCounts, Detail, Side, SideState},
    worker::SyncRecord,
};
use vault::{Answer, Vault, VaultError, WriteGate};

use crate::WorkerParts;

/// An attempt under way.
pub(super) struct Work<'a> {
    pub parts: &'a WorkerParts,
    pub command: SyncRecord,
    pub correlation: CorrelationId,
    /// This attempt's own intent.
    pub own: UnresolvedAttempt,
    /// The record as this attempt last appended it.
    pub record: Record,
    pub sequence: Sequence,
    pub gate: WriteGate,
    pub calls: CallCounts,
    pub request_id: Option<String>,
    /// The source as it was read.
    pub source: Option<Read>,
    /// A write was sent, whatever became of it.
    pub has_written: bool,
}

/// An end that was read, and when, by the server's clock.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub state: SideState,
    pub date: Timestamp,
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
        code: proto_msgs::ErrorCode,
        detail: Detail,
    },
    /// The record was taken over while this attempt was settling an older one.
    Overtaken,
    Log(broker::LogError),
}

impl From<VaultError> for Halt {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        parts: &'a WorkerParts,
        command: SyncRecord,
        correlation: CorrelationId,
        own: UnresolvedAttempt,
        record: Record,
        sequence: Sequence,
        gate: WriteGate,
    ) -> Self {
        Self {
            parts,
            command,
            correlation,
            own,
            record,
            sequence,
            gate,
            calls: CallCounts::default(),
            request_id: None,
            source: None,
            has_written: false,
        }
    }

    pub(super) fn kind(&self) -> ItemType {
        self.command.record.id.kind
    }

    pub(super) fn name(&self) -> ItemName {
        self.command.record.id.name.clone()
    }

    pub(super) fn baseline(&self) -> Option<&Baseline> {
        self.record.baseline.as_ref()
    }

    /// Whether an older intent, of unknown outcome, is carried: the target must be read before anything is written.
    pub(super) fn carries_older(&self) -> bool {
        self.record.unresolved.as_ref().is_some_and(|unresolved| !super::is_own(unresolved, self.own.operation))
    }

    pub(super) async fn open(&self, side: Side) -> Result<Arc<dyn Vault>, VaultError> {
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

    pub(super) fn listed<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        self.calls.list += 1;
        self.note(answer)
    }

    /// Notes a write that was answered, or not.
    pub(super) fn wrote<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        self.calls.set += 1;
        self.has_written |= answer.as_ref().map_or_else(|error| error.may_have_written, |_| true);
        self.note(answer)
    }

    fn note<T>(&mut self, answer: Result<Answer<T>, VaultError>) -> Result<Answer<T>, VaultError> {
        let id =
            answer.as_ref().map_or_else(|error| error.azure_request_id.clone(), |answer| answer.request_id.clone());
        self.request_id = id.or(self.request_id.take());
        answer
    }
}
