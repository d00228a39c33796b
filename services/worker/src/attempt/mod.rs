//! One attempt: intent, reads, decision, write, outcome.
//!
//! The order is the protocol. A refused intent touches nothing. A write may begin until ten seconds after the intent
//! was published, asked of a gate directly before the request leaves. An older intent without outcome is settled by
//! reading the target before anything is written. An outcome that is refused is reported, never dropped.

mod certificates;
mod keys;
mod outcome;
mod secrets;
mod steps;
mod unresolved;
mod work;

use domain::{lifecycle, timing::WRITE_MAY_BEGIN_WITHIN};
use proto_msgs::{CorrelationId, Envelope, ItemType, MessageId, record::UnresolvedAttempt, worker::SyncRecord};
use vault::WriteGate;

use crate::{WorkerParts, error::RecordError, metrics::Metrics};
use work::Work;

/// Makes one attempt. `Ok`: its outcome is in the log, whichever it is.
pub(crate) async fn run(
    parts: &WorkerParts,
    command: SyncRecord,
    correlation: CorrelationId,
) -> Result<(), RecordError> {
    let operation = parts.origin.message_id();
    let (started, gate) = (parts.origin.now(), gate(parts));
    let own = UnresolvedAttempt {
        operation,
        worker: parts.origin.member().clone(),
        epoch: command.epoch,
        started,
        source_version: None,
        source_updated: command.listed.as_ref().and_then(|item| item.updated),
        x5t: command.listed.as_ref().and_then(|item| item.x5t.clone()),
    };
    let record = lifecycle::intent(command.record.clone(), own.clone(), command.record.run, command.revision);
    let intent = Envelope::new(operation, correlation, started, record.clone());
    let sequence = match parts.broker.log().append_record(&intent, command.expected).await {
        Ok(sequence) => sequence,
        Err(broker::LogError::Conflict) => {
            Metrics::count(&parts.metrics.intents_refused_total);
            return Err(RecordError::IntentRefused);
        }
        Err(error) => return Err(RecordError::Intent(error)),
    };
    let mut work = Work::new(parts, command, correlation, own, record, sequence, gate);
    let result = match work.kind() {
        ItemType::Secrets => secrets::sync(&mut work).await,
        ItemType::Certificates => certificates::sync(&mut work).await,
        ItemType::Keys => keys::sync(&mut work).await,
    };
    outcome::append(work, result, operation).await
}

/// Open for ten seconds from now, which is just before the intent is published, while NATS can be reached.
fn gate(parts: &WorkerParts) -> WriteGate {
    let (origin, bus) = (parts.origin.clone(), parts.broker.bus.clone());
    let closes = origin.boot().plus(WRITE_MAY_BEGIN_WITHIN);
    WriteGate::new(move || origin.boot() < closes && bus.is_connected())
}

/// The id of an attempt is its intent's.
pub(super) fn is_own(unresolved: &UnresolvedAttempt, operation: MessageId) -> bool {
    unresolved.operation == operation
}
