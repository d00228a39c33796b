//! Runs: how one starts, how it goes on after a change of owner, when it is over.
//!
//! The first message of a run is its lock: whoever cannot append it does not run. What is asked for while a run is open
//! merges into one more run behind it, whose id stands in the open run's state before anybody is promised it.

use std::{collections::BTreeSet, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, Incoming, LogError};
use domain::{
    index::{Index, IndexEntry},
    timing::RUN_MIN_LIMIT,
};
use proto_msgs::{
    CorrelationId, Envelope, RecordKey, Run, RunId, Sequence, Status, Timestamp,
    api::CommandReply,
    run::{NextRun, Phase, RunCounts, RunEnd, Trigger},
    vault::CallFailure,
};

use super::{ConfigActor, schedule};

/// A run whose start or end could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// A run under way tells how far it is this often: one small message for as many records as a worker brings in meanwhile.
const MARK_EVERY: Duration = Duration::from_secs(5);
/// Requests that wait for a run to be written: an asker gives up after seconds, and nobody asks a thousand times.
const WAITING_MAX: usize = 64;
/// Names that a run keeps of who asked for it: an installation has a handful of tokens.
const ASKERS_MAX: usize = 16;

/// The run that is open.
pub(super) struct ActiveRun {
    pub state: Run,
    /// When this owner took it up: its time is counted from then.
    pub since: Timestamp,
    /// Planned records without an outcome.
    pub outstanding: BTreeSet<RecordKey>,
    /// The plan's steps are on their way into the log.
    pub is_applying: bool,
    /// They are all there.
    pub is_applied: bool,
    /// A pause or the emergency stop came: it ends as soon as nothing of it is under way.
    pub is_interrupted: bool,
    /// Steps that could not be written.
    pub unapplied: u64,
    /// Why nothing could be planned.
    pub failure: Option<CallFailure>,
    /// Of the run's newest message.
    sequence: Sequence,
    marking: Marking,
}

/// Whether the run's state is on its way into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marking {
    No,
    Under,
    /// It changed meanwhile: once more.
    Again,
}

impl ActiveRun {
    fn new(state: Run, sequence: Sequence, since: Timestamp) -> Self {
        Self {
            state,
            since,
            sequence,
            outstanding: BTreeSet::new(),
            is_applying: false,
            is_applied: false,
            is_interrupted: false,
            unapplied: 0,
            failure: None,
            marking: Marking::No,
        }
    }

    /// Whether it can be ended: what it was writing of its plan is written.
    pub(super) fn may_end(&self) -> bool {
        self.state.is_open() && (self.is_applied || !self.is_applying)
    }
}

/// A request that is answered once its run is in the log.
struct Waiting {
    incoming: Incoming,
    correlation: CorrelationId,
    run: RunId,
}

/// When runs start, and what the last one left.
#[derive(Default)]
pub(super) struct Runs {
    /// Newest message on the run subject; its sequence is what the next start expects.
    pub last: Option<Entry<Run>>,
    /// When the schedule starts the next one.
    pub next: Option<Timestamp>,
    /// When a run follows because records ran out of attempts.
    pub follow_up: Option<Timestamp>,
    pub last_verified: Option<Timestamp>,
    /// Records wait under an earlier edit, for a run that plans them again.
    pub has_outdated: bool,
    pub wanted: Option<NextRun>,
    waiting: Vec<Waiting>,
    pub is_starting: bool,
    pub not_before: Option<Timestamp>,
}

impl Runs {
    pub(super) fn of(last: Option<Entry<Run>>, last_verified: Option<Timestamp>, has_outdated: bool) -> Self {
        Self { last_verified, last, has_outdated, ..Self::default() }
    }

    fn sequence(&self) -> Sequence {
        self.last.as_ref().map_or(Sequence(0), |entry| entry.sequence)
    }
}

impl ConfigActor {
    /// Asks for a run on somebody's behalf, who is answered when it can no longer be forgotten.
    pub(super) fn promise_run(
        &mut self,
        incoming: Incoming,
        correlation: CorrelationId,
        actor: &str,
        trigger: Trigger,
        context: &mut Context<Self>,
    ) -> NextRun {
        let wanted = self.want_run(trigger, Some(correlation));
        note_asker(&mut wanted.asked_by, actor);
        let wanted = wanted.clone();
        if self.runs.waiting.len() < WAITING_MAX {
            self.runs.waiting.push(Waiting { incoming, correlation, run: wanted.id });
        }
        match &mut self.run {
            Some(run) => {
                run.state.next = Some(wanted.clone());
                self.mark_run(context);
            }
            None => self.start_when_due(context),
        }
        wanted
    }

    pub(super) fn start(&mut self, wanted: NextRun, context: &mut Context<Self>) {
        self.runs.is_starting = true;
        let run = self.first_message(wanted);
        let (log, expected) = (self.parts.parts.broker.log(), self.runs.sequence());
        let envelope = self.parts.parts.origin.envelope(run.correlation_id, run);
        let starting = async move {
            let result = log.append_run(&envelope, expected).await;
            (envelope, result)
        };
        context.spawn(starting.into_actor(self).map(|(envelope, result), actor, context| {
            actor.runs.is_starting = false;
            match result {
                Ok(sequence) => actor.started_run(envelope, sequence, context),
                Err(error) => actor.could_not_start(&error, context),
            }
        }));
    }

