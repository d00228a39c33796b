//! From inventories to the log: plans, and appends what needs no call to a vault.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use broker::{Entry, LogError};
use domain::{
    check,
    claims::Claims,
    index::{Index, IndexEntry},
    plan::{Action, Given, Plan, Step, next, plan},
    rule::{Matcher, RuleError},
};
use futures::{StreamExt, stream};
use proto_msgs::{
    ConfigId, CorrelationId, ErrorCode, Record, RecordId, RecordKey, Revision, Run, RunId, Sequence, Status,
    run::{Phase, RunEnd, Trigger},
    vault::{CallCounts, CallFailure, Detail, Side},
};

use super::{
    ConfigActor,
    inventory::{self, Inventories, PageFailed},
    run::ActiveRun,
    schedule::ran_out,
};
use crate::CoordinatorParts;

/// Appends under way: enough to keep the store busy, few enough to leave room for outcomes.
const APPENDS_AT_ONCE: usize = 256;
/// Times a step is offered to a log that does not answer; an election of a leader takes seconds.
const APPEND_TRIES: u32 = 4;
const APPEND_EVERY: Duration = Duration::from_secs(2);

/// What became of a step.
pub(super) enum Applied {
    /// In the log, now or already.
    Stored(Box<Entry<Record>>),
    /// Somebody went on with the record; its newer state is heard of.
    Overtaken,
    Failed,
}

/// Under which run and revision steps are applied.
#[derive(Clone)]
struct Frame {
    parts: CoordinatorParts,
    config: ConfigId,
    run: RunId,
    revision: Revision,
    correlation: CorrelationId,
    matcher: Arc<Matcher>,
}

impl ConfigActor {
    pub(super) fn list(&mut self, context: &mut Context<Self>) {
        let Some(run) = self.run.as_ref().map(|run| run.state.id) else { return };
        let (address, correlation) = (context.address(), self.correlation());
        let listing = inventory::list(self.parts.clone(), self.config.clone(), correlation, address);
        context.spawn(listing.into_actor(self).map(move |listed, actor, context| {
            let is_due = |state: &Run| state.id == run && state.phase == Phase::Listing;
            match &actor.run {
                Some(active) if is_due(&active.state) && !actor.is_halted() => actor.plan(listed, context),
                Some(active) if is_due(&active.state) => actor.interrupt(),
                Some(_) | None => {}
            }
        }));
    }

    /// What the next run does, if it sees these inventories.
    pub(super) fn plan_of(&self, run: RunId, listed: &Inventories) -> Result<Plan, RuleError> {
        self.parts.claims.with(|claims| plan(&self.given(run, listed, claims)))
    }

