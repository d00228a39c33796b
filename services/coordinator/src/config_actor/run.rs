//! Runs: when one starts, how it goes on after a change of owner, when it is over.
//!
//! The first message of a run is its lock: whoever cannot append it does not run. What is asked for while a run is open
//! merges into one more run behind it.

use std::{collections::BTreeSet, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, LogError};
use domain::timing::{INTERVAL_JITTER, RUN_MIN_LIMIT};
use proto_msgs::{
    CorrelationId, Envelope, RecordKey, Run, RunId, ScheduleMode, Sequence, Status, Timestamp,
    run::{Phase, RunCounts, RunEnd, Trigger},
    vault::CallFailure,
};

use super::ConfigActor;

/// A run whose start or end could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// The run that is open.
pub(super) struct ActiveRun {
    pub state: Run,
    /// Of the run's newest message.
    pub sequence: Sequence,
    /// Planned records without an outcome.
    pub outstanding: BTreeSet<RecordKey>,
    /// The plan's steps are all in the log.
    pub is_applied: bool,
    /// Why nothing could be planned.
    pub failure: Option<CallFailure>,
    /// Its end is being written, or was tried until then.
    pub ending: Option<Timestamp>,
}

impl ActiveRun {
    fn new(state: Run, sequence: Sequence) -> Self {
        Self { state, sequence, outstanding: BTreeSet::new(), is_applied: false, failure: None, ending: None }
    }
}

/// A run that somebody or something wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub id: RunId,
    pub correlation: CorrelationId,
    pub trigger: Trigger,
}

/// When runs start, and what the last one left.
#[derive(Default)]
pub(super) struct Runs {
    /// Newest message on the run subject; its sequence is what the next start expects.
    pub last: Option<Entry<Run>>,
    /// When the schedule starts the next one.
    pub next: Option<Timestamp>,
    pub last_verified: Option<Timestamp>,
    wanted: Option<Wanted>,
    is_starting: bool,
    not_before: Option<Timestamp>,
}

impl Runs {
    pub(super) fn of(last: Option<Entry<Run>>) -> Self {
        let ended = last.as_ref().map(|entry| &entry.envelope.body).filter(|run| run.counts.complete);
        Self { last_verified: ended.and_then(|run| run.ended), last, ..Self::default() }
    }

    /// Asks for a run; the answer is the one that will be started, which may have been asked for before.
    pub(super) fn want(&mut self, wanted: Wanted) -> Wanted {
        *self.wanted.get_or_insert(wanted)
    }

    fn sequence(&self) -> Sequence {
        self.last.as_ref().map_or(Sequence(0), |entry| entry.sequence)
    }
}

impl ConfigActor {
    pub(super) fn want_run(&mut self, trigger: Trigger) -> Wanted {
        let origin = &self.parts.parts.origin;
        self.runs.want(Wanted { id: origin.run_id(), correlation: origin.correlation_id(), trigger })
    }

    /// Takes up the run another owner left open, or sets the clock for the next.
    pub(super) fn resume(&mut self) {
        let Some(last) = self.runs.last.as_ref().map(|entry| entry.envelope.body.clone()) else {
            return self.schedule_first();
        };
        if last.is_open() {
            self.runs.wanted = Some(Wanted { id: last.id, correlation: last.correlation_id, trigger: last.trigger });
        } else if last.revision != self.revision {
            self.schedule_first();
        } else {
            self.schedule_after(last.ended.unwrap_or(last.started));
        }
    }

    /// A config that was saved is looked at, unless it never runs by itself.
    pub(super) fn schedule_first(&mut self) {
        if self.config.spec.behaviour.schedule_mode == ScheduleMode::Interval && !self.config.deleted {
            self.want_run(Trigger::Saved);
        }
    }

    fn schedule_after(&mut self, ended: Timestamp) {
        let behaviour = &self.config.spec.behaviour;
        let share = 1.0 + INTERVAL_JITTER * (2.0 * self.parts.parts.origin.jitter() - 1.0);
        let wait = behaviour.interval.as_duration().mul_f64(share);
        self.runs.next = (behaviour.schedule_mode == ScheduleMode::Interval).then(|| ended.plus(wait));
    }

    pub(super) fn start_when_due(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        let has_to_wait = self.runs.not_before.is_some_and(|moment| now < moment);
        if self.run.is_some() || self.runs.is_starting || has_to_wait || !self.parts.fleet.has_workers() {
            return;
        }
        if self.runs.next.is_some_and(|next| next <= now) {
            self.runs.next = None;
            self.want_run(Trigger::Schedule);
        }
        if let Some(wanted) = self.runs.wanted {
            self.start(wanted, context);
        }
    }

