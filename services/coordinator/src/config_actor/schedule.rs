//! When the next run starts: by the schedule, by an edit, or because records or listings ran out of attempts.
//!
//! Times follow from the last run in the log, so that a coordinator that was away over a due time starts one run, not
//! many, and whoever takes over goes by the same clock.

use std::{collections::BTreeSet, time::Duration};

use actix::Context;
use domain::{backoff, index::Index, timing::INTERVAL_JITTER};
use proto_msgs::{
    Config, CorrelationId, ErrorCode, Recoverability, Run, ScheduleMode, Status, Timestamp,
    run::{NextRun, Trigger},
};

use super::{ConfigActor, run};

impl ConfigActor {
    /// Asks for a run; the answer is the one that will be started, which may have been asked for before.
    pub(super) fn want_run(&mut self, trigger: Trigger, correlation: Option<CorrelationId>) -> &mut NextRun {
        let origin = &self.parts.parts.origin;
        let fresh = || NextRun {
            id: origin.run_id(),
            correlation_id: correlation.unwrap_or_else(|| origin.correlation_id()),
            trigger,
            asked_by: BTreeSet::new(),
        };
        self.runs.wanted.get_or_insert_with(fresh)
    }

    /// Takes up the run another owner left open, or sets the clock for the next.
    pub(super) fn resume(&mut self) {
        let Some(last) = self.runs.last.as_ref().map(|entry| entry.envelope.body.clone()) else {
            return self.schedule_edited(self.runs.has_outdated);
        };
        if last.is_open() {
            self.runs.wanted = Some(run::to_resume(&last));
        } else if let Some(next) = last.next {
            self.runs.wanted = Some(next);
        } else if last.revision != self.revision || self.runs.has_outdated {
            self.schedule_edited(self.runs.has_outdated);
        } else {
            self.schedule_after(&last);
        }
    }

    /// A config that was saved is looked at, unless it never runs by itself. One that does not is planned again all the
    /// same, if the edit interrupted something.
    pub(super) fn schedule_edited(&mut self, has_interrupted: bool) {
        if (has_interrupted || runs_by_itself(&self.config)) && !self.config.deleted {
            self.want_run(Trigger::Saved, None);
        }
    }

    /// The config does not run by itself any more: of what nobody asked for, only what began or was interrupted goes on.
    pub(super) fn forget_schedule(&mut self) {
        (self.runs.next, self.runs.follow_up) = (None, None);
        let last = self.runs.last.as_ref().map(|entry| &entry.envelope.body);
        let begun =
            last.and_then(|run| if run.is_open() { Some(run.id) } else { run.next.as_ref().map(|next| next.id) });
        let goes_on = |wanted: &NextRun| {
            let is_asked_for = match wanted.trigger {
                Trigger::Manual | Trigger::Expand => true,
                Trigger::Saved | Trigger::Schedule | Trigger::FollowUp => !wanted.asked_by.is_empty(),
            };
            is_asked_for || Some(wanted.id) == begun
        };
        self.runs.wanted = self.runs.wanted.take().filter(goes_on);
    }

    /// Sets the clock for what comes after a run that ended.
    pub(super) fn schedule_after(&mut self, last: &Run) {
        let ended = last.ended.unwrap_or(last.started);
        let share = 1.0 + INTERVAL_JITTER * (2.0 * self.parts.parts.origin.jitter() - 1.0);
        let wait = self.config.spec.behaviour.interval.as_duration().mul_f64(share);
        let next_cycle = runs_by_itself(&self.config).then_some(wait);
        self.runs.next = next_cycle.map(|wait| ended.plus(wait));
        // What never runs by itself is not followed up either: a run copies whatever has changed by then.
        let follow_up = next_cycle.and_then(|wait| follow_up(&self.index, last, wait));
        self.runs.follow_up = follow_up.map(|wait| ended.plus(wait));
        if let Some(wait) = follow_up {
            tracing::info!(config_id = %last.config, minutes = wait.as_secs() / 60, "records or listings ran out of attempts: a run follows");
        }
    }

    /// A record ran out of attempts. In a run, its end looks at all of them; many after it are one follow-up run.
    pub(super) fn follow_up_soon(&mut self) {
        let Some(last) = self.runs.last.as_ref().map(|entry| &entry.envelope.body) else { return };
        let Some(next_cycle) = self.runs.next.filter(|_| self.run.is_none() && self.runs.follow_up.is_none()) else {
            return;
        };
        let now = self.now();
        let wait = backoff::follow_up(last.follow_up, next_cycle.since(now));
        self.runs.follow_up = wait.map(|wait| now.plus(wait));
    }

    pub(super) fn start_when_due(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        let has_to_wait = self.runs.not_before.is_some_and(|moment| now < moment);
        let may_start = self.may_work() && self.parts.fleet.has_workers();
        if self.run.is_some() || self.runs.is_starting || has_to_wait || !may_start {
            return;
        }
        if take_due(&mut self.runs.next, now) {
            self.want_run(Trigger::Schedule, None);
        }
        if take_due(&mut self.runs.follow_up, now) {
            self.want_run(Trigger::FollowUp, None);
        }
        if let Some(wanted) = self.runs.wanted.clone() {
            self.start(wanted, context);
        }
    }

