//! The worker's subscriptions: sync commands, queries, heartbeats, and the way out.

use std::{sync::Arc, time::Duration};

use broker::Incoming;
use domain::timing::HEARTBEAT_EVERY;
use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{
    Timestamp,
    subject::AnyWorker,
    worker::{Heartbeat, InventoryAnswer, ResolveAnswer, Role, SyncAnswer, SyncRecord},
};
use runtime::Shutdown;
use tokio::{sync::Semaphore, task::JoinSet, time::interval};

use crate::{
    WorkerParts, WorkerSettings,
    actor::{Directory, Place},
    error::WorkerError,
    metrics::Metrics,
    queries,
};

/// Queries answered at once: a listing page is 25 items, and a run asks for twelve listings in parallel.
const QUERIES: usize = 64;
/// Longest that attempts under way are waited for while draining: as long as one may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// A worker that serves.
struct Server {
    parts: WorkerParts,
    directory: Arc<Directory>,
    queries: Arc<Semaphore>,
    tasks: JoinSet<()>,
    started: Timestamp,
    beat: u64,
    is_draining: bool,
}

/// What a worker listens to.
struct Subscriptions {
    sync: BoxStream<'static, Incoming>,
    inventory: BoxStream<'static, Incoming>,
    resolve: BoxStream<'static, Incoming>,
}

pub(crate) async fn run(settings: WorkerSettings, parts: WorkerParts, shutdown: Shutdown) -> Result<(), WorkerError> {
    let mut subscriptions = subscribe(&parts).await?;
    let started = parts.origin.now();
    let mut server = Server {
        directory: Directory::new(settings.attempts),
        queries: Arc::new(Semaphore::new(QUERIES)),
        tasks: JoinSet::new(),
        is_draining: false,
        beat: 0,
        started,
        parts,
    };
    tracing::info!(worker_id = %server.parts.origin.member(), "worker serves");
    let mut heartbeat = interval(HEARTBEAT_EVERY);
    loop {
        tokio::select! {
            biased;
            () = shutdown.draining() => break,
            _ = heartbeat.tick() => server.heartbeat().await,
            Some(_) = server.tasks.join_next() => {}
            incoming = subscriptions.sync.next() => server.sync(incoming.ok_or(WorkerError::SubscriptionEnded)?).await,
            incoming = subscriptions.inventory.next() => server.inventory(incoming.ok_or(WorkerError::SubscriptionEnded)?).await,
            incoming = subscriptions.resolve.next() => server.resolve(incoming.ok_or(WorkerError::SubscriptionEnded)?).await,
        }
    }
    server.drain(subscriptions, &shutdown).await;
    Ok(())
}

async fn subscribe(parts: &WorkerParts) -> Result<Subscriptions, WorkerError> {
    let (bus, subjects) = (&parts.broker.bus, &parts.broker.subjects);
    let group = subjects.any_worker_group();
    let subscriptions = Subscriptions {
        sync: bus.subscribe(&subjects.worker_sync(parts.origin.member()), None).await?,
        inventory: bus.subscribe(&subjects.any_worker(AnyWorker::Inventory), Some(&group)).await?,
        resolve: bus.subscribe(&subjects.any_worker(AnyWorker::Resolve), Some(&group)).await?,
    };
    bus.flush().await?;
    Ok(subscriptions)
}

impl Server {
    async fn sync(&mut self, incoming: Incoming) {
        let Some(command) = queries::question::<SyncRecord>(&incoming) else { return };
        let (answer, place) = self.admit(&command.body);
        queries::reply(&self.parts, &incoming, self.parts.origin.envelope(command.correlation_id, answer)).await;
        if let Some(place) = place {
            let (parts, directory) = (self.parts.clone(), self.directory.clone());
            self.tasks.spawn_local(async move {
                let record = command.body.record.id.clone();
                if let Err(error) = directory.sync(&parts, command.body, command.correlation_id).await {
                    tracing::warn!(record_id = %record, correlation_id = %command.correlation_id, error = %error, "attempt has no outcome");
                }
                drop(place);
            });
        }
    }

    fn admit(&self, command: &SyncRecord) -> (SyncAnswer, Option<Place>) {
        if self.is_draining {
            return (SyncAnswer::Draining, None);
        }
        if let Err((epoch, revision)) = self.directory.admit(command) {
            Metrics::count(&self.parts.metrics.commands_stale_total);
            return (SyncAnswer::Stale { epoch, revision }, None);
        }
        match self.directory.enter() {
            Some(place) => (SyncAnswer::Accepted { room: self.directory.free() }, Some(place)),
            None => {
                Metrics::count(&self.parts.metrics.commands_busy_total);
                (SyncAnswer::Busy, None)
            }
        }
    }

    async fn inventory(&mut self, incoming: Incoming) {
        let parts = self.parts.clone();
        match self.queries.clone().try_acquire_owned() {
            Ok(place) => {
                self.tasks.spawn_local(async move {
                    queries::inventory(&parts, incoming).await;
                    drop(place);
                });
            }
            Err(_) => {
                let answer: InventoryAnswer = Err(queries::busy());
                queries::reply(&parts, &incoming, parts.origin.envelope(parts.origin.correlation_id(), answer)).await;
            }
        }
    }

    async fn resolve(&mut self, incoming: Incoming) {
        let parts = self.parts.clone();
        match self.queries.clone().try_acquire_owned() {
            Ok(place) => {
                self.tasks.spawn_local(async move {
                    queries::resolve(&parts, incoming).await;
                    drop(place);
                });
            }
            Err(_) => {
                let answer: ResolveAnswer = Err(queries::busy_resolving());
                queries::reply(&parts, &incoming, parts.origin.envelope(parts.origin.correlation_id(), answer)).await;
            }
        }
    }

    async fn heartbeat(&mut self) {
        self.beat += 1;
        let origin = &self.parts.origin;
        let heartbeat = Heartbeat {
            member: origin.member().clone(),
            role: Role::Worker,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            beat: self.beat,
            slots: Vec::new(),
            room: if self.is_draining { 0 } else { self.directory.free() },
            in_flight: self.directory.in_flight(),
            draining: self.is_draining,
        };
        let subject = self.parts.broker.subjects.heartbeat(Role::Worker, origin.member());
        let envelope = origin.envelope(origin.correlation_id(), heartbeat);
        if let Err(error) = broker::tell(self.parts.broker.bus.as_ref(), &subject, &envelope).await {
            tracing::debug!(error = %error, "heartbeat could not be sent");
        }
    }

    /// Takes no more, says so, finishes what is begun.
    async fn drain(mut self, mut subscriptions: Subscriptions, shutdown: &Shutdown) {
        self.is_draining = true;
        self.heartbeat().await;
        let give_up = tokio::time::sleep(DRAIN_LIMIT);
        tokio::pin!(give_up);
        while self.directory.in_flight() > 0 {
            tokio::select! {
                biased;
                () = shutdown.stopped() => break,
                () = &mut give_up => break,
                Some(_) = self.tasks.join_next() => {}
                Some(incoming) = subscriptions.sync.next() => self.sync(incoming).await,
            }
        }
        tracing::info!(worker_id = %self.parts.origin.member(), left = self.directory.in_flight(), "worker leaves");
    }
}