    fn first_message(&self, wanted: NextRun) -> Run {
        let origin = &self.parts.parts.origin;
        let last = self.runs.last.as_ref().map(|entry| &entry.envelope.body);
        let left = last.filter(|run| run.is_open());
        let fresh = Run {
            id: wanted.id,
            config: self.id(),
            revision: self.revision,
            trigger: wanted.trigger,
            correlation_id: wanted.correlation_id,
            asked_by: wanted.asked_by.clone(),
            coordinator: origin.member().clone(),
            epoch: self.parts.tenure.epoch,
            started: origin.now(),
            phase: Phase::Listing,
            ended: None,
            end: None,
            counts: RunCounts::default(),
            failures: Vec::new(),
            resumed: 0,
            next: None,
            follow_up: schedule::follow_ups(wanted.trigger, last),
        };
        match left {
            Some(left) => Run {
                id: left.id,
                started: left.started,
                trigger: left.trigger,
                correlation_id: left.correlation_id,
                asked_by: left.asked_by.clone(),
                resumed: left.resumed + 1,
                // What it counted of the calls of others; the records are counted anew, by the log.
                counts: RunCounts { calls: left.counts.calls, ..RunCounts::default() },
                follow_up: left.follow_up,
                // What was wanted behind it, or is by now.
                next: left.next.clone().or(Some(wanted).filter(|wanted| wanted.id != left.id)),
                ..fresh
            },
            None => fresh,
        }
    }

    fn started_run(&mut self, envelope: Envelope<Run>, sequence: Sequence, context: &mut Context<Self>) {
        let run = envelope.body.clone();
        tracing::info!(config_id = %run.config, run_id = %run.id, correlation_id = %run.correlation_id, trigger = ?run.trigger, resumed = run.resumed, "run started");
        let wanted = std::mem::replace(&mut self.runs.wanted, run.next.clone());
        (self.runs.next, self.runs.follow_up, self.runs.has_outdated) = (None, None, false);
        self.note_run(envelope, sequence);
        let mut active = ActiveRun::new(run, sequence, self.now());
        // Who asked while its first message was on the way.
        let late = wanted.filter(|wanted| wanted.id == active.state.id);
        active.state.asked_by.extend(late.into_iter().flat_map(|wanted| wanted.asked_by));
        // What another owner planned or dispatched in this run belongs to it still.
        active.outstanding = self.work.due_in(active.state.id).cloned().collect();
        self.run = Some(active);
        self.standing.has_run.set(true);
        self.answer_waiting(context);
        self.list(context);
    }

    /// Keeps the newest message of the run subject.
    fn note_run(&mut self, envelope: Envelope<Run>, sequence: Sequence) {
        let time = envelope.time;
        self.runs.last = Some(Entry { envelope, sequence, time });
    }

    fn could_not_start(&mut self, error: &LogError, context: &mut Context<Self>) {
        tracing::warn!(config_id = %self.id(), error = %error, "run could not be started: tried again");
        self.runs.not_before = Some(self.now().plus(AGAIN));
        self.read_run(context);
    }

    /// Reads what is on the run subject: somebody else wrote there, or an answer was lost.
    fn read_run(&mut self, context: &mut Context<Self>) {
        let (log, id) = (self.parts.parts.broker.log(), self.id());
        let reading = async move { log.run(&id).await };
        context.spawn(reading.into_actor(self).map(|read, actor, _| match read {
            Ok(last) => actor.runs.last = last,
            Err(error) => tracing::warn!(config_id = %actor.id(), error = %error, "run could not be read"),
        }));
    }

    /// Appends the run's state as it is; what changes meanwhile follows.
    pub(super) fn mark_run(&mut self, context: &mut Context<Self>) {
        let Some(run) = &mut self.run else { return };
        if run.marking != Marking::No {
            run.marking = Marking::Again;
            return;
        }
        run.marking = Marking::Under;
        let (log, expected) = (self.parts.parts.broker.log(), run.sequence);
        let envelope = self.parts.parts.origin.envelope(run.state.correlation_id, run.state.clone());
        let marking = async move {
            let result = log.append_run(&envelope, expected).await;
            (envelope, result)
        };
        context.spawn(marking.into_actor(self).map(move |(envelope, result), actor, context| match result {
            Ok(sequence) => actor.marked_run(envelope, sequence, context),
            Err(error) => actor.lost_run(&error, context),
        }));
    }

    fn marked_run(&mut self, envelope: Envelope<Run>, sequence: Sequence, context: &mut Context<Self>) {
        let Some(run) = &mut self.run else { return };
        let was = std::mem::replace(&mut run.marking, Marking::No);
        run.sequence = sequence;
        let (phase, has_ended) = (envelope.body.phase, !envelope.body.is_open());
        self.note_run(envelope, sequence);
        self.answer_waiting(context);
        if was == Marking::Again {
            self.mark_run(context);
        } else if has_ended {
            return self.ended_run();
        }
        if phase == Phase::Syncing {
            self.apply(context);
        }
    }

