//! How a record goes from one state to the next.
//!
//! Each function takes the record as it is and gives the whole next state; whoever appends it expects the sequence it
//! read. Invariants: every status but `pending`, `syncing` and `active` has a code, and those have none; an intent
//! without outcome is carried forward until a read of the target settled it.

use std::time::Duration;

use proto_msgs::{
    ErrorCode, MessageId, Record, Recoverability, Revision, RunId, Status, Timestamp, VersionId,
    config::DeleteTrigger,
    record::{AttemptReport, Baseline, OutcomeKind, UnresolvedAttempt},
    vault::{CallFailure, Detail, SideState},
};

use crate::{backoff, timing::ATTEMPT_MARGIN};

/// An attempt that came to an end without success.
#[derive(Debug, Clone)]
pub struct Ended {
    pub failure: CallFailure,
    pub trace: Trace,
    /// This attempt's own intent.
    pub operation: MessageId,
    pub report: AttemptReport,
    /// The source as it was read, if it was.
    pub source_seen: Option<SideState>,
    /// The target as it was looked at, where that is why it ended: what leave is given for.
    pub target_seen: Option<SideState>,
}

/// Whether an attempt may have left something at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// Certainly nothing.
    None,
    /// A write was sent and its answer never came.
    MayHaveWritten { source_version: Option<VersionId>, x5t: Option<String>, brings: Option<u64> },
}

/// Late attempts that a record names at most; with more, it is compared as a whole anyway.
const LATE_MAX: usize = 4;

/// Will be synced in this run. Whatever was to be deleted is not.
pub fn pending(record: Record, run: Option<RunId>, revision: Revision) -> Record {
    Record {
        status: Status::Pending,
        code: None,
        detail: None,
        attempt: 0,
        next_attempt: None,
        miss: None,
        delete: None,
        run,
        revision,
        ..record
    }
}

/// Its target item will be deleted, once reads confirm that it is gone at the source.
pub fn delete_due(record: Record, seen: DeleteTrigger, run: Option<RunId>, revision: Revision) -> Record {
    let miss = record.miss;
    Record { delete: Some(seen), miss, ..pending(record, run, revision) }
}

/// A delete that is due and held by the bulk-delete breaker.
pub fn held(record: Record, seen: DeleteTrigger, message: String, run: Option<RunId>, revision: Revision) -> Record {
    Record { delete: Some(seen), ..blocked(record, ErrorCode::DeleteHeld, message, None, run, revision) }
}

/// A held delete that somebody released; none: it is not held any more.
pub fn released(record: Record, actor: &str, revision: Revision) -> Option<Record> {
    let seen = record.delete.filter(|_| record.status == Status::BlockedDeleteHeld)?;
    let detail = Some(Detail::new(format!("{actor} released its delete")));
    Some(Record { detail, ..delete_due(record, seen, None, revision) })
}

/// Its target item was deleted. What comes back at the source is a first write.
pub fn deleted(record: Record, report: AttemptReport, now: Timestamp) -> Record {
    let message = match record.delete {
        Some(DeleteTrigger::Deleted) => {
            "the item was soft-deleted at the source, and its copy at the target was as well"
        }
        Some(DeleteTrigger::Purged) | None => {
            "the item is gone from the source, and its copy at the target was soft-deleted"
        }
    };
    Record {
        code: Some(ErrorCode::SourceGone),
        detail: Some(Detail::new(message)),
        deleted_at: Some(now),
        last_attempt: Some(report),
        run: record.run,
        revision: record.revision,
        ..Record::new(record.id, Status::Deleted, None)
    }
}

/// The item of a delete that was due is at the source after all: its next attempt is an ordinary one. That attempt settles
/// what is unresolved.
pub fn came_back(record: Record, report: AttemptReport) -> Record {
    let revision = record.revision;
    Record { last_attempt: Some(report), ..asked(record, revision) }
}

/// Will be synced at once, reading both ends: somebody asked.
pub fn asked(record: Record, revision: Revision) -> Record {
    Record { thorough: true, ..pending(record, None, revision) }
}

