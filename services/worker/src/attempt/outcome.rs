//! The end of an attempt: its outcome goes to the log.

use domain::{
    leave,
    lifecycle::{self, Ended, Trace},
    mutant::{self, Mutant},
};
use proto_msgs::{
    ErrorCode, Record, VersionId,
    record::{AttemptReport, OutcomeKind, UnresolvedAttempt},
    vault::{CallFailure, Detail, Side},
};
use vault::{VaultError, VaultErrorKind};

use super::{
    append::{NotAppended, append},
    doubt, steps,
    work::{Done, End, Halt, Work},
};
use crate::error::RecordError;

pub(super) async fn conclude(mut work: Work<'_>, result: Result<End, Halt>) -> Result<(), RecordError> {
    let record = match result {
        Ok(End::Synced(done)) => succeeded(&work, done),
        Ok(End::Deleted(outcome)) => deleted(&work, outcome),
        Ok(End::CameBack) => came_back(&work),
        Err(Halt::Vault(error)) if error.kind == VaultErrorKind::GateClosed && is_called_off(&work) => {
            called_off(&work)
        }
        Err(Halt::Vault(error)) if error.kind == VaultErrorKind::GateClosed => unconfirmed(&work, not_sent()),
        Err(Halt::Vault(error)) => {
            if error.kind == VaultErrorKind::SoftDeleted && error.side == Side::Target && work.seen.is_none() {
                steps::see_deleted(&mut work).await;
            }
            failed(&work, &error)
        }
        Err(Halt::Block { code, detail }) => blocked(&work, code, detail),
        Err(Halt::Unconfirmed(detail)) => unconfirmed(&work, detail),
        Err(Halt::NotAppended(error)) => return Err(not_appended(&work, error).await),
    };
    let cause = Some(work.own.operation);
    match append(&mut work, record, cause).await {
        Ok(()) => {
            tell(&work);
            Ok(())
        }
        Err(error) => Err(not_appended(&work, error).await),
    }
}

fn tell(work: &Work<'_>) {
    let (record, report, own) = (&work.record, work.record.last_attempt.as_ref(), &work.own);
    let (outcome, took) = (report.map(|report| report.outcome.as_str()), report.map(|report| report.duration_ms));
    tracing::info!(record_id = %record.id, worker_id = %own.worker, epoch = own.epoch.0, message_id = %own.operation, correlation_id = %work.correlation, status = %record.status, code = record.code.map(ErrorCode::as_str), outcome, duration_ms = took, "attempt ended");
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
    let mut baseline = work.left(read, done.target, done.how);
    if work.is_accepted {
        baseline.source.version = None;
    }
    let accepted = work.is_accepted.then(|| leave::accepted_detail(work.kind(), "somebody"));
    let detail = work.remark.clone().map(Detail::new).or(accepted);
    Record { detail, ..lifecycle::succeeded(work.record.clone(), baseline, report) }
}

fn deleted(work: &Work<'_>, outcome: OutcomeKind) -> Record {
    let (report, before) = (attempt_report(work, outcome, None), work.record.clone());
    let deleted_at = before.deleted_at;
    let record = lifecycle::deleted(before, report, work.parts.origin.now());
    if outcome != OutcomeKind::Equal {
        return record;
    }
    let detail = Detail::new("the item is gone from the source, and was gone from the target already");
    Record { detail: Some(detail), deleted_at, ..record }
}

fn came_back(work: &Work<'_>) -> Record {
    let report = attempt_report(work, OutcomeKind::Blocked, None);
    // Older attempts are not settled by a look at the source.
    let unresolved = older_intent(work);
    Record { unresolved, ..lifecycle::came_back(work.record.clone(), report) }
}

fn older_intent(work: &Work<'_>) -> Option<UnresolvedAttempt> {
    work.record.unresolved.clone().filter(|carried| carried.operation != work.own.operation)
}

/// A delete that is called off is planned again, if it is due still.
fn is_called_off(work: &Work<'_>) -> bool {
    work.record.delete.is_none() && work.fences.is_called_off(&work.record.id.config, work.command.revision)
}

