//! The record actor, and the directory of live ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorContext, Addr, AsyncContext, AtomicResponse, Context, Handler, Message, WrapFuture};
use dashmap::DashMap;
use proto_msgs::{CorrelationId, Epoch, RecordId, Revision, worker::SyncRecord};

use crate::{WorkerParts, attempt, error::RecordError, fences::Fences, metrics::Metrics};

/// A record sees a few messages a minute; a full mailbox means a stuck actor, so callers are told to wait.
const MAILBOX_CAPACITY: usize = 8;
/// An actor without work for this long goes: long enough for the retries of one run to find it.
const IDLE: Duration = Duration::from_secs(30);

/// The only writer of one record while it is being synced.
///
/// Appends its intent, calls the vaults, appends the outcome. Absent on purpose: retries and pacing, which the
/// coordinator decides; and values, which live in the future that syncs and nowhere in the actor.
struct RecordActor {
    record: RecordId,
    /// Shared by all actors of the worker.
    directory: Arc<Directory>,
    parts: WorkerParts,
    /// Counts commands; an actor is idle when it has not changed for a while.
    commands: u64,
}

impl Actor for RecordActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        self.passivate_when_idle(context);
    }

    fn stopped(&mut self, context: &mut Self::Context) {
        let own = context.address();
        // A command that came while this one was stopping may have started another in its place.
        self.directory.actors.remove_if(&self.record, |_, entered| *entered == own);
    }
}

impl RecordActor {
    fn passivate_when_idle(&self, context: &mut Context<Self>) {
        let seen = self.commands;
        context.run_later(IDLE, move |actor, context| {
            if actor.commands == seen { context.stop() } else { actor.passivate_when_idle(context) }
        });
    }
}

/// Asks for one attempt; answered when its outcome is in the log.
#[derive(Message)]
#[rtype(result = "Result<(), RecordError>")]
struct Sync {
    command: Box<SyncRecord>,
    correlation: CorrelationId,
}

impl Handler<Sync> for RecordActor {
    type Result = AtomicResponse<Self, Result<(), RecordError>>;

    fn handle(&mut self, message: Sync, _: &mut Context<Self>) -> Self::Result {
        self.commands += 1;
        let command = &message.command;
        // Again here: a newer owner may have spoken while this command lay in the mailbox.
        let allowed = self.directory.fences.admit(&self.record.config, command.epoch, command.revision);
        let (parts, directory) = (self.parts.clone(), self.directory.clone());
        let work = async move {
            allowed?;
            attempt::run(&parts, &directory.fences, *message.command, message.correlation).await
        };
        AtomicResponse::new(Box::pin(work.into_actor(self)))
    }
}

/// The live record actors of a worker.
pub(crate) struct Directory {
    actors: DashMap<RecordId, Addr<RecordActor>>,
    fences: Arc<Fences>,
    in_flight: AtomicU32,
    room: u32,
}

/// A place among the attempts under way; given back when it is dropped.
pub(crate) struct Place(Arc<Directory>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Directory {
    pub(crate) fn new(room: u32, fences: Arc<Fences>) -> Arc<Self> {
        Arc::new(Self { actors: DashMap::new(), fences, in_flight: AtomicU32::new(0), room })
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn free(&self) -> u32 {
        self.room.saturating_sub(self.in_flight())
    }

    /// A place, if one is free.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let taken = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < self.room).then_some(now + 1));
        taken.is_ok().then(|| Place(self.clone()))
    }

    pub(crate) fn admit(&self, command: &SyncRecord) -> Result<(), (Epoch, Revision)> {
        match self.fences.admit(&command.record.id.config, command.epoch, command.revision) {
            Err(RecordError::Stale { epoch, revision }) => Err((epoch, revision)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Hands a command to its record's actor, which is started if it is not there, and waits for the outcome.
    pub(crate) async fn sync(
        self: &Arc<Self>,
        parts: &WorkerParts,
        command: SyncRecord,
        correlation: CorrelationId,
    ) -> Result<(), RecordError> {
        Metrics::count(&parts.metrics.attempts_started_total);
        let record = command.record.id.clone();
        let actor = self.actor(parts, &record);
        let message = Sync { command: Box::new(command), correlation };
        actor.send(message).await.unwrap_or(Err(RecordError::Stopped))
    }

    fn actor(self: &Arc<Self>, parts: &WorkerParts, record: &RecordId) -> Addr<RecordActor> {
        if let Some(actor) = self.actors.get(record).filter(|actor| actor.connected()) {
            return actor.clone();
        }
        let actor =
            RecordActor { record: record.clone(), directory: self.clone(), parts: parts.clone(), commands: 0 }.start();
        self.actors.insert(record.clone(), actor.clone());
        actor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Stage;
    use proto_msgs::{ItemType, Status};
    use tokio::task::LocalSet;

    #[tokio::test(start_paused = true)]
    async fn an_idle_actor_leaves_the_directory_and_another_takes_the_next_command() {
        let stage = Stage::new(ItemType::Secrets).await;
        let directory = Directory::new(1, stage.fences.clone());
        let sync = async || {
            let command = stage.command().await;
            directory.sync(&stage.parts, command, CorrelationId::from_random(1)).await
        };
        let story = async {
            sync().await.unwrap();
            assert_eq!(directory.actors.len(), 1);
            tokio::time::sleep(IDLE * 3).await;
            assert_eq!(directory.actors.len(), 0);
            sync().await.unwrap();
            assert_eq!(stage.head().await.envelope.body.status, Status::Retrying);
        };
        LocalSet::new().run_until(story).await;
    }

    #[test]
    fn places_are_given_back() {
        let directory = Directory::new(1, Arc::default());
        let place = directory.enter();
        assert!(place.is_some() && directory.enter().is_none());
        drop(place);
        assert!(directory.enter().is_some());
    }
}