/// As it is, with an attempt that may have written after others had gone on.
pub fn doubted(mut record: Record, late: UnresolvedAttempt) -> Record {
    let is_known = record.late.iter().any(|known| known.operation == late.operation);
    if !is_known && record.late.len() < LATE_MAX {
        record.late.push(late);
    }
    Record { thorough: true, ..record }
}

/// As it is, with the late attempts that others noted on it while this state was being made: whoever made it knew
/// nothing of them.
pub fn with_notes(record: Record, noted: &Record) -> Record {
    Record { late: noted.late.clone(), thorough: true, ..record }
}

/// Whether a record that looks settled has to be compared once more.
pub fn is_doubtful(record: &Record) -> bool {
    let is_in_use = matches!(record.status, Status::Active | Status::Drifted);
    is_in_use && (record.thorough || !record.late.is_empty())
}

/// Not attempted, for a reason found without a call. Where the source item was not seen, its miss stands.
pub fn blocked(
    record: Record,
    code: ErrorCode,
    message: String,
    source_seen: Option<SideState>,
    run: Option<RunId>,
    revision: Revision,
) -> Record {
    let status = standing(code);
    let detail = Some(Detail::new(message));
    Record {
        status,
        code: Some(code),
        detail,
        miss: record.miss.filter(|_| source_seen.is_none()),
        source_seen,
        target_seen: None,
        leave: None,
        delete: None,
        attempt: 0,
        next_attempt: None,
        run,
        revision,
        ..record
    }
}

/// Being attempted. An older intent that is not settled stays: this attempt settles it before it writes. One that never
/// came to an end counts as an attempt that failed.
pub fn intent(record: Record, attempt: UnresolvedAttempt, run: Option<RunId>, revision: Revision) -> Record {
    let unresolved = Some(record.unresolved.unwrap_or(attempt));
    Record {
        attempt: record.attempt.saturating_add(u32::from(record.status == Status::Syncing)),
        status: Status::Syncing,
        code: None,
        detail: None,
        next_attempt: None,
        unresolved,
        run,
        revision,
        ..record
    }
}

/// Being attempted, after a read of the target settled the older intents.
pub fn settled(record: Record, attempt: UnresolvedAttempt) -> Record {
    Record { unresolved: Some(attempt), late: Vec::new(), ..record }
}

/// Attempted again and again by workers that never came back: nobody tries again by itself.
pub fn given_up(record: Record, revision: Revision) -> Record {
    let message = format!("{} attempts in a row never came to an end: look at the workers' logs", record.attempt);
    Record {
        status: Status::Failed,
        code: Some(ErrorCode::TransientNetwork),
        detail: Some(Detail::new(message)),
        next_attempt: None,
        revision,
        ..record
    }
}

/// In sync.
pub fn succeeded(record: Record, baseline: Baseline, report: AttemptReport) -> Record {
    Record {
        status: Status::Active,
        code: None,
        detail: None,
        source_seen: Some(baseline.source.clone()),
        baseline: Some(baseline),
        target_seen: None,
        leave: None,
        miss: None,
        delete: None,
        attempt: 0,
        next_attempt: None,
        unresolved: None,
        late: Vec::new(),
        thorough: false,
        last_attempt: Some(report),
        ..record
    }
}

/// Not in sync: retried, blocked or failed, by the code. `jitter` is in 0..1.
pub fn failed(record: Record, ended: Ended, now: Timestamp, jitter: f64) -> Record {
    let code = ended.failure.code;
    let attempt = record.attempt.saturating_add(1);
    let wait = retry_wait(code, attempt, ended.failure.retry_after_ms.map(Duration::from_millis), jitter);
    // Azure may finish a write whose answer was lost: it is not looked for before it had time to.
    let least = if ended.trace == Trace::None { Duration::ZERO } else { ATTEMPT_MARGIN };
    let wait = wait.map(|wait| wait.max(least));
    let unresolved = still_unresolved(record.unresolved.clone(), &ended);
    Record {
        thorough: record.thorough && ended.report.outcome != OutcomeKind::Blocked,
        status: if wait.is_some() { Status::Retrying } else { standing(code) },
        code: Some(code),
        detail: Some(ended.failure.detail),
        source_seen: ended.source_seen.or(record.source_seen),
        target_seen: ended.target_seen.or(record.target_seen),
        // What it was given for is not what is there.
        leave: record.leave.filter(|_| ended.report.outcome != OutcomeKind::Blocked),
        // Only the attempts of one delete in a row: the next cycle finds out whether it is due still.
        delete: record.delete.filter(|_| wait.is_some()),
        attempt,
        next_attempt: wait.map(|wait| now.plus(wait)),
        unresolved,
        last_attempt: Some(ended.report),
        ..record
    }
}