    pub(super) fn given<'a>(&'a self, run: RunId, listed: &'a Inventories, claims: &'a Claims) -> Given<'a> {
        let (source, target) = (&listed.source, &listed.target);
        let (config, index, replaced, now) = (&self.config, &self.index, listed.replaced, self.now());
        Given { config, index, source, target, claims, replaced, run, now }
    }

    fn plan(&mut self, listed: Inventories, context: &mut Context<Self>) {
        for side in [Side::Source, Side::Target] {
            let failure = listed.failures.iter().find(|failure| failure.side == side);
            let problem = failure.map(|failure| format!("{}: {}", failure.code, failure.message));
            let replaced = listed.replaced.filter(|replaced| *replaced == side).map(check::replaced);
            self.listed_side(side, replaced.or(problem));
        }
        self.replaced = listed.replaced.map(check::replaced);
        let Some(run) = self.run.as_ref().map(|run| run.state.clone()) else { return };
        let planned = self.plan_of(run.id, &listed).map(|planned| only_due(&self.index, &run, planned));
        let Some(run) = &mut self.run else { return };
        let counts = &mut run.state.counts;
        (counts.source_items, counts.target_items) = (listed.source.len() as u64, listed.target.len() as u64);
        counts.calls += listed.calls;
        counts.complete = listed.failures.is_empty() && listed.replaced.is_none();
        self.steps = match planned {
            Ok(planned) => {
                count(&self.index, run, &planned);
                let known = |step: &Step| self.index.get(&step.key).map(|entry| entry.sequence);
                planned.steps.into_iter().map(|step| (known(&step), step)).collect()
            }
            Err(error) => {
                let detail = Detail::new(error.to_string());
                run.failure = Some(CallFailure { code: ErrorCode::Unknown, detail, retry_after_ms: None });
                Vec::new()
            }
        };
        run.failure = run.failure.take().or(listed.replaced.map(is_another)).or(listed.unseen);
        run.state.failures = listed.failures;
        run.state.phase = Phase::Syncing;
        self.mark_run(context);
    }

    /// Begins to write the plan's steps, once.
    pub(super) fn apply(&mut self, context: &mut Context<Self>) {
        if self.is_halted() {
            return self.interrupt();
        }
        let Some(run) = self.run.as_mut().filter(|run| !run.is_interrupted) else { return };
        if std::mem::replace(&mut run.is_applying, true) {
            return;
        }
        // A rule that cannot be followed made no steps.
        let Ok(matcher) = Matcher::new(&self.config.spec) else {
            run.is_applied = true;
            return self.finish_when_done(context);
        };
        let frame = Frame {
            parts: self.parts.parts.clone(),
            config: self.config.id,
            run: run.state.id,
            revision: self.revision,
            correlation: run.state.correlation_id,
            matcher: Arc::new(matcher),
        };
        let steps = std::mem::take(&mut self.steps);
        for (_, step) in &steps {
            if let Action::Sync { listed, .. } = &step.action {
                self.listed.insert(step.key.clone(), listed.clone());
            }
        }
        let applied = stream::iter(steps)
            .map(move |(known, step)| apply(frame.clone(), step, known))
            .buffer_unordered(APPENDS_AT_ONCE);
        context.add_stream(applied);
    }
}

fn is_another(side: Side) -> CallFailure {
    let detail = Detail::new(check::replaced(side));
    CallFailure { code: ErrorCode::VaultReplaced, detail, retry_after_ms: None }
}

/// Why nothing is attempted after this run, if it found another vault in the place of one of the config's.
pub(super) fn replaced_at_last(last: Option<&Run>) -> Option<String> {
    match last?.end.as_ref()? {
        RunEnd::Failed { code: ErrorCode::VaultReplaced, message } => Some(message.clone()),
        RunEnd::Failed { .. }
        | RunEnd::Completed
        | RunEnd::CompletedWithFailures
        | RunEnd::Interrupted
        | RunEnd::Cancelled => None,
    }
}

/// Counts what a plan asks of a run. What an earlier owner of the run brought to an end or left under way is part of it
/// still, with the calls that the log tells of.
fn count(index: &Index, run: &mut ActiveRun, planned: &Plan) {
    let steps: BTreeMap<_, _> = planned.steps.iter().map(|step| (&step.key, &step.action)).collect();
    let is_due = |key: &RecordKey| steps.get(key).is_some_and(|action| is_attempt(action));
    run.outstanding.retain(|key| !steps.get(key).is_some_and(|action| is_end(action)));
    let (id, started) = (run.state.id, run.state.started);
    let is_left = |key: &RecordKey| !is_due(key) && !run.outstanding.contains(key);
    let done = index.iter().filter(|(key, entry)| entry.was_attempted_in(id, started) && is_left(key));
    let done: Vec<_> = done.map(|(key, _)| key).collect();
    let under_way: Vec<_> = run.outstanding.iter().filter(|key| !is_due(key)).collect();
    let due = steps.keys().filter(|key| is_due(key)).count();
    let counts = &mut run.state.counts;
    counts.attempted = done.len() as u64;
    let mut made = CallCounts::default();
    done.iter().filter_map(|key| index.get(key)).for_each(|entry| made += entry.calls);
    counts.calls.get = counts.calls.get.max(made.get);
    counts.calls.set = counts.calls.set.max(made.set);
    counts.planned = (due + under_way.len() + done.len()) as u64;
    // A record with a step was not counted as unchanged.
    let stepless = done.iter().chain(&under_way).filter(|key| !steps.contains_key(*key)).count() as u64;
    counts.unchanged = planned.unchanged.saturating_sub(stepless);
}