/// No failure: it waits as whatever else of its config was not begun.
fn called_off(work: &Work<'_>) -> Record {
    let message =
        "the attempt wrote nothing, since its config was edited or paused meanwhile, or everything was stopped";
    let (detail, unresolved, run) = (Some(Detail::new(message)), older_intent(work), work.record.run);
    let report = attempt_report(work, OutcomeKind::Blocked, None);
    Record { detail, unresolved, run, ..lifecycle::came_back(work.record.clone(), report) }
}

fn failed(work: &Work<'_>, error: &VaultError) -> Record {
    let mut failure = error.failure();
    // What was never there cannot have drifted.
    if failure.code == ErrorCode::Drift && work.baseline().is_none() {
        failure.code = ErrorCode::Unknown;
    }
    let is_unknown = error.may_have_written && !mutant::is(Mutant::UnknownDidNotHappen);
    let report = attempt_report(work, if is_unknown { OutcomeKind::Unknown } else { OutcomeKind::Failed }, None);
    let report = AttemptReport {
        failed: Some(error.side),
        throttled: failure.asks_for_rest().then_some(error.side).or(report.throttled),
        retry_after_ms: failure.retry_after_ms.or(report.retry_after_ms),
        ..report
    };
    if !is_unknown {
        return end(work, failure, Trace::None, report);
    }
    tracing::warn!(record_id = %work.record.id, correlation_id = %work.correlation, error = error as &dyn std::error::Error, "the outcome of a write is not known");
    let named = work.named();
    let trace = Trace::MayHaveWritten { source_version: named.source_version, x5t: named.x5t, brings: named.brings };
    end(work, failure, trace, report)
}

fn blocked(work: &Work<'_>, code: ErrorCode, detail: Detail) -> Record {
    let report = attempt_report(work, OutcomeKind::Blocked, None);
    end(work, CallFailure { code, detail, retry_after_ms: None }, Trace::None, report)
}

/// Says nothing of a vault: the worker kept the write back.
fn not_sent() -> Detail {
    let why = "its time was over before the write left, or NATS was not heard meanwhile";
    Detail::new(format!("this attempt wrote nothing: {why}; it is tried again"))
}

/// Tried again soon: whoever owns the config by then, and under its newest revision.
fn unconfirmed(work: &Work<'_>, detail: Detail) -> Record {
    let report = attempt_report(work, OutcomeKind::Failed, None);
    let failure = CallFailure { code: ErrorCode::TransientNetwork, detail, retry_after_ms: None };
    end(work, failure, Trace::None, report)
}

fn end(work: &Work<'_>, failure: CallFailure, trace: Trace, report: AttemptReport) -> Record {
    let source_seen = work.source.as_ref().map(|read| read.state.clone());
    let (is_by_target, mut record) = (is_by_target(failure.code), work.record.clone());
    // Leave was given for what was seen before, which the soft-deleted item in the way is not.
    let is_by_target = is_by_target && !(failure.code == ErrorCode::TargetSoftDeleted && record.leave.is_some());
    if is_by_target {
        record.target_seen = None;
    }
    let target_seen = work.seen.clone().filter(|_| is_by_target);
    let ended = Ended { failure, trace, operation: work.own.operation, report, source_seen, target_seen };
    let origin = &work.parts.origin;
    lifecycle::failed(record, ended, origin.now(), origin.jitter())
}

/// Whether it is what was seen at the target that decided: leave is given for that.
fn is_by_target(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TargetConflictActive
            | ErrorCode::TargetKeyExists
            | ErrorCode::TargetNameTaken
            | ErrorCode::TargetSoftDeleted
            | ErrorCode::AttributeCannotBeCleared
            | ErrorCode::Drift
    )
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
        throttled: work.throttled.as_ref().map(|error| error.side),
        failed: None,
        answered: work.answered.clone(),
        retry_after_ms: work.throttled.as_ref().and_then(|error| error.failure().retry_after_ms),
    }
}