/// The last message of a record whose config is deleted.
pub fn removed(record: Record) -> Record {
    Record { removed: true, next_attempt: None, ..record }
}

/// The status that goes with a code, where nothing is tried again by itself.
fn standing(code: ErrorCode) -> Status {
    const SWITCHED_OFF: [ErrorCode; 3] = [ErrorCode::SourceGone, ErrorCode::RuleNoMatch, ErrorCode::OperatorDisabled];
    match Status::blocked_by(code) {
        Some(blocked) => blocked,
        None if SWITCHED_OFF.contains(&code) => Status::Disabled,
        None if code == ErrorCode::Drift => Status::Drifted,
        None => Status::Failed,
    }
}

fn retry_wait(code: ErrorCode, attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
    match code.recoverability() {
        Recoverability::Auto => backoff::delay(attempt, retry_after, jitter),
        Recoverability::AutoThenOperator if attempt <= 1 => backoff::delay(attempt, retry_after, jitter),
        Recoverability::AutoThenOperator
        | Recoverability::Operator
        | Recoverability::User
        | Recoverability::Scope
        | Recoverability::Manual => None,
    }
}

/// What is carried forward: an older intent nobody settled, or this one if it may have written.
fn still_unresolved(carried: Option<UnresolvedAttempt>, ended: &Ended) -> Option<UnresolvedAttempt> {
    let carried = carried?;
    let is_own = carried.operation == ended.operation;
    match &ended.trace {
        Trace::None if is_own => None,
        Trace::MayHaveWritten { source_version, x5t, brings } if is_own => Some(UnresolvedAttempt {
            source_version: source_version.clone().or(carried.source_version),
            x5t: x5t.clone().or(carried.x5t),
            brings: brings.or(carried.brings),
            ..carried
        }),
        Trace::None | Trace::MayHaveWritten { .. } => Some(carried),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{REVISION, at, baseline, record, report, side, unresolved as own};
    use proto_msgs::ItemType;

    fn syncing(operation: u128) -> Record {
        intent(record(ItemType::Secrets, "a", Status::Pending), own(operation), None, REVISION)
    }

    fn ended(code: ErrorCode, operation: u128, trace: Trace) -> Ended {
        Ended {
            failure: CallFailure { code, detail: Detail::new("x"), retry_after_ms: None },
            trace,
            operation: MessageId::from_random(operation),
            report: report(OutcomeKind::Failed),
            source_seen: None,
            target_seen: None,
        }
    }

    #[test]
    fn every_code_leads_to_a_status_that_goes_with_it() {
        for &code in ErrorCode::ALL {
            let next = failed(syncing(1), ended(code, 1, Trace::None), at(1), 0.5);
            assert!(!next.status.needs_no_code(), "{code}");
            assert_eq!(next.code, Some(code));
            if let Some(expected) = next.status.blocking_code() {
                assert_eq!(expected, code);
            }
            assert_eq!(next.status == Status::Retrying, next.next_attempt.is_some(), "{code}");
        }
    }

    #[test]
    fn a_propagated_delete_says_what_it_followed() {
        for (seen, said) in
            [(DeleteTrigger::Deleted, "was soft-deleted at the source"), (DeleteTrigger::Purged, "gone")]
        {
            let due = delete_due(record(ItemType::Secrets, "a", Status::Active), seen, None, REVISION);
            let next = deleted(due, report(OutcomeKind::Deleted), at(9));
            assert_eq!((next.status, next.code, next.delete), (Status::Deleted, Some(ErrorCode::SourceGone), None));
            let message = next.detail.unwrap().message;
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_transient_failure_is_retried_until_the_eighth() {
        let mut current = syncing(1);
        for attempt in 1..=backoff::ATTEMPTS_MAX {
            current = failed(current, ended(ErrorCode::TransientNetwork, 1, Trace::None), at(1), 0.5);
            let expected = if attempt < backoff::ATTEMPTS_MAX { Status::Retrying } else { Status::Failed };
            assert_eq!((current.status, current.attempt), (expected, attempt));
        }
    }

    #[test]
    fn an_intent_that_certainly_wrote_nothing_is_settled() {
        let next = failed(syncing(1), ended(ErrorCode::Throttled, 1, Trace::None), at(1), 0.5);
        assert_eq!(next.unresolved, None);
    }

    #[test]
    fn an_intent_that_may_have_written_is_carried_with_the_version_it_knew() {
        let version: VersionId = "abc".parse().unwrap();
        let trace = Trace::MayHaveWritten { source_version: Some(version.clone()), x5t: None, brings: Some(7) };
        let next = failed(syncing(1), ended(ErrorCode::TransientNetwork, 1, trace), at(1), 0.5).unresolved.unwrap();
        assert_eq!((next.source_version, next.brings), (Some(version), Some(7)));
    }

    #[test]
    fn an_older_intent_survives_a_newer_attempt_that_did_not_read_the_target() {
        let carried = intent(syncing(1), own(2), None, REVISION);
        assert_eq!(carried.unresolved, Some(own(1)));
        let next = failed(carried.clone(), ended(ErrorCode::Throttled, 2, Trace::None), at(1), 0.5);
        assert_eq!(next.unresolved, Some(own(1)));
        assert_eq!(settled(carried, own(2)).unresolved, Some(own(2)));
    }

    #[test]
    fn an_attempt_that_never_ended_counts_as_one_that_failed() {
        let again = intent(syncing(1), own(2), None, REVISION);
        assert_eq!(again.attempt, 1);
        assert_eq!(pending(again.clone(), None, REVISION).attempt, 0);
        let given_up = given_up(again, REVISION);
        assert_eq!((given_up.status, given_up.unresolved), (Status::Failed, Some(own(1))));
    }

    #[test]
    fn a_late_write_is_remembered_once_until_it_is_settled() {
        let active = succeeded(syncing(1), baseline(side("s1", 1), 10), report(OutcomeKind::Written));
        assert!(!is_doubtful(&active));
        let doubted = doubted(doubted(active, own(7)), own(7));
        assert!(is_doubtful(&doubted));
        assert_eq!((doubted.status, doubted.late.clone()), (Status::Active, vec![own(7)]));
        let again = intent(doubted, own(8), None, REVISION);
        assert_eq!(settled(again, own(8)).late, Vec::new());
    }

    #[test]
    fn an_outcome_does_not_take_away_what_was_noted_meanwhile() {
        let noted = doubted(syncing(1), own(7));
        let active = succeeded(syncing(1), baseline(side("s1", 1), 10), report(OutcomeKind::Written));
        let next = with_notes(active, &noted);
        assert_eq!((next.status, next.late.clone()), (Status::Active, vec![own(7)]));
        assert!(is_doubtful(&next));
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_not_looked_for_at_once() {
        let trace = Trace::MayHaveWritten { source_version: None, x5t: None, brings: Some(7) };
        let next = failed(syncing(1), ended(ErrorCode::TransientNetwork, 1, trace), at(1), 0.0);
        assert_eq!(next.next_attempt, Some(at(1).plus(ATTEMPT_MARGIN)));
    }

    #[test]
    fn success_clears_everything_that_was_open() {
        let next = succeeded(syncing(1), baseline(side("s1", 1), 10), report(OutcomeKind::Written));
        assert_eq!((next.status, next.code, next.attempt, next.unresolved.clone()), (Status::Active, None, 0, None));
        assert_eq!(next.source_seen, next.baseline.map(|b| b.source));
    }

    #[test]
    fn a_block_found_by_the_plan_keeps_what_is_unresolved() {
        let next = blocked(syncing(1), ErrorCode::Excluded, "x".into(), None, None, REVISION);
        assert_eq!((next.status, next.unresolved), (Status::BlockedExcluded, Some(own(1))));
    }
}