/// Whether a step ends what a record waits for without an attempt.
fn is_end(action: &Action) -> bool {
    match action {
        Action::Block { .. } | Action::Delete { held: Some(_), .. } => true,
        Action::Sync { .. } | Action::Delete { held: None, .. } | Action::Miss(_) | Action::Found => false,
    }
}

/// Whether a step leads to an attempt.
fn is_attempt(action: &Action) -> bool {
    match action {
        Action::Sync { .. } | Action::Delete { held: None, .. } => true,
        Action::Block { .. } | Action::Miss(_) | Action::Found | Action::Delete { held: Some(_), .. } => false,
    }
}

/// Without what had its attempts in this cycle: what failed in this very run, before another owner resumed it, and in a
/// follow-up run what only somebody can mend.
fn only_due(index: &Index, run: &Run, mut plan: Plan) -> Plan {
    let had_its_turn = |entry: &IndexEntry| {
        let waits_for_somebody = !ran_out(entry.status, entry.code, entry.attempt);
        let is_theirs = run.trigger == Trigger::FollowUp && waits_for_somebody;
        entry.status == Status::Failed && (is_theirs || entry.was_attempted_in(run.id, run.started))
    };
    let planned = plan.steps.len();
    plan.steps
        .retain(|step| !matches!(step.action, Action::Sync { .. }) || !index.get(&step.key).is_some_and(had_its_turn));
    plan.unchanged += (planned - plan.steps.len()) as u64;
    plan
}

impl Handler<PageFailed> for ConfigActor {
    type Result = ();

    /// What is in the way is said while the listing still goes on; how it ended is said when it has.
    fn handle(&mut self, PageFailed { correlation, side, failure }: PageFailed, _: &mut Self::Context) {
        let state = self.run.as_ref().map(|run| &run.state);
        if state.is_some_and(|run| run.correlation_id == correlation && run.phase == Phase::Listing) {
            let problem = format!("{}: {}; it is tried again", failure.code, failure.detail.message);
            self.listed_side(side, Some(problem));
        }
    }
}

impl StreamHandler<Applied> for ConfigActor {
    fn handle(&mut self, applied: Applied, context: &mut Self::Context) {
        match applied {
            Applied::Stored(entry) => {
                let key = entry.envelope.body.id.key();
                let is_news = self.take_in(&entry);
                // One that waited in the log already is known, and may be in nobody's queue.
                let is_newest = self.index.get(&key).is_some_and(|known| known.sequence == entry.sequence);
                if is_news || (is_newest && self.work.get(&key).is_none()) {
                    self.follow_up(*entry, context);
                }
            }
            Applied::Overtaken => {}
            Applied::Failed => {
                if let Some(run) = &mut self.run {
                    run.unapplied += 1;
                }
            }
        }
        self.pump(context);
    }

    fn finished(&mut self, context: &mut Self::Context) {
        if let Some(run) = &mut self.run {
            run.is_applied = true;
        }
        self.finish_when_done(context);
    }
}

async fn apply(frame: Frame, step: Step, known: Option<Sequence>) -> Applied {
    // The spelling of the listing is kept; the key's may be the log's.
    let name = match &step.action {
        Action::Sync { listed, .. } => listed.item.name.clone(),
        Action::Block { .. } | Action::Miss(_) | Action::Found | Action::Delete { .. } => step.key.name.clone(),
    };
    let id = RecordId { config: frame.config, kind: step.key.kind, name };
    let mut tries = 1;
    loop {
        let error = match append(&frame, &step.action, id.clone(), known).await {
            Ok(entry) => return Applied::Stored(Box::new(entry)),
            Err(LogError::Conflict) => return Applied::Overtaken,
            Err(error) => error,
        };
        if tries >= APPEND_TRIES {
            tracing::warn!(record_id = %id, correlation_id = %frame.correlation, error = %error, "planned state could not be appended: the next run plans again");
            return Applied::Failed;
        }
        tries += 1;
        tokio::time::sleep(APPEND_EVERY).await;
    }
}

