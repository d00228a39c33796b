//! What the log says became of an attempt, and what the timers find where the log says nothing.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, Incoming, LogError};
use proto_msgs::{ErrorCode, MemberId, Record, RecordKey, Sequence, Status, worker::OutcomeRefused};

use super::{
    ConfigActor,
    dispatch::needs,
    work::{Due, Item, Permits, Stage},
};
use crate::vault_actor::Need;

/// Longest that a vault is left alone because one of its calls was throttled.
const HOLD_MAX: Duration = Duration::from_secs(10);

impl ConfigActor {
    /// Goes on with a record whose state is new.
    pub(super) fn follow_up(&mut self, record: Record, sequence: Sequence) {
        let key = record.id.key();
        match record.status {
            // Written by this actor, which goes on with it by itself.
            Status::Pending => {}
            Status::Syncing => self.opened(&key, record, sequence),
            Status::Retrying => {
                self.came_back(&key, &record);
                let until = record.next_attempt.unwrap_or_default();
                self.work.put(key.clone(), Item::new(record, sequence, Stage::Retrying { until }));
                self.done(&key);
            }
            Status::Active
            | Status::Failed
            | Status::Drifted
            | Status::BlockedExcluded
            | Status::BlockedSourceSoftDeleted
            | Status::BlockedSourceDisabled
            | Status::BlockedCrossGeographyKey
            | Status::BlockedCrossSubscriptionKey
            | Status::BlockedTargetConflict
            | Status::BlockedTargetClaimed
            | Status::BlockedTargetNameTaken
            | Status::BlockedTargetSoftDeleted
            | Status::BlockedManagedByCertificate
            | Status::BlockedGeographyUnknown
            | Status::BlockedTargetKeyExists
            | Status::BlockedCertificateNotExportable
            | Status::BlockedCertificatePending
            | Status::BlockedCertificateExpired
            | Status::BlockedDeleteHeld
            | Status::Disabled
            | Status::Deleted => {
                self.came_back(&key, &record);
                self.work.remove(&key);
                self.done(&key);
                if self.rechecks.remove(&key) {
                    self.work.put(key, Item::recheck(record, sequence));
                }
            }
        }
    }

    fn opened(&mut self, key: &RecordKey, record: Record, sequence: Sequence) {
        let since = self.parts.parts.origin.boot();
        let named = record.unresolved.as_ref().map(|unresolved| unresolved.worker.clone());
        let Some(mut item) = self.work.remove(key) else {
            if let Some(worker) = named {
                self.work.put(key.clone(), Item::new(record, sequence, Stage::Open { worker, since }));
            }
            return;
        };
        // An attempt may append twice before it ends: time runs from what was seen first.
        let stage = match (&item.stage, named) {
            (Stage::Open { .. }, _) => item.stage.clone(),
            (Stage::Accepted { worker, .. }, _) => Stage::Open { worker: worker.clone(), since },
            (_, Some(worker)) => Stage::Open { worker, since },
            (_, None) => item.stage.clone(),
        };
        (item.record, item.sequence, item.stage) = (record, sequence, stage);
        self.work.put(key.clone(), item);
    }

    /// An attempt ended: its permits go back with what was called.
    fn came_back(&mut self, key: &RecordKey, record: &Record) {
        let now = self.now();
        let Some(mut item) = self.work.remove(key) else { return };
        if let Stage::Accepted { worker, .. } | Stage::Open { worker, .. } = &item.stage {
            self.parts.fleet.gave_back(worker);
        }
        let Some(Permits { source, target }) = item.permits.take() else { return };
        let hold = record.next_attempt.map_or(Duration::ZERO, |next| next.since(now).min(HOLD_MAX));
        // Which of the two vaults it was is not told: both are spared.
        let throttled = (record.code == Some(ErrorCode::Throttled)).then_some(Some(hold));
        let (at_source, at_target) = made(record);
        source.end(at_source, throttled);
        target.end(at_target, throttled);
    }

    /// A planned record came to an end, or goes on by itself.
    fn done(&mut self, key: &RecordKey) {
        if let Some(run) = &mut self.run
            && run.outstanding.remove(key)
        {
            run.state.counts.attempted += 1;
        }
    }

