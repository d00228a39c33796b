//! What a worker listens to, as one queue of events.

use broker::{Incoming, LiveEntry};
use domain::timing::HEARTBEAT_EVERY;
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use proto_msgs::{Config, config::Control, subject::AnyWorker, worker::Role};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{WorkerParts, error::WorkerError};

/// Something to do.
pub(crate) enum Event {
    /// It is time for a heartbeat.
    Beat,
    /// This worker's own heartbeat came back.
    Heard(Incoming),
    Config(Box<LiveEntry<Config>>),
    Control(Box<LiveEntry<Control>>),
    Sync(Incoming),
    Query(AnyWorker, Incoming),
}

/// The subscriptions of a worker.
pub(crate) struct Feeds {
    beat: Interval,
    configs: BoxStream<'static, LiveEntry<Config>>,
    control: BoxStream<'static, LiveEntry<Control>>,
    heard: BoxStream<'static, Incoming>,
    sync: BoxStream<'static, Incoming>,
    queries: BoxStream<'static, (AnyWorker, Incoming)>,
}

impl Feeds {
    pub(crate) async fn open(parts: &WorkerParts) -> Result<Self, WorkerError> {
        let (bus, subjects, member) = (&parts.broker.bus, &parts.broker.subjects, parts.origin.member());
        let group = subjects.any_worker_group();
        let mut queries = Vec::new();
        for what in [AnyWorker::Inventory, AnyWorker::Resolve] {
            let any = bus.subscribe(&subjects.any_worker(what), Some(&group)).await?;
            let one = bus.subscribe(&subjects.one_worker(what, member), None).await?;
            queries.extend([any, one].map(|asked| asked.map(move |incoming| (what, incoming)).boxed()));
        }
        let mut beat = interval(HEARTBEAT_EVERY);
        // After a suspension one beat says all that an hour of them would.
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let feeds = Self {
            beat,
            configs: parts.broker.configs().follow().await?,
            control: parts.broker.configs().follow_control().await?,
            heard: bus.subscribe(&subjects.heartbeat(Role::Worker, member), None).await?,
            sync: bus.subscribe(&subjects.worker_sync(member), None).await?,
            queries: stream::select_all(queries).boxed(),
        };
        bus.flush().await?;
        Ok(feeds)
    }

    /// The next thing to do. Configs and the emergency stop before heartbeats: a beat that came back says that what was
    /// published before it has been taken in.
    pub(crate) async fn next(&mut self) -> Result<Event, WorkerError> {
        tokio::select! {
            biased;
            _ = self.beat.tick() => Some(Event::Beat),
            config = self.configs.next() => config.map(|entry| Event::Config(Box::new(entry))),
            control = self.control.next() => control.map(|entry| Event::Control(Box::new(entry))),
            heard = self.heard.next() => heard.map(Event::Heard),
            command = self.sync.next() => command.map(Event::Sync),
            query = self.queries.next() => query.map(|(what, incoming)| Event::Query(what, incoming)),
        }
        .ok_or(WorkerError::SubscriptionEnded)
    }

    /// Takes no more queries, and gives what had arrived already: nobody else will get that.
    pub(crate) fn leave_queries(&mut self) -> Vec<(AnyWorker, Incoming)> {
        let mut queries = std::mem::replace(&mut self.queries, stream::pending().boxed());
        let mut left = Vec::new();
        while let Some(Some(query)) = queries.next().now_or_never() {
            left.push(query);
        }
        left
    }
}