    /// The run's state could not be written: it is read again and, being open, resumed.
    fn lost_run(&mut self, error: &LogError, context: &mut Context<Self>) {
        tracing::warn!(config_id = %self.id(), error = %error, "run could not be marked: resumed after a while");
        if let Some(run) = self.run.take() {
            self.runs.wanted.get_or_insert(to_resume(&run.state));
        }
        self.runs.not_before = Some(self.now().plus(AGAIN));
        self.read_run(context);
    }

    /// Answers those whose run is in the log by now.
    fn answer_waiting(&mut self, context: &mut Context<Self>) {
        let Some(last) = self.runs.last.as_ref().map(|entry| &entry.envelope.body) else { return };
        let known = [Some(last.id), last.next.as_ref().map(|next| next.id)];
        let (durable, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.runs.waiting).into_iter().partition(|waiting| known.contains(&Some(waiting.run)));
        self.runs.waiting = left;
        for Waiting { incoming, correlation, run } in durable {
            let reply = CommandReply::Accepted { run: Some(run), correlation_id: correlation };
            self.reply(&incoming, correlation, reply, context);
        }
    }

    /// Tells how far the run is, if it is further than was last told.
    pub(super) fn mark_progress(&mut self, context: &mut Context<Self>) {
        let (now, last) = (self.now(), self.runs.last.as_ref());
        let is_news = self.run.as_ref().zip(last).is_some_and(|(run, last)| {
            run.is_applying
                && run.state.counts != last.envelope.body.counts
                && now.since(last.envelope.time) >= MARK_EVERY
        });
        if is_news {
            self.mark_run(context);
        }
    }

    pub(super) fn finish_when_done(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        let limit = self.config.spec.behaviour.interval.as_duration().max(RUN_MIN_LIMIT);
        let has_failures = has_failures(&self.index);
        let Some(run) = &mut self.run else { return };
        let is_over = run.outstanding.is_empty() || now.since(run.since) >= limit;
        if !run.is_applied || !is_over || run.is_interrupted || !run.state.is_open() {
            return;
        }
        // What is not in the log nobody sees: the run did not look at everything.
        run.state.counts.complete &= run.unapplied == 0;
        let is_partial =
            has_failures || run.unapplied > 0 || !run.outstanding.is_empty() || !run.state.failures.is_empty();
        let end = match &run.failure {
            Some(failure) => RunEnd::Failed { code: failure.code, message: failure.detail.message.clone() },
            None if is_partial => RunEnd::CompletedWithFailures,
            None => RunEnd::Completed,
        };
        self.end_run(end, context);
    }

    pub(super) fn end_run(&mut self, end: RunEnd, context: &mut Context<Self>) {
        let now = self.now();
        let Some(run) = &mut self.run else { return };
        let state = &mut run.state;
        (state.phase, state.ended, state.end) = (Phase::Ended, Some(now), Some(end));
        state.counts.by_status = self.index.by_status().clone();
        state.counts.by_code = self.index.by_code().clone();
        self.mark_run(context);
    }

    fn ended_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        self.standing.has_run.set(false);
        let state = run.state;
        tracing::info!(config_id = %state.config, run_id = %state.id, correlation_id = %state.correlation_id, end = ?state.end, planned = state.counts.planned, unchanged = state.counts.unchanged, "run ended");
        if state.counts.complete {
            self.runs.last_verified = state.ended;
        }
        self.schedule_after(&state);
    }
}

/// Whether an attempt failed, and its record did not come right since: it may be attempted again at this moment.
fn has_failures(index: &Index) -> bool {
    let is_tried_again = |entry: &IndexEntry| entry.status == Status::Syncing && entry.attempt > 0;
    let is_failure = |entry: &IndexEntry| matches!(entry.status, Status::Failed | Status::Retrying);
    index.iter().any(|(_, entry)| is_failure(entry) || is_tried_again(entry))
}

/// An open run that is taken up again, as if it were asked for.
pub(super) fn to_resume(run: &Run) -> NextRun {
    let (correlation_id, asked_by) = (run.correlation_id, run.asked_by.clone());
    NextRun { id: run.id, correlation_id, trigger: run.trigger, asked_by }
}

pub(super) fn note_asker(asked_by: &mut BTreeSet<String>, actor: &str) {
    if asked_by.len() < ASKERS_MAX {
        asked_by.insert(actor.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::record;
    use proto_msgs::Record;

    #[test]
    fn an_attempt_that_failed_counts_until_its_record_is_right_also_while_it_is_made_again() {
        let counts = |status, attempt| {
            let mut index = Index::new();
            index.upsert(&Record { attempt, ..record(1, "a", status) }, Sequence(1));
            has_failures(&index)
        };
        let cases = [(Status::Retrying, 1), (Status::Failed, 1), (Status::Syncing, 1)];
        assert!(cases.into_iter().all(|(status, attempt)| counts(status, attempt)));
        assert!(!counts(Status::Syncing, 0) && !counts(Status::Active, 0));
    }
}
