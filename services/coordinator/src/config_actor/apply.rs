//! From inventories to the log: plans, and appends what needs no call to a vault.

use actix::{ActorFutureExt, AsyncContext, Context, StreamHandler, WrapFuture};
use broker::LogError;
use domain::{
    lifecycle,
    plan::{Action, Step, plan},
};
use futures::{StreamExt, stream};
use proto_msgs::{
    ConfigId, CorrelationId, ErrorCode, Record, RecordId, Revision, RunId, Sequence, Status,
    api::ConditionKind,
    run::Phase,
    vault::{CallFailure, Detail, ItemMeta},
};

use super::{
    ConfigActor,
    inventory::{self, Inventories},
    work::{Item, Stage},
};
use crate::CoordinatorParts;

/// Appends under way: enough to keep the store busy, few enough to leave room for outcomes.
const APPENDS_AT_ONCE: usize = 256;

/// A step of the plan that is in the log, or was overtaken by something newer.
pub(super) struct Applied {
    revision: Revision,
    record: Option<(Record, Sequence)>,
    listed: Option<ItemMeta>,
}

/// Under which run and revision steps are applied.
#[derive(Clone)]
struct Frame {
    parts: CoordinatorParts,
    config: ConfigId,
    run: RunId,
    revision: Revision,
    correlation: CorrelationId,
}

impl ConfigActor {
    pub(super) fn list(&mut self, context: &mut Context<Self>) {
        let Some(run) = self.run.as_ref().map(|run| run.state.id) else { return };
        let listing = inventory::list(self.parts.clone(), self.config.clone(), self.correlation());
        context.spawn(listing.into_actor(self).map(move |listed, actor, context| {
            if actor.run.as_ref().is_some_and(|active| active.state.id == run) {
                actor.plan(listed, context);
            }
        }));
    }

    fn plan(&mut self, listed: Inventories, context: &mut Context<Self>) {
        let describe = |failure: &Option<CallFailure>| failure.as_ref().map(|failure| failure.detail.message.clone());
        let (source, target) = (describe(&listed.source_failure), describe(&listed.target_failure));
        self.set_condition(ConditionKind::SourceReadable, source.is_none(), source);
        self.set_condition(ConditionKind::TargetWritable, target.is_none(), target);
        let planned = plan(&self.config, &self.index, &listed.source, &listed.target);
        let Some(run) = &mut self.run else { return };
        let mut state = run.state.clone();
        state.phase = Phase::Syncing;
        state.counts.source_items = listed.source.len() as u64;
        state.counts.target_items = listed.target.len() as u64;
        state.counts.calls += listed.calls;
        state.counts.complete = listed.is_complete;
        let steps = match planned {
            Ok(planned) => {
                let is_sync = |step: &&Step| matches!(step.action, Action::Sync { .. });
                state.counts.planned = planned.steps.iter().filter(is_sync).count() as u64;
                state.counts.unchanged = planned.unchanged;
                planned.steps
            }
            Err(error) => {
                let detail = Detail::new(error.to_string());
                run.failure = Some(CallFailure { code: ErrorCode::Unknown, detail, retry_after_ms: None });
                Vec::new()
            }
        };
        // A side of which nothing is known at all is a failed run, not an empty vault.
        let unseen = listed.source_failure.filter(|_| listed.source.is_empty());
        run.failure = run.failure.take().or(unseen).or(listed.target_failure.filter(|_| listed.target.is_empty()));
        self.steps = steps;
        self.mark_run(state, Self::apply, context);
    }

    fn apply(&mut self, context: &mut Context<Self>) {
        let Some(run) = &self.run else { return };
        let frame = Frame {
            parts: self.parts.parts.clone(),
            config: self.id(),
            run: run.state.id,
            revision: self.revision,
            correlation: run.state.correlation_id,
        };
        let steps: Vec<_> = std::mem::take(&mut self.steps)
            .into_iter()
            .map(|step| {
                let known = self.index.get(&step.key).map(|entry| entry.sequence);
                (step, known)
            })
            .collect();
        let applied = stream::iter(steps)
            .map(move |(step, known)| apply(frame.clone(), step, known))
            .buffer_unordered(APPENDS_AT_ONCE);
        context.add_stream(applied);
    }
}

impl StreamHandler<Applied> for ConfigActor {
    fn handle(&mut self, applied: Applied, context: &mut Self::Context) {
        let Some((record, sequence)) = applied.record else { return };
        let key = record.id.key();
        self.index.upsert(&record, sequence);
        let is_of_now = applied.revision == self.revision && !self.config.deleted;
        let is_due = record.status == Status::Pending && applied.listed.is_some() && is_of_now;
        let is_under_way = self.work.get(&key).is_some_and(|item| item.stage.is_under_way());
        if !is_due || is_under_way {
            return;
        }
        if let Some(run) = &mut self.run {
            run.outstanding.insert(key.clone());
        }
        let item = Item { listed: applied.listed, ..Item::new(record, sequence, Stage::Queued) };
        self.work.put(key, item);
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
    let listed = match &step.action {
        Action::Sync { listed } => Some(listed.clone()),
        Action::Block { .. } => None,
    };
    // The spelling of the listing is kept; the key's may be the log's.
    let name = listed.as_ref().map_or_else(|| step.key.name.clone(), |item| item.name.clone());
    let id = RecordId { config: frame.config, kind: step.key.kind, name };
    let revision = frame.revision;
    let record = match append(&frame, step.action, id.clone(), known).await {
        Ok(record) => record,
        // Somebody went on with it: its newer state comes on the live feed.
        Err(LogError::Conflict) => None,
        Err(error) => {
            tracing::warn!(record_id = %id, correlation_id = %frame.correlation, error = %error, "planned state could not be appended: the next run plans again");
            None
        }
    };
    Applied { revision, record, listed }
}

async fn append(
    frame: &Frame,
    action: Action,
    id: RecordId,

    known: Option<Sequence>,
) -> Result<Option<(Record, Sequence)>, LogError> {
    let log = frame.parts.broker.log();
    let (record, expected) = match known {
        None => (Record::new(id, Status::Pending, None), Sequence(0)),
        Some(known) => match log.record(&id).await? {
            Some(entry) if entry.sequence == known => (entry.envelope.body, known),
            Some(_) | None => return Err(LogError::Conflict),
        },
    };
    let is_new = expected == Sequence(0);
    let (run, revision) = (Some(frame.run), frame.revision);
    let next = match action {
        // It waits already, for this very run or one that was interrupted: nothing to say.
        Action::Sync { .. } if !is_new && record.status == Status::Pending && record.revision == revision => {
            return Ok(Some((record, expected)));
        }
        Action::Sync { .. } => lifecycle::pending(record, run, revision),
        Action::Block { code, message, source_seen } => {
            lifecycle::blocked(record, code, message, source_seen, run, revision)
        }
    };
    let envelope = frame.parts.origin.envelope(frame.correlation, next);
    let sequence = log.append_record(&envelope, expected).await?;
    Ok(Some((envelope.body, sequence)))
}