    fn start(&mut self, wanted: Wanted, context: &mut Context<Self>) {
        self.runs.is_starting = true;
        let run = self.first_message(wanted);
        let (log, expected) = (self.parts.parts.broker.log(), self.runs.sequence());
        let envelope = self.parts.parts.origin.envelope(wanted.correlation, run);
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

    fn first_message(&self, wanted: Wanted) -> Run {
        let origin = &self.parts.parts.origin;
        let left = self.runs.last.as_ref().map(|entry| &entry.envelope.body).filter(|run| run.is_open());
        let fresh = Run {
            id: wanted.id,
            config: self.id(),
            revision: self.revision,
            trigger: wanted.trigger,
            correlation_id: wanted.correlation,
            coordinator: origin.member().clone(),
            epoch: self.parts.epoch,
            started: origin.now(),
            phase: Phase::Listing,
            ended: None,
            end: None,
            counts: RunCounts::default(),
            resumed: 0,
        };
        match left {
            Some(left) => Run { id: left.id, started: left.started, resumed: left.resumed + 1, ..fresh },
            None => fresh,
        }
    }

    fn started_run(&mut self, envelope: Envelope<Run>, sequence: Sequence, context: &mut Context<Self>) {
        let run = envelope.body.clone();
        tracing::info!(config_id = %run.config, run_id = %run.id, correlation_id = %run.correlation_id, trigger = ?run.trigger, resumed = run.resumed, "run started");
        self.runs.wanted = None;
        self.runs.next = None;
        self.note_run(envelope, sequence);
        self.run = Some(ActiveRun::new(run, sequence));
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

    /// Appends how far the run is, and goes on with `then` once that is in the log.
    pub(super) fn mark_run(
        &mut self,
        state: Run,
        then: fn(&mut Self, &mut Context<Self>),
        context: &mut Context<Self>,
    ) {
        let Some(run) = &self.run else { return };
        let (log, expected) = (self.parts.parts.broker.log(), run.sequence);
        let envelope = self.parts.parts.origin.envelope(state.correlation_id, state);
        let marking = async move {
            let result = log.append_run(&envelope, expected).await;
            (envelope, result)
        };
        context.spawn(marking.into_actor(self).map(move |(envelope, result), actor, context| match result {
            Ok(sequence) => {
                if let Some(run) = &mut actor.run {
                    run.sequence = sequence;
                    run.state = envelope.body.clone();
                }
                actor.note_run(envelope, sequence);
                then(actor, context);
            }
            Err(error) => actor.lost_run(&error, context),
        }));
    }

    /// The run's state could not be written: it is read again and, being open, resumed.
    fn lost_run(&mut self, error: &LogError, context: &mut Context<Self>) {
        tracing::warn!(config_id = %self.id(), error = %error, "run could not be marked: resumed after a while");
        if let Some(run) = self.run.take() {
            let state = run.state;
            self.runs.wanted = Some(Wanted { id: state.id, correlation: state.correlation_id, trigger: state.trigger });
        }
        self.runs.not_before = Some(self.now().plus(AGAIN));
        self.read_run(context);
    }

    pub(super) fn finish_when_done(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        let limit = self.config.spec.behaviour.interval.as_duration().max(RUN_MIN_LIMIT);
        let has_failures = self.has_failures();
        let Some(run) = &mut self.run else { return };
        let is_over = run.outstanding.is_empty() || now.since(run.state.started) >= limit;
        let is_ending = run.ending.is_some_and(|until| now < until);
        if !run.is_applied || !is_over || is_ending {
            return;
        }
        run.ending = Some(now.plus(AGAIN));
        let end = match &run.failure {
            Some(failure) => RunEnd::Failed { code: failure.code, message: failure.detail.message.clone() },
            None if has_failures => RunEnd::CompletedWithFailures,
            None => RunEnd::Completed,
        };
        self.end_run(end, context);
    }

    fn has_failures(&self) -> bool {
        let count = |status| self.index.by_status().get(&status).copied().unwrap_or(0);
        count(Status::Failed) + count(Status::Retrying) > 0
    }

    pub(super) fn end_run(&mut self, end: RunEnd, context: &mut Context<Self>) {
        let now = self.now();
        let Some(run) = &self.run else { return };
        let mut state = Run { phase: Phase::Ended, ended: Some(now), end: Some(end), ..run.state.clone() };
        state.counts.by_status = self.index.by_status().clone();
        state.counts.by_code = self.index.by_code().clone();
        self.mark_run(state, Self::ended_run, context);
    }

    fn ended_run(&mut self, _: &mut Context<Self>) {
        let Some(run) = self.run.take() else { return };
        let (state, now) = (run.state, self.now());
        tracing::info!(config_id = %state.config, run_id = %state.id, correlation_id = %state.correlation_id, end = ?state.end, planned = state.counts.planned, unchanged = state.counts.unchanged, "run ended");
        if state.counts.complete {
            self.runs.last_verified = state.ended;
        }
        self.schedule_after(state.ended.unwrap_or(now));
    }
}
