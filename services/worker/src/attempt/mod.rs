//! One attempt: intent, reads, decision, write, outcome.
//!
//! The order is the protocol. A refused intent touches nothing. A write may begin until ten seconds after the intent
//! was published, while NATS is heard and the config is as it was, asked of a gate directly before the request leaves.
//! An older intent without outcome is settled by reading the target before anything is written. What is not
//! Keyferry's is overwritten, and anything deleted, only after the log's leader confirmed it. What somebody changed at
//! the target is left to the config's drift policy. An outcome that is refused leaves a note on the record.

mod append;
mod certificates;
mod confirm;
mod delete;
mod doubt;
mod keys;
mod outcome;
mod secrets;
mod steps;
mod unresolved;
mod work;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    compare::print_of_carried,
    lifecycle,
    mutant::{self, Mutant},
    timing::WRITE_MAY_BEGIN_WITHIN,
};
use proto_msgs::{
    CorrelationId, Envelope, ItemType, MessageId, Timestamp,
    record::UnresolvedAttempt,
    vault::{CallCounts, Side},
    worker::SyncRecord,
};
use vault::WriteGate;

use crate::{WorkerParts, error::RecordError, fences::Fences, metrics::Metrics};
use work::{End, Work};

/// Makes one attempt. `Ok`: its outcome is in the log, whichever it is.
pub(crate) async fn run(
    parts: &WorkerParts,
    fences: &Arc<Fences>,
    command: SyncRecord,
    correlation: CorrelationId,
) -> Result<(), RecordError> {
    let operation = parts.origin.message_id();
    let (started, gate) = (parts.origin.now(), gate(parts, fences, &command));
    let own = about_to(parts, &command, operation, started);
    let record = lifecycle::intent(command.record.clone(), own.clone(), command.record.run, command.revision);
    let intent = Envelope::new(operation, correlation, started, record.clone());
    let expected = if mutant::is(Mutant::IntentWithoutExpectation) {
        parts.broker.log().record(&record.id).await.ok().flatten().map_or(command.expected, |head| head.sequence)
    } else {
        command.expected
    };
    let sequence = match parts.broker.log().append_record(&intent, expected).await {
        Ok(sequence) => sequence,
        Err(broker::LogError::Conflict) => {
            Metrics::count(&parts.metrics.intents_refused_total);
            return Err(RecordError::IntentRefused);
        }
        Err(error) => return Err(RecordError::Intent(error)),
    };
    let mut work = Work {
        parts,
        command,
        correlation,
        own,
        record,
        sequence,
        message: operation,
        noted: None,
        gate,
        fences,
        calls: CallCounts::default(),
        request_id: None,
        asked: Side::Source,
        answered: BTreeSet::new(),
        throttled: None,
        source: None,
        seen: None,
        rotation: None,
        remark: None,
        is_accepted: false,
        resolved: None,
        has_written: false,
    };
    let result = match (work.record.delete, work.kind()) {
        (Some(seen), _) => delete::propagate(&mut work, seen).await,
        (None, ItemType::Secrets) => secrets::sync(&mut work).await.map(End::Synced),
        (None, ItemType::Certificates) => certificates::sync(&mut work).await.map(End::Synced),
        (None, ItemType::Keys) => keys::sync(&mut work).await.map(End::Synced),
    };
    outcome::conclude(work, result).await
}

/// What an attempt is about to do, as far as the listing tells.
fn about_to(parts: &WorkerParts, command: &SyncRecord, operation: MessageId, started: Timestamp) -> UnresolvedAttempt {
    let listed = command.listed.as_ref();
    UnresolvedAttempt {
        operation,
        worker: parts.origin.member().clone(),
        epoch: command.epoch,
        started,
        source_version: None,
        source_updated: listed.and_then(|item| item.updated),
        x5t: listed.and_then(|item| item.x5t.clone()),
        brings: listed.map(|item| print_of_carried(command.record.id.kind, &item.attributes)),
        deletes: command.record.delete.is_some(),
    }
}

/// Open for ten seconds from now, which is just before the intent is published, as long as NATS can be reached and
/// nothing is known that stops the config or changed it.
fn gate(parts: &WorkerParts, fences: &Arc<Fences>, command: &SyncRecord) -> WriteGate {
    let (origin, bus, fences) = (parts.origin.clone(), parts.broker.bus.clone(), fences.clone());
    let (config, revision) = (command.record.id.config, command.revision);
    let closes = origin.boot().plus(WRITE_MAY_BEGIN_WITHIN);
    WriteGate::new(move || {
        let now = origin.boot();
        let is_young = now < closes || mutant::is(Mutant::NoWriteGate);
        let is_connected = bus.is_connected() || mutant::is(Mutant::WriteUnheard);
        is_young && is_connected && fences.may_write(&config, revision, now)
    })
}