async fn append(
    frame: &Frame,
    action: &Action,
    id: RecordId,
    known: Option<Sequence>,
) -> Result<Entry<Record>, LogError> {
    let head = frame.parts.broker.log().record(&id).await?;
    let revision = frame.revision;
    if let Some(head) = head.as_ref().filter(|head| waits_already(&head.envelope.body, frame, action)) {
        return Ok(head.clone());
    }
    let (record, expected) = match (head, known) {
        (None, None) => (Record::new(id, Status::Pending, None), Sequence(0)),
        (Some(head), _) if head.envelope.body.removed => (Record::new(id, Status::Pending, None), head.sequence),
        (Some(head), Some(known)) if head.sequence == known => (head.envelope.body, known),
        (Some(_) | None, _) => return Err(LogError::Conflict),
    };
    let state = next(record, action, &frame.matcher, frame.run, revision);
    frame.parts.append(frame.correlation, state, expected).await
}

/// Whether the record waits already for what the step wants: for this very run, which may have been resumed, or because
/// somebody asked for it.
fn waits_already(head: &Record, frame: &Frame, action: &Action) -> bool {
    let is_wanted = match action {
        Action::Sync { .. } => head.delete.is_none(),
        Action::Delete { seen, held: None } => head.delete == Some(*seen),
        Action::Block { .. } | Action::Miss(_) | Action::Found | Action::Delete { held: Some(_), .. } => false,
    };
    let is_of_run = head.run.is_none_or(|run| run == frame.run);
    is_wanted && is_of_run && head.status == Status::Pending && head.revision == frame.revision && !head.removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, key, listed, record, report, run};
    use domain::backoff::ATTEMPTS_MAX;
    use proto_msgs::record::{AttemptReport, OutcomeKind};

    #[test]
    fn a_follow_up_run_attempts_what_ran_out_and_leaves_the_rest_to_the_next_cycle() {
        let mut index = Index::new();
        for (name, code, attempt) in
            [("auth", ErrorCode::TargetAuthFailed, 1), ("net", ErrorCode::TransientNetwork, ATTEMPTS_MAX)]
        {
            let failed = Record { code: Some(code), attempt, ..record(1, name, Status::Failed) };
            index.upsert(&failed, Sequence(1));
        }
        let step = |name| Step { key: key(name), action: Action::Sync { listed: listed(name), thorough: false } };
        let all = Plan { steps: ["auth", "net", "new"].map(step).into(), ..Plan::default() };
        let names = |trigger| {
            let plan = only_due(&index, &Run { id: RunId::from_random(6), ..run(trigger) }, all.clone());
            plan.steps.into_iter().map(|step| step.key.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(Trigger::Schedule), ["auth", "net", "new"]);
        assert_eq!(names(Trigger::FollowUp), ["net", "new"]);
    }

    #[test]
    fn what_failed_in_a_run_is_not_attempted_again_when_that_is_resumed() {
        let mut index = Index::new();
        let this = run(Trigger::Schedule);
        let own = |failed: Record, started| {
            let report = AttemptReport { started, ..report(OutcomeKind::Failed) };
            Record { run: Some(this.id), last_attempt: Some(report), ..failed }
        };
        for (name, started) in [("before", -10), ("in-it", 10)] {
            let failed = Record { code: Some(ErrorCode::TargetAuthFailed), ..record(1, name, Status::Failed) };
            index.upsert(&own(failed, at(started)), Sequence(1));
        }
        let step = |name| Step { key: key(name), action: Action::Sync { listed: listed(name), thorough: false } };
        let plan = only_due(&index, &this, Plan { steps: ["before", "in-it"].map(step).into(), ..Plan::default() });
        let names: Vec<_> = plan.steps.iter().map(|step| step.key.name.to_string()).collect();
        assert_eq!((names, plan.unchanged), (vec!["before".to_owned()], 1));
    }
}
