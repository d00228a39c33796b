//! What the log says became of an attempt, and what the timers find where the log says nothing.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, LogError};
use domain::{
    backoff::ATTEMPTS_MAX,
    lifecycle,
    mutant::{self, Mutant},
};
use proto_msgs::{MemberId, Record, RecordKey, Status, vault::Side};

use super::{
    ConfigActor,
    dispatch::needs,
    is_outdated,
    schedule::ran_out,
    work::{Due, Item, Permits, Stage},
};
use crate::vault_actor::Need;

impl ConfigActor {
    /// Goes on with a record whose state is new.
    pub(super) fn follow_up(&mut self, entry: Entry<Record>, _: &mut Context<Self>) {
        let (key, record) = (entry.envelope.body.id.key(), &entry.envelope.body);
        match record.status {
            Status::Pending => self.waits(key, entry),
            Status::Syncing => self.opened(key, entry),
            Status::Retrying => {
                self.came_back(&key, record);
                self.work.put(key.clone(), Item::of(entry, self.parts.parts.origin.boot()));
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
                self.came_back(&key, record);
                self.work.remove(&key);
                self.done(&key);
                if ran_out(record.status, record.code, record.attempt) {
                    self.follow_up_soon();
                }
                if lifecycle::is_doubtful(record) {
                    self.work.put(key, Item::of(entry, self.parts.parts.origin.boot()));
                }
            }
        }
    }

    /// It waits for an attempt. One that is on its way was decided on an older state: its intent is refused.
    fn waits(&mut self, key: RecordKey, entry: Entry<Record>) {
        if is_outdated(&entry.envelope.body, self.revision) || self.config.deleted {
            // A delete found its item there again, after an edit: what is due now, another run plans.
            self.came_back(&key, &entry.envelope.body);
            self.done(&key);
            return self.schedule_edited(true);
        }
        let is_planned = |run: &super::ActiveRun| entry.envelope.body.run == Some(run.state.id);
        if let Some(run) = self.run.as_mut().filter(|run| is_planned(run)) {
            run.outstanding.insert(key.clone());
        }
        match self.work.get(&key).map(|item| &item.stage) {
            // A delete found its item there again: that attempt is over, and another one is due.
            Some(Stage::Open { .. }) => self.came_back(&key, &entry.envelope.body),
            Some(Stage::Accepted { worker, .. }) => self.parts.fleet.gave_back(worker),
            Some(Stage::Queued | Stage::Dispatching { .. } | Stage::Retrying { .. }) | None => {}
        }
        self.work.put(key, Item::of(entry, self.parts.parts.origin.boot()));
    }

    fn opened(&mut self, key: RecordKey, entry: Entry<Record>) {
        let since = self.parts.parts.origin.boot();
        let Some(mut item) = self.work.remove(&key) else {
            self.work.put(key, Item::of(entry, since));
            return;
        };
        let named = entry.envelope.body.unresolved.as_ref().map(|unresolved| unresolved.worker.clone());
        // An attempt may append twice before it ends: time runs from what was seen first.
        item.stage = match (item.stage, named) {
            (stage @ Stage::Open { .. }, _) => stage,
            (Stage::Accepted { worker, .. }, _) | (_, Some(worker)) => Stage::Open { worker, since },
            (stage, None) => stage,
        };
        (item.sequence, item.correlation, item.record) =
            (entry.sequence, entry.envelope.correlation_id, entry.envelope.body);
        self.work.put(key, item);
    }

