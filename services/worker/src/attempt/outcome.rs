//! The end of an attempt: its outcome goes to the log, or the coordinator is told that it could not.

use std::time::Duration;

use broker::LogError;
use domain::lifecycle::{self, Ended, Trace};
use proto_msgs::{
    Envelope, ErrorCode, MessageId, Record,
    record::{AttemptReport, Baseline, OutcomeKind},
    vault::{CallFailure, Detail},
    worker::OutcomeRefused,
};
use vault::VaultError;

use super::work::{Done, Halt, Work};
use crate::{error::RecordError, metrics::Metrics};

/// How often an outcome is offered while the log cannot be reached; each try takes the client's own limits.
const APPEND_TRIES: u32 = 6;
/// Between two of those.
const APPEND_EVERY: Duration = Duration::from_secs(1);
/// How often a refused outcome is reported; the coordinator's timer finds it too.
const REPORT_TRIES: u32 = 3;
/// Longest a report is waited on.
const REPORT_LIMIT: Duration = Duration::from_secs(3);

pub(super) async fn append(
    work: Work<'_>,
    result: Result<Done, Halt>,
    operation: MessageId,
) -> Result<(), RecordError> {
    let (record, is_unknown) = match result {
        Ok(done) => (succeeded(&work, done), false),
        Err(Halt::Vault(error)) => (failed(&work, &error, operation), error.may_have_written),
        Err(Halt::Block { code, detail }) => (blocked(&work, code, detail, operation), false),
        Err(Halt::Overtaken) => {
            report(&work, None).await;
            return Err(RecordError::OutcomeRefused);
        }
        Err(Halt::Log(error)) => return Err(RecordError::Outcome(error)),
    };
    if is_unknown {
        tracing::warn!(record_id = %record.id, correlation_id = %work.correlation, "the outcome of a write is not known");
    }
    let origin = &work.parts.origin;
    let envelope = Envelope {
        cause: Some(operation),
        ..Envelope::new(origin.message_id(), work.correlation, origin.now(), record)
    };
    let mut tries = 1;
    loop {
        match work.parts.broker.log().append_record(&envelope, work.sequence).await {
            Ok(_) => return Ok(()),
            Err(LogError::Conflict) => {
                Metrics::count(&work.parts.metrics.outcomes_refused_total);
                report(&work, envelope.body.last_attempt.as_ref().and_then(|attempt| attempt.target_version.clone()))
                    .await;
                return Err(RecordError::OutcomeRefused);
            }
            // Not answered, or not reachable: the same envelope again; the typed log knows its own message again.
            Err(LogError::Unknown | LogError::Unavailable(_)) if tries < APPEND_TRIES => {
                tries += 1;
                tokio::time::sleep(APPEND_EVERY).await;
            }
            Err(error) => return Err(RecordError::Outcome(error)),
        }
    }
}

fn succeeded(work: &Work<'_>, done: Done) -> Record {
    let report = attempt_report(work, done.outcome, done.target.version.clone());
    // A sync without a source that was read is one whose attributes came from the listing.
    let (source, read_at) = match &work.source {
        Some(read) => (read.state.clone(), read.date),
        None => match work.baseline() {
            Some(baseline) => (baseline.source.clone(), baseline.read_at),
            None => (done.target.clone(), proto_msgs::Timestamp::default()),
        },
    };
    let baseline = Baseline {
        source,
        target: done.target,
        read_at,
        synced_at: work.parts.origin.now(),
        how: done.how,
        source_uri: work.command.source.uri.clone(),
        target_uri: work.command.target.uri.clone(),
        source_resource_id: work.command.source.resource_id.clone(),
        target_resource_id: work.command.target.resource_id.clone(),
    };
    lifecycle::succeeded(work.record.clone(), baseline, report)
}

fn failed(work: &Work<'_>, error: &VaultError, operation: MessageId) -> Record {
    let read = work.source.as_ref().map(|read| &read.state);
    let trace = match error.may_have_written {
        false => Trace::None,
        true => Trace::MayHaveWritten {
            source_version: read.and_then(|state| state.version.clone()),
            x5t: read.and_then(|state| state.x5t.clone()),
        },
    };
    let outcome = if error.may_have_written { OutcomeKind::Unknown } else { OutcomeKind::Failed };
    end(work, error.failure(), trace, outcome, operation)
}

fn blocked(work: &Work<'_>, code: ErrorCode, detail: Detail, operation: MessageId) -> Record {
    end(work, CallFailure { code, detail, retry_after_ms: None }, Trace::None, OutcomeKind::Blocked, operation)
}

fn end(work: &Work<'_>, failure: CallFailure, trace: Trace, outcome: OutcomeKind, operation: MessageId) -> Record {
    let ended = Ended {
        failure,
        trace,
        operation,
        report: attempt_report(work, outcome, None),
        source_seen: work.source.as_ref().map(|read| read.state.clone()),
    };
    let origin = &work.parts.origin;
    lifecycle::failed(work.record.clone(), ended, origin.now(), origin.jitter())
}

fn attempt_report(
    work: &Work<'_>,
    outcome: OutcomeKind,
    target_version: Option<proto_msgs::VersionId>,
) -> AttemptReport {
    let origin = &work.parts.origin;
    AttemptReport {
        worker: origin.member().clone(),
        started: work.own.started,
        duration_ms: u64::try_from(origin.now().since(work.own.started).as_millis()).unwrap_or(u64::MAX),
        outcome,
        calls: work.calls,
        source_version: work.source.as_ref().and_then(|read| read.state.version.clone()),
        target_version,
        azure_request_id: work.request_id.clone(),
    }
}

/// Somebody else went on with the record while this attempt may have written: the coordinator compares it again.
async fn report(work: &Work<'_>, target_version: Option<proto_msgs::VersionId>) {
    let origin = &work.parts.origin;
    let refused = OutcomeRefused {
        record: work.record.id.clone(),
        worker: origin.member().clone(),
        epoch: work.command.epoch,
        intent: work.sequence,
        may_have_written: work.has_written,
        target_version,
    };
    tracing::warn!(record_id = %refused.record, correlation_id = %work.correlation, may_have_written = refused.may_have_written, "outcome was refused");
    let subject = work.parts.broker.subjects.config_refused(&refused.record.config);
    let envelope = origin.envelope(work.correlation, refused);
    for _ in 0..REPORT_TRIES {
        match broker::ask::<OutcomeRefused, ()>(work.parts.broker.bus.as_ref(), &subject, &envelope, REPORT_LIMIT).await
        {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(record_id = %work.record.id, error = %error, "refused outcome could not be reported");
                tokio::time::sleep(APPEND_EVERY).await;
            }
        }
    }
}