    /// When the schedule starts the next run, a follow-up among them; none while nothing may start.
    pub(super) fn next_run(&self) -> Option<Timestamp> {
        let next = [self.runs.next, self.runs.follow_up].into_iter().flatten().min();
        next.filter(|_| !self.is_halted())
    }

    /// Whether nothing was verified for two intervals. A config that never runs by itself promises no interval.
    pub(super) fn is_stale(&self) -> bool {
        let verified = self.runs.last_verified.unwrap_or(self.config.created);
        let interval = self.config.spec.behaviour.interval.as_duration();
        runs_by_itself(&self.config) && self.now().since(verified) > interval * 2
    }
}

/// Whether the schedule starts runs of a config, and not somebody alone.
pub(super) fn runs_by_itself(config: &Config) -> bool {
    config.spec.behaviour.schedule_mode == ScheduleMode::Interval
}

/// How many follow-up runs in a row a run with this trigger is, itself included.
pub(super) fn follow_ups(trigger: Trigger, last: Option<&Run>) -> u32 {
    match trigger {
        Trigger::FollowUp => last.map_or(0, |last| last.follow_up) + 1,
        Trigger::Saved | Trigger::Schedule | Trigger::Manual | Trigger::Expand => 0,
    }
}

/// How long after a run the next looks at what ran out of attempts: records, or listings, without which nobody knows
/// what there is to copy.
fn follow_up(index: &Index, last: &Run, next_cycle: Duration) -> Option<Duration> {
    let mut records = index.iter().map(|(_, entry)| ran_out(entry.status, entry.code, entry.attempt));
    let mut listings = last.failures.iter().map(|failure| failure.code.recoverability() == Recoverability::Auto);
    if records.any(|ran_out| ran_out) || listings.any(|ran_out| ran_out) {
        backoff::follow_up(last.follow_up, next_cycle)
    } else {
        None
    }
}

/// Whether a record failed because it ran out of attempts.
pub(super) fn ran_out(status: Status, code: Option<ErrorCode>, attempt: u32) -> bool {
    status == Status::Failed && code.is_some_and(|code| backoff::ran_out(code, attempt))
}

fn take_due(moment: &mut Option<Timestamp>, now: Timestamp) -> bool {
    let is_due = moment.is_some_and(|moment| moment <= now);
    if is_due {
        *moment = None;
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{record, run};
    use domain::backoff::ATTEMPTS_MAX;
    use proto_msgs::{ItemType, Record, Sequence, run::ListingFailure, vault::Side, worker::Listing};

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn failed(code: ErrorCode, attempt: u32) -> Index {
        let mut index = Index::new();
        let record = Record { code: Some(code), attempt, ..record(1, "a", Status::Failed) };
        index.upsert(&record, Sequence(1));
        index
    }

    fn minutes(index: &Index, done: u32) -> Option<u64> {
        let last = Run { follow_up: done, ..run(Trigger::Schedule) };
        follow_up(index, &last, DAY).map(|wait| wait.as_secs() / 60)
    }

    #[test]
    fn runs_follow_after_15_30_and_60_minutes_where_attempts_ran_out() {
        let index = failed(ErrorCode::TransientNetwork, ATTEMPTS_MAX);
        assert_eq!([0, 1, 2, 3].map(|done| minutes(&index, done)), [Some(15), Some(30), Some(60), None]);
    }

    #[test]
    fn no_run_follows_what_only_an_operator_can_mend() {
        assert_eq!(minutes(&failed(ErrorCode::TargetAuthFailed, 1), 0), None);
        assert_eq!(minutes(&Index::new(), 0), None);
    }

    #[test]
    fn a_run_follows_where_a_listing_ran_out_of_attempts() {
        let broke_off = |code| ListingFailure {
            side: Side::Source,
            kind: ItemType::Secrets,
            listing: Listing::Live,
            code,
            message: "x".to_owned(),
        };
        let waits = |code| {
            let last = Run { failures: vec![broke_off(code)], ..run(Trigger::Schedule) };
            follow_up(&Index::new(), &last, DAY).map(|wait| wait.as_secs() / 60)
        };
        assert_eq!([ErrorCode::Throttled, ErrorCode::SourceAuthFailed].map(waits), [Some(15), None]);
    }

    #[test]
    fn follow_ups_are_counted_in_a_row_and_end_with_any_other_run() {
        let third = Run { follow_up: 2, ..run(Trigger::FollowUp) };
        assert_eq!(follow_ups(Trigger::FollowUp, Some(&third)), 3);
        assert_eq!(follow_ups(Trigger::FollowUp, None), 1);
        assert_eq!(follow_ups(Trigger::Schedule, Some(&third)), 0);
    }

    #[test]
    fn a_time_that_came_is_due_once() {
        let mut moment = Some(Timestamp::from_unix_seconds(10));
        assert!(!take_due(&mut moment, Timestamp::from_unix_seconds(9)));
        assert!(take_due(&mut moment, Timestamp::from_unix_seconds(1_000_000)));
        assert!(!take_due(&mut moment, Timestamp::from_unix_seconds(1_000_000)));
    }
}
