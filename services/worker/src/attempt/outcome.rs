//! The end of an attempt: its outcome goes to the log.

use domain::lifecycle::{self, Ended, Trace};
use proto_msgs::{
    ErrorCode, Record, VersionId,
    record::{AttemptReport, Baseline, OutcomeKind},
    vault::{CallFailure, Detail},
};
use vault::{VaultError, VaultErrorKind};

use super::{
    append::{NotAppended, append},
    doubt,
    work::{Done, Halt, Work},
};
use crate::error::RecordError;

pub(super) async fn conclude(mut work: Work<'_>, result: Result<Done, Halt>) -> Result<(), RecordError> {
    let record = match result {
        Ok(done) => succeeded(&work, done),
        Err(Halt::Vault(error)) => failed(&work, &error),
        Err(Halt::Block { code, detail }) => blocked(&work, code, detail),
        Err(Halt::Unconfirmed(detail)) => unconfirmed(&work, detail),
        Err(Halt::NotAppended(error)) => return Err(not_appended(&work, error).await),
    };
    let cause = Some(work.own.operation);
    match append(&mut work, record, cause).await {
        Ok(()) => Ok(()),
        Err(error) => Err(not_appended(&work, error).await),
    }
}

async fn not_appended(work: &Work<'_>, error: NotAppended) -> RecordError {
    match error {
        NotAppended::Overtaken => doubt::refused(work).await,
        NotAppended::Log(error) => RecordError::Outcome(error),
    }
}

fn succeeded(work: &Work<'_>, done: Done) -> Record {
    let report = attempt_report(work, done.outcome, done.target.version.clone());
    let read = work.source.clone().expect("nothing is done to a target before its source was read or listed");
    let baseline = Baseline {
        source: read.state,
        target: done.target,
        read_at: read.date,
        synced_at: work.parts.origin.now(),
        how: done.how,
        source_uri: work.command.source.uri.clone(),
        target_uri: work.command.target.uri.clone(),
        source_resource_id: work.command.source.resource_id.clone(),
        target_resource_id: work.command.target.resource_id.clone(),
    };
    lifecycle::succeeded(work.record.clone(), baseline, report)
}

fn failed(work: &Work<'_>, error: &VaultError) -> Record {
    let mut failure = error.failure();
    // What was never there cannot have drifted.
    if failure.code == ErrorCode::Drift && work.baseline().is_none() {
        failure.code = ErrorCode::Unknown;
    }
    if !error.may_have_written {
        let report = AttemptReport {
            failed: Some(error.side),
            throttled: (error.kind == VaultErrorKind::Throttled).then_some(error.side),
            retry_after_ms: failure.retry_after_ms,
            ..attempt_report(work, OutcomeKind::Failed, None)
        };
        return end(work, failure, Trace::None, report);
    }
    tracing::warn!(record_id = %work.record.id, correlation_id = %work.correlation, error = error as &dyn std::error::Error, "the outcome of a write is not known");
    let named = work.named();
    let trace = Trace::MayHaveWritten { source_version: named.source_version, x5t: named.x5t };
    let report = AttemptReport { failed: Some(error.side), ..attempt_report(work, OutcomeKind::Unknown, None) };
    end(work, failure, trace, report)
}

fn blocked(work: &Work<'_>, code: ErrorCode, detail: Detail) -> Record {
    let report = attempt_report(work, OutcomeKind::Blocked, None);
    end(work, CallFailure { code, detail, retry_after_ms: None }, Trace::None, report)
}

/// Tried again soon: whoever owns the config by then, and under its newest revision.
fn unconfirmed(work: &Work<'_>, detail: Detail) -> Record {
    let report = attempt_report(work, OutcomeKind::Failed, None);
    let failure = CallFailure { code: ErrorCode::TransientNetwork, detail, retry_after_ms: None };
    end(work, failure, Trace::None, report)
}

fn end(work: &Work<'_>, failure: CallFailure, trace: Trace, report: AttemptReport) -> Record {
    let source_seen = work.source.as_ref().map(|read| read.state.clone());
    let ended = Ended { failure, trace, operation: work.own.operation, report, source_seen };
    let origin = &work.parts.origin;
    lifecycle::failed(work.record.clone(), ended, origin.now(), origin.jitter())
}

fn attempt_report(work: &Work<'_>, outcome: OutcomeKind, target_version: Option<VersionId>) -> AttemptReport {
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
        throttled: None,
        failed: None,
        retry_after_ms: None,
    }
}