    /// An attempt ended: its permits go back with what was called.
    fn came_back(&mut self, key: &RecordKey, record: &Record) {
        self.listed.remove(key);
        let Some(mut item) = self.work.remove(key) else { return };
        if let (Some(run), Some(attempt)) = (&mut self.run, &record.last_attempt)
            && record.run == Some(run.state.id)
            && item.stage.is_under_way()
        {
            run.state.counts.calls += attempt.calls;
        }
        if let Some(attempt) = record.last_attempt.as_ref().filter(|_| item.stage.is_under_way()) {
            self.judge_vaults(record, attempt);
        }
        if let Some(worker) = item.stage.worker() {
            self.parts.fleet.gave_back(worker);
        }
        let Some(Permits { source, target }) = item.permits.take() else { return };
        let throttled = |side| {
            let attempt = record.last_attempt.as_ref().filter(|attempt| attempt.throttled == Some(side))?;
            Some(attempt.retry_after_ms.map(Duration::from_millis))
        };
        let (at_source, at_target) = made(record, needs(&item.record));
        source.end(at_source, throttled(Side::Source));
        target.end(at_target, throttled(Side::Target));
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
                Due::Move(_) | Due::Read(_) if mutant::is(Mutant::NoTimers) => {}
                Due::Move(key) => self.requeue(&key, false, context),
                Due::Read(key) => self.read_head(key, context),
            }
        }
    }

    /// Takes a record from a worker that says nothing.
    fn requeue(&mut self, key: &RecordKey, may_have_written: bool, context: &mut Context<Self>) {
        let Some(mut item) = self.work.remove(key) else { return };
        tracing::info!(config_id = %self.id(), record = %key, may_have_written, "record is moved from a silent worker");
        if item.record.attempt.saturating_add(1) >= ATTEMPTS_MAX && may_have_written {
            return self.give_up(item, context);
        }
        item.stage = Stage::Queued;
        item.outcome_unknown |= may_have_written;
        // Dropped, they count as used: whether they were is not known.
        item.permits = None;
        self.work.put(key.clone(), item);
    }

    /// An item whose attempts never come to an end is not tried for ever: it may be what ends the workers.
    fn give_up(&mut self, item: Item, context: &mut Context<Self>) {
        let record = lifecycle::given_up(item.record.clone(), self.revision);
        self.write_instead(item, record, context);
    }

    fn read_head(&mut self, key: RecordKey, context: &mut Context<Self>) {
        let Some(item) = self.work.get(&key).filter(|_| self.reading.insert(key.clone())) else { return };
        let (id, log) = (item.record.id.clone(), self.parts.parts.broker.log());
        let reading = async move { log.record(&id).await };
        context.spawn(reading.into_actor(self).map(move |head, actor, context| {
            actor.reading.remove(&key);
            actor.read_head_of(&key, head, context);
            actor.pump(context);
            actor.finish_when_done(context);
        }));
    }

    fn read_head_of(
        &mut self,
        key: &RecordKey,
        head: Result<Option<Entry<Record>>, LogError>,
        context: &mut Context<Self>,
    ) {
        let Some(item) = self.work.get(key) else { return };
        let (known, is_open) = (item.sequence, matches!(item.stage, Stage::Open { .. }));
        match head {
            // Whether the index knows it already or not: the item does not.
            Ok(Some(entry)) if entry.sequence > known => {
                self.take_in(&entry);
                self.follow_up(entry, context);
            }
            Ok(Some(_)) if item.stage.is_under_way() => self.requeue(key, is_open, context),
            Ok(Some(_)) => {}
            Ok(None) => {
                self.work.remove(key);
                self.done(key);
            }
            // Looked at again with the next timer.
            Err(error) => {
                tracing::warn!(config_id = %self.id(), record = %key, error = %error, "record could not be read");
            }
        }
    }
}

/// The calls of an attempt, as far as each vault's budget is concerned.
fn made(record: &Record, (source, target): (Need, Need)) -> (Need, Need) {
    let Some(calls) = record.last_attempt.as_ref().map(|attempt| attempt.calls) else { return (source, target) };
    let count = |calls: u64| u32::try_from(calls).unwrap_or(u32::MAX);
    let (gets, sets) = (count(calls.get), count(calls.set));
    let at_source = gets.min(source.reads);
    let creating = sets.min(target.creating);
    let at_target = (gets - at_source).saturating_add(sets - creating);
    (Need { creating: 0, reads: at_source }, Need { creating, reads: at_target })
}