    pub(super) fn look_at_timers(&mut self, context: &mut Context<Self>) {
        let fleet = self.parts.fleet.clone();
        let due = self.work.due(self.now(), self.parts.parts.origin.boot(), |worker: &MemberId| fleet.is_alive(worker));
        for due in due {
            match due {
                Due::Retry(key) => self.work.set(&key, Stage::Queued),
                Due::Move(key) => self.requeue(&key, false),
                Due::Read(key) => self.read_head(key, context),
            }
        }
    }

    /// Takes a record from a worker that says nothing.
    fn requeue(&mut self, key: &RecordKey, may_have_written: bool) {
        let Some(mut item) = self.work.remove(key) else { return };
        tracing::info!(config_id = %self.id(), record = %key, may_have_written, "record is moved from a silent worker");
        item.stage = Stage::Queued;
        item.outcome_unknown |= may_have_written;
        // Dropped, they count as used: whether they were is not known.
        item.permits = None;
        self.work.put(key.clone(), item);
    }

    fn read_head(&mut self, key: RecordKey, context: &mut Context<Self>) {
        let Some(item) = self.work.get(&key) else { return };
        let (id, before, known) = (item.record.id.clone(), item.stage.clone(), item.sequence);
        self.work.set(&key, Stage::Reading);
        let log = self.parts.parts.broker.log();
        let reading = async move { log.record(&id).await };
        context.spawn(reading.into_actor(self).map(move |head, actor, context| {
            actor.read_head_of(&key, before, known, head);
            actor.pump(context);
            actor.finish_when_done(context);
        }));
    }

    fn read_head_of(
        &mut self,
        key: &RecordKey,
        before: Stage,
        known: Sequence,
        head: Result<Option<Entry<Record>>, LogError>,
    ) {
        if self.work.get(key).is_none_or(|item| item.stage != Stage::Reading) {
            return;
        }
        self.work.set(key, before.clone());
        match head {
            Ok(Some(entry)) if entry.sequence > known => self.hear(entry.envelope.body, entry.sequence),
            Ok(Some(_)) => self.requeue(key, matches!(before, Stage::Open { .. })),
            Ok(None) => _ = self.work.remove(key),
            // Looked at again with the next timer.
            Err(error) => {
                tracing::warn!(config_id = %self.id(), record = %key, error = %error, "record could not be read")
            }
        }
    }

    /// A worker's outcome was refused: what it wrote is compared with the source again.
    pub(super) fn refused(&mut self, incoming: &Incoming, context: &mut Context<Self>) {
        let Ok(envelope) = broker::read::<OutcomeRefused>(incoming) else { return };
        let (correlation, refused) = (envelope.correlation_id, envelope.body);
        tracing::warn!(config_id = %self.id(), record = %refused.record, worker_id = %refused.worker, correlation_id = %correlation, may_have_written = refused.may_have_written, "outcome was refused: the record is compared again");
        self.reply(incoming, correlation, (), context);
        let key = refused.record.key();
        if self.work.get(&key).is_some_and(|item| item.stage.is_under_way()) {
            self.rechecks.insert(key);
            return;
        }
        let log = self.parts.parts.broker.log();
        let reading = async move { log.record(&refused.record).await };
        context.spawn(reading.into_actor(self).map(move |head, actor, context| match head {
            Ok(Some(entry)) if !entry.envelope.body.removed => {
                let item = Item::recheck(entry.envelope.body, entry.sequence);
                actor.work.put_unless_under_way(key, item);
                actor.pump(context);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(config_id = %actor.id(), error = %error, "record could not be read: compared after its next attempt");
                actor.rechecks.insert(key);
            }
        }));
    }
}

/// The calls of an attempt, as far as each vault's budget is concerned.
fn made(record: &Record) -> (Need, Need) {
    let (source, target) = needs(record.id.kind);
    let Some(calls) = record.last_attempt.as_ref().map(|attempt| attempt.calls) else { return (source, target) };
    let count = |calls: u64| u32::try_from(calls).unwrap_or(u32::MAX);
    let (gets, sets) = (count(calls.get), count(calls.set));
    let at_source = gets.min(source.reads);
    let creating = sets.min(target.creating);
    let at_target = gets - at_source + (sets - creating);
    (Need { creating: 0, reads: at_source }, Need { creating, reads: at_target })
}
