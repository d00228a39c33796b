//! The worker's loop: sync commands, queries, heartbeats, and the way out.

use std::{sync::Arc, time::Duration};

use broker::{Incoming, LiveEntry};
use proto_msgs::{
    Config, Timestamp,
    config::Control,
    subject::AnyWorker,
    worker::{Heartbeat, Role, SyncAnswer, SyncRecord},
};
use runtime::Shutdown;
use tokio::task::{JoinError, JoinSet};

use crate::{
    WorkerParts, WorkerSettings,
    actor::{Directory, Place},
    error::WorkerError,
    feeds::{Event, Feeds},
    fences::Fences,
    metrics::Metrics,
    queries::{self, Queries},
};

/// Longest that what is under way is waited for while draining: as long as one attempt may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// Between two tries at reading every config.
const READ_CONFIGS_EVERY: Duration = Duration::from_secs(1);

/// A worker that serves.
struct Server {
    parts: WorkerParts,
    fences: Arc<Fences>,
    directory: Arc<Directory>,
    queries: Queries,
    tasks: JoinSet<()>,
    started: Timestamp,
    beat: u64,
    is_draining: bool,
}

pub(crate) async fn run(settings: WorkerSettings, parts: WorkerParts, shutdown: Shutdown) -> Result<(), WorkerError> {
    let mut feeds = Feeds::open(&parts).await?;
    let fences = Arc::<Fences>::default();
    let mut server = Server {
        directory: Directory::new(settings.attempts, fences.clone()),
        queries: Queries::default(),
        tasks: JoinSet::new(),
        is_draining: false,
        beat: 0,
        started: parts.origin.now(),
        fences,
        parts,
    };
    server.read_configs();
    tracing::info!(worker_id = %server.parts.origin.member(), "worker serves");
    loop {
        // Only the waiting is cut short, never what is done about an event.
        let event = tokio::select! {
            biased;
            () = shutdown.draining() => break,
            Some(ended) = server.tasks.join_next() => { notice(ended); continue }
            event = feeds.next() => event?,
        };
        server.handle(event).await;
    }
    server.drain(feeds, &shutdown).await
}

/// A task that panicked has lost what it was doing; somebody's deadline finds out.
fn notice(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "a task of the worker died");
    }
}

impl Server {
    async fn handle(&mut self, event: Event) {
        match event {
            Event::Beat => self.heartbeat().await,
            Event::Heard(incoming) => self.heard(&incoming),
            Event::Config(entry) => self.config(*entry),
            Event::Control(entry) => self.control(*entry),
            Event::Sync(incoming) => self.sync(incoming).await,
            Event::Query(what, incoming) => self.query(what, incoming),
        }
    }

    async fn sync(&mut self, incoming: Incoming) {
        let Some(command) = queries::question::<SyncRecord>(&incoming) else { return };
        let (answer, place) = self.admit(&command.body);
        queries::reply(&self.parts, &incoming, self.parts.origin.envelope(command.correlation_id, answer)).await;
        if let Some(place) = place {
            let (parts, directory) = (self.parts.clone(), self.directory.clone());
            self.tasks.spawn_local(async move {
                let record = command.body.record.id.clone();
                if let Err(error) = directory.sync(&parts, command.body, command.correlation_id).await {
                    tracing::warn!(record_id = %record, correlation_id = %command.correlation_id, error = &error as &dyn std::error::Error, "attempt has no outcome");
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

    fn query(&mut self, what: AnyWorker, incoming: Incoming) {
        let answer = self.queries.answer(self.parts.clone(), what, incoming);
        self.tasks.spawn_local(answer);
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
        self.fences.pulse.sent(self.beat, origin.boot());
        let subject = self.parts.broker.subjects.heartbeat(Role::Worker, origin.member());
        let envelope = origin.envelope(origin.correlation_id(), heartbeat);
        if let Err(error) = broker::tell(self.parts.broker.bus.as_ref(), &subject, &envelope).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "heartbeat could not be sent");
        }
    }

    fn heard(&self, incoming: &Incoming) {
        if let Some(heartbeat) = queries::question::<Heartbeat>(incoming) {
            self.fences.pulse.heard(heartbeat.body.beat);
        }
    }

    fn config(&mut self, entry: LiveEntry<Config>) {
        match entry {
            LiveEntry::Entry(entry) => self.fences.hear(&entry),
            LiveEntry::Gap => self.read_configs(),
        }
    }

    fn control(&mut self, entry: LiveEntry<Control>) {
        match entry {
            LiveEntry::Entry(entry) => self.fences.hear_control(&entry),
            LiveEntry::Gap => self.read_configs(),
        }
    }

    /// Reads every config and the emergency stop; until that is done, nothing is written.
    fn read_configs(&mut self) {
        let (configs, fences, gap) = (self.parts.broker.configs(), self.fences.clone(), self.fences.missed());
        self.tasks.spawn_local(async move {
            while fences.is_newest_gap(gap) {
                match tokio::try_join!(configs.list(), configs.control()) {
                    Ok((entries, control)) => return fences.read_all(gap, &entries, control.as_ref()),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "configs could not be read: nothing is written until they are"
                        );
                        tokio::time::sleep(READ_CONFIGS_EVERY).await;
                    }
                }
            }
        });
    }

    /// Takes no more, says so, finishes what is begun.
    async fn drain(mut self, mut feeds: Feeds, shutdown: &Shutdown) -> Result<(), WorkerError> {
        self.is_draining = true;
        self.heartbeat().await;
        for (what, incoming) in feeds.leave_queries() {
            self.query(what, incoming);
        }
        let give_up = tokio::time::sleep(DRAIN_LIMIT);
        tokio::pin!(give_up);
        while self.directory.in_flight() > 0 || self.queries.are_open() {
            let event = tokio::select! {
                biased;
                () = shutdown.stopped() => break,
                () = &mut give_up => break,
                Some(ended) = self.tasks.join_next() => { notice(ended); continue }
                // Heartbeats go on: without them, what is under way would not be allowed to write any more.
                event = feeds.next() => event?,
            };
            self.handle(event).await;
        }
        tracing::info!(worker_id = %self.parts.origin.member(), left = self.directory.in_flight(), "worker leaves");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
