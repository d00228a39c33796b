//! Hands queued records to workers: a permit of each vault, a place on a worker, its word that it took it.
//!
//! All of it happens in one stream of bounded futures beside the actor. A worker that did not answer counts as one that
//! took it: what became of it is seen in the log, or found by a timer. What was decided under an older edit, or by an
//! owner whose tenure is over, is not sent, however long it waited for its permits.

use std::{rc::Rc, time::Duration};

use actix::{AsyncContext, Context, StreamHandler};
use broker::BusError;
use futures::{StreamExt, channel::mpsc};
use proto_msgs::{
    CorrelationId, ItemType, MemberId, Record, RecordKey, hash,
    worker::{SyncAnswer, SyncRecord},
};

use super::{
    ConfigActor, ConfigParts, Standing,
    work::{Permits, Stage},
};
use crate::vault_actor::Need;

/// Dispatches of bulk work under way in one config: more than two workers' room would only wait.
const BULK_MAX: usize = 512;
/// Places kept free for what somebody asked for.
const URGENT_MAX: usize = 64;
/// A worker answers at once; one that does not may be gone, or NATS is.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// About how long a permit of one vault is held while one of the other is waited for: two configs that replicate in
/// opposite directions could wait for each other. Each waits half as long again or half as long, by chance, so that they
/// do not give up together for ever.
const SECOND_PERMIT_WAIT: Duration = Duration::from_secs(2);
/// Between two looks for a worker with room.
const PLACE_EVERY: Duration = Duration::from_millis(25);
/// Longest that a record waits for a place before it goes back into the queue, so that urgent ones get past it.
const PLACE_TRIES: u32 = 400;

/// A record on its way to a worker.
pub(super) struct Job {
    number: u64,
    key: RecordKey,
    command: SyncRecord,
    correlation: CorrelationId,
    is_urgent: bool,
    /// A vault is held, and it goes all the same: it is the probe, or somebody asked for it.
    passes_holds: bool,
}

/// What became of a job.
pub(super) struct Dispatched {
    number: u64,
    key: RecordKey,
    end: End,
}

enum End {
    Taken {
        worker: MemberId,
        permits: Permits,
    },
    /// No worker had room for long, or the vault's budget is gone.
    NotPlaced,
    /// A newer owner or edit is known to the worker.
    Stale,
}

/// Where jobs go in.
pub(super) type Jobs = mpsc::Sender<Job>;

/// Starts the stream in which jobs are dispatched.
pub(super) fn start(parts: ConfigParts, standing: Rc<Standing>, context: &mut Context<ConfigActor>) -> Jobs {
    let (jobs, waiting) = mpsc::channel(BULK_MAX + URGENT_MAX);
    let dispatched = waiting.map(move |job| dispatch(parts.clone(), standing.clone(), job));
    context.add_stream(dispatched.buffer_unordered(BULK_MAX + URGENT_MAX));
    jobs
}

impl ConfigActor {
    /// Dispatches what is queued, as far as there is room for it.
    pub(super) fn pump(&mut self, context: &mut Context<Self>) {
        if self.config.deleted || !self.may_work() || !self.parts.fleet.has_workers() {
            return;
        }
        let boot = self.parts.parts.origin.boot();
        while let Some((key, is_urgent)) = self.work.next_queued() {
            let limit = if is_urgent { BULK_MAX + URGENT_MAX } else { BULK_MAX };
            if self.dispatching >= limit {
                return;
            }
            let is_held = self.parts.is_held();
            let key = if is_held && !is_urgent { self.work.least_tried().unwrap_or(key) } else { key };
            if !self.is_attemptable(&key, context) {
                continue;
            }
            let goes = if is_urgent { !is_held || !self.work.has_attempts() } else { self.parts.takes_turn(boot) };
            if !goes {
                return;
            }
            let number = self.next_job;
            let Some(command) = self.command_for(&key) else {
                self.work.remove(&key);
                continue;
            };
            let correlation = self.work.get(&key).map_or_else(|| self.correlation(), |item| item.correlation);
            let job = Job { number, key: key.clone(), command, correlation, is_urgent, passes_holds: is_held };
            if self.jobs.try_send(job).is_err() {
                return;
            }
            self.next_job += 1;
            self.dispatching += 1;
            self.work.set(&key, Stage::Dispatching { job: number });
        }
    }

    fn command_for(&self, key: &RecordKey) -> Option<SyncRecord> {
        let item = self.work.get(key)?;
        let listed = self.listed.get(key);
        Some(SyncRecord {
            record: item.record.clone(),
            expected: item.sequence,
            epoch: self.parts.tenure.epoch,
            revision: self.revision,
            outcome_unknown: item.outcome_unknown,
            thorough: item.is_thorough(),
            source: self.config.source.clone(),
            target: self.config.target.clone(),
            behaviour: self.config.spec.behaviour.clone(),
            listed: listed.map(|listed| listed.item.clone()),
            listed_at: listed.map(|listed| listed.at),
        })
    }
}

impl StreamHandler<Dispatched> for ConfigActor {
    fn handle(&mut self, dispatched: Dispatched, context: &mut Self::Context) {
        self.dispatching -= 1;
        let Dispatched { number, key, end } = dispatched;
        match end {
            End::Taken { worker, permits } => {
                self.moved = self.parts.parts.origin.boot();
                self.taken(number, &key, worker, permits);
            }
            End::NotPlaced if self.work.is_job(&key, number) => self.work.set(&key, Stage::Queued),
            End::NotPlaced => {}
            End::Stale => {
                tracing::warn!(config_id = %self.id(), record = %key, "a worker knows a newer owner or revision");
                if self.work.is_job(&key, number) {
                    self.work.set(&key, Stage::Queued);
                    self.standing.was_overtaken.set(true);
                }
            }
        }
        self.pump(context);
    }

