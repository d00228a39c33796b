//! What becomes of an attempt whose outcome was refused: somebody else went on with the record while it may have
//! written. The log itself remembers that, so that neither this worker nor any coordinator has to.

use broker::LogError;
use domain::{
    lifecycle,
    mutant::{self, Mutant},
};
use proto_msgs::{Envelope, Record, Status, record::UnresolvedAttempt};

use super::{
    append::{TRIES, TRY_EVERY},
    work::Work,
};
use crate::{error::RecordError, metrics::Metrics};

/// Notes on the record, as it is by now, that this attempt may have written.
pub(super) async fn refused(work: &Work<'_>) -> RecordError {
    let (record, worker) = (&work.record.id, work.parts.origin.member());
    Metrics::count(&work.parts.metrics.outcomes_refused_total);
    if !work.has_written || mutant::is(Mutant::LateIsForgotten) {
        tracing::info!(record_id = %record, worker_id = %worker, correlation_id = %work.correlation, "outcome was refused: nothing had been written");
        return RecordError::OutcomeRefused;
    }
    let late = work.named();
    tracing::warn!(record_id = %record, worker_id = %worker, epoch = work.command.epoch.0, message_id = %late.operation, correlation_id = %work.correlation, "outcome was refused: the record is compared again");
    for _ in 0..TRIES {
        match note(work, &late).await {
            Ok(()) => return RecordError::OutcomeRefused,
            Err(error) => {
                tracing::debug!(record_id = %record, error = &error as &dyn std::error::Error, "refused outcome could not be noted yet");
                tokio::time::sleep(TRY_EVERY).await;
            }
        }
    }
    tracing::error!(record_id = %record, worker_id = %worker, message_id = %late.operation, correlation_id = %work.correlation, "refused outcome could not be noted: replicate the record by hand");
    RecordError::OutcomeRefused
}

async fn note(work: &Work<'_>, late: &UnresolvedAttempt) -> Result<(), LogError> {
    let log = work.parts.broker.log();
    let Some(head) = log.record(&work.record.id).await? else { return Ok(()) };
    let (message, record) = (head.envelope.id, head.envelope.body);
    // A record that leaves with its config is not compared any more.
    if record.removed || is_noted(&record, late) {
        return Ok(());
    }
    // Of an attempt under way the cause is always its intent, however often it was annotated: it builds on that.
    let cause = match record.status == Status::Syncing {
        true => head.envelope.cause.unwrap_or(message),
        false => message,
    };
    let envelope = Envelope {
        cause: Some(cause),
        ..work.parts.origin.envelope(work.correlation, lifecycle::doubted(record, late.clone()))
    };
    log.append_record(&envelope, head.sequence).await.map(drop)
}

fn is_noted(record: &Record, late: &UnresolvedAttempt) -> bool {
    record.late.iter().any(|known| known.operation == late.operation)
}
