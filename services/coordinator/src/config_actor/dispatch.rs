//! Hands queued records to workers: a permit of each vault, a place on a worker, its word that it took it.
//!
//! All of it happens in one stream of bounded futures beside the actor. A worker that did not answer counts as one that
//! took it: what became of it is seen in the log, or found by a timer.

use std::time::Duration;

use actix::{AsyncContext, Context, StreamHandler};
use broker::BusError;
use futures::{StreamExt, channel::mpsc};
use proto_msgs::{
    CorrelationId, ItemType, MemberId, RecordKey, hash,
    worker::{SyncAnswer, SyncRecord},
};

use super::{
    ConfigActor, ConfigParts,
    work::{Permits, Stage},
};
use crate::vault_actor::Need;

/// Dispatches under way in one config: more than two workers' room would only wait.
pub(super) const DISPATCHES_MAX: usize = 512;
/// A worker answers at once; one that does not may be gone, or NATS is.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
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
pub(super) fn start(parts: ConfigParts, context: &mut Context<ConfigActor>) -> Jobs {
    let (jobs, waiting) = mpsc::channel(DISPATCHES_MAX);
    context.add_stream(waiting.map(move |job| dispatch(parts.clone(), job)).buffer_unordered(DISPATCHES_MAX));
    jobs
}

impl ConfigActor {
    /// Dispatches what is queued, as far as there is room for it.
    pub(super) fn pump(&mut self, _: &mut Context<Self>) {
        if self.config.deleted || !self.parts.fleet.has_workers() {
            return;
        }
        while self.dispatching < DISPATCHES_MAX {
            let Some(key) = self.work.next_queued() else { return };
            let number = self.next_job;
            let Some(command) = self.command_for(&key) else {
                self.work.remove(&key);
                continue;
            };
            let job = Job { number, key: key.clone(), command, correlation: self.correlation_of(&key) };
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
        let mut record = item.record.clone();
        // Asked for by hand: no run answers for it.
        record.run = record.run.filter(|_| !item.is_urgent);
        Some(SyncRecord {
            record,
            expected: item.sequence,
            epoch: self.parts.epoch,
            revision: self.revision,
            outcome_unknown: item.outcome_unknown,
            thorough: item.is_thorough,
            source: self.config.source.clone(),
            target: self.config.target.clone(),
            behaviour: self.config.spec.behaviour.clone(),
            listed: item.listed.clone(),
        })
    }

    fn correlation_of(&self, key: &RecordKey) -> CorrelationId {
        self.work.get(key).and_then(|item| item.correlation).unwrap_or_else(|| self.correlation())
    }
}

impl StreamHandler<Dispatched> for ConfigActor {
    fn handle(&mut self, dispatched: Dispatched, context: &mut Self::Context) {
        self.dispatching -= 1;
        let Dispatched { number, key, end } = dispatched;
        match end {
            End::Taken { worker, permits } => self.taken(number, &key, worker, permits),
            End::NotPlaced if self.work.is_job(&key, number) => self.work.set(&key, Stage::Queued),
            End::NotPlaced => {}
            End::Stale => {
                tracing::warn!(config_id = %self.id(), record = %key, "a worker knows a newer owner or revision");
                if self.work.is_job(&key, number) {
                    self.work.set(&key, Stage::Queued);
                    self.is_stale = true;
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
        let boot = self.parts.parts.origin.boot();
        let known = self.work.get(key).map(|item| (item.stage.clone(), item.job));
        match known {
            Some((Stage::Dispatching { job }, _)) if job == number => {
                self.work.set(key, Stage::Accepted { worker, since: boot });
                self.work.give_permits(key, permits);
            }
            // The intent was seen before the answer.
            Some((Stage::Open { .. }, job)) if job == number => self.work.give_permits(key, permits),
            // The outcome was, too: the permits' calls are made.
            Some(_) | None => self.parts.fleet.gave_back(&worker),
        }
    }
}

/// Calls an attempt makes at most, at the source and at the target.
pub(super) fn needs(kind: ItemType) -> (Need, Need) {
    match kind {
        ItemType::Secrets => (Need { creating: 0, reads: 1 }, Need { creating: 1, reads: 1 }),
        // The policy is read beside the secret behind the certificate.
        ItemType::Certificates => (Need { creating: 0, reads: 2 }, Need { creating: 1, reads: 1 }),
        // A restore is no creating write in Azure's count.
        ItemType::Keys => (Need { creating: 0, reads: 2 }, Need { creating: 0, reads: 2 }),
    }
}

async fn dispatch(parts: ConfigParts, job: Job) -> Dispatched {
    let Job { number, key, command, correlation } = job;
    let (source, target) = needs(key.kind);
    let config = command.record.id.config;
    let permits = match parts.target.acquire(config, target).await {
        Some(target) => parts.source.acquire(config, source).await.map(|source| Permits { source, target }),
        None => None,
    };
    let Some(permits) = permits else { return Dispatched { number, key, end: End::NotPlaced } };
    let end = match hand_over(&parts, command, correlation).await {
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

enum Handed {
    To(MemberId),
    Nowhere,
    Stale,
}

async fn hand_over(parts: &ConfigParts, command: SyncRecord, correlation: CorrelationId) -> Handed {
    let shard = hash::shard(&command.record.id);
    let envelope = parts.parts.origin.envelope(correlation, command);
    let broker = &parts.parts.broker;
    for _ in 0..PLACE_TRIES {
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
            Err(BusError::Deadline { .. }) => return Handed::To(worker),
            Err(error @ (BusError::Disconnected | BusError::Envelope(_) | BusError::Other(_))) => {
                tracing::warn!(worker_id = %worker, error = %error, "record could not be handed to a worker");
                parts.fleet.gave_back(&worker);
                tokio::time::sleep(PLACE_EVERY).await;
            }
        }
    }
    Handed::Nowhere
}