    fn finished(&mut self, context: &mut Self::Context) {
        actix::ActorContext::stop(context);
    }
}

impl ConfigActor {
    fn taken(&mut self, number: u64, key: &RecordKey, worker: MemberId, permits: Permits) {
        let since = self.parts.parts.origin.boot();
        let item = self.work.get(key).filter(|item| item.job == number);
        let stage = match item.map(|item| &item.stage) {
            Some(Stage::Dispatching { .. }) => Stage::Accepted { worker, since },
            // The intent was seen before the answer; which worker wrote it is known only now.
            Some(Stage::Open { since, .. }) => Stage::Open { worker, since: *since },
            // The outcome was, too, or somebody went on with the record: the permits' calls are made.
            Some(Stage::Queued | Stage::Accepted { .. } | Stage::Retrying { .. }) | None => {
                return self.parts.fleet.gave_back(&worker);
            }
        };
        self.work.set(key, stage);
        if let Some(item) = self.work.get_mut(key) {
            item.permits = Some(permits);
        }
    }
}

/// Calls an attempt makes at most, at the source and at the target.
pub(super) fn needs(record: &Record) -> (Need, Need) {
    // The deleted item and the live one are looked for; a delete is no creating write in Azure's count.
    if record.delete.is_some() {
        return (Need { creating: 0, reads: 2 }, Need { creating: 0, reads: 2 });
    }
    match record.id.kind {
        ItemType::Secrets => (Need { creating: 0, reads: 1 }, Need { creating: 1, reads: 1 }),
        // The policy is read beside the secret behind the certificate.
        ItemType::Certificates => (Need { creating: 0, reads: 2 }, Need { creating: 1, reads: 1 }),
        // The rotation policy is read beside the key; a restore is no creating write in Azure's count.
        ItemType::Keys => (Need { creating: 0, reads: 3 }, Need { creating: 0, reads: 3 }),
    }
}

async fn dispatch(parts: ConfigParts, standing: Rc<Standing>, job: Job) -> Dispatched {
    let Job { number, key, command, correlation, is_urgent, passes_holds } = job;
    let Some(permits) = permits(&parts, &command, is_urgent).await else {
        return Dispatched { number, key, end: End::NotPlaced };
    };
    let revision = command.revision;
    let is_wanted = || {
        let is_of_now = standing.revision.get() == Some(revision);
        let may_go = parts.brake.is_released() && (passes_holds || !parts.is_held());
        is_of_now && may_go && parts.tenure.holds(parts.parts.origin.boot())
    };
    let end = match hand_over(&parts, is_wanted, command, correlation).await {
        Handed::To(worker) => End::Taken { worker, permits },
        Handed::Nowhere => {
            permits.give_back();
            End::NotPlaced
        }
        Handed::Stale => {
            permits.give_back();
            End::Stale
        }
    };
    Dispatched { number, key, end }
}

async fn permits(parts: &ConfigParts, command: &SyncRecord, is_urgent: bool) -> Option<Permits> {
    let (source, target) = needs(&command.record);
    let config = command.record.id.config;
    let target = parts.target.acquire(config, target, is_urgent).await?;
    let limit = SECOND_PERMIT_WAIT.mul_f64(0.5 + parts.parts.origin.jitter());
    let source = tokio::time::timeout(limit, parts.source.acquire(config, source, is_urgent)).await;
    match source {
        Ok(Some(source)) => Some(Permits { source, target }),
        Ok(None) | Err(_) => {
            target.end(Need::default(), None);
            None
        }
    }
}

enum Handed {
    To(MemberId),
    Nowhere,
    Stale,
}

/// `is_wanted` is asked directly before each time it is sent.
async fn hand_over(
    parts: &ConfigParts,
    is_wanted: impl Fn() -> bool,
    command: SyncRecord,
    correlation: CorrelationId,
) -> Handed {
    let shard = hash::shard(&command.record.id);
    let envelope = parts.parts.origin.envelope(correlation, command);
    let broker = &parts.parts.broker;
    for _ in 0..PLACE_TRIES {
        if !is_wanted() {
            return Handed::Nowhere;
        }
        let Some(worker) = parts.fleet.place(shard) else {
            tokio::time::sleep(PLACE_EVERY).await;
            continue;
        };
        let subject = broker.subjects.worker_sync(&worker);
        match broker::ask::<_, SyncAnswer>(broker.bus.as_ref(), &subject, &envelope, ANSWER_LIMIT).await {
            Ok(answer) => match answer.body {
                SyncAnswer::Accepted { .. } => return Handed::To(worker),
                SyncAnswer::Busy | SyncAnswer::Draining => parts.fleet.is_full(&worker),
                SyncAnswer::Stale { .. } => return Handed::Stale,
            },
            Err(BusError::NoResponders { .. }) => parts.fleet.is_full(&worker),
            // It may have taken it: treated as if it had.
            Err(BusError::Deadline { .. } | BusError::Disconnected) => return Handed::To(worker),
            Err(error @ (BusError::Envelope(_) | BusError::Other(_))) => {
                tracing::warn!(worker_id = %worker, error = %error, "record could not be handed to a worker");
                parts.fleet.gave_back(&worker);
                tokio::time::sleep(PLACE_EVERY).await;
            }
        }
    }
    Handed::Nowhere
}
