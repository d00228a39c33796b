//! A config's state, read from the log before its actor starts.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, Incoming, LiveEntry, LogError};
use domain::index::Index;
use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{
    Config, ConfigId, Record, RecordKey, Revision, Run, Status, Timestamp,
    run::{Phase, RunEnd},
};

use super::{Asked, ConfigActor, is_open};
use crate::{CoordinatorParts, claims::is_doubted, error::CoordinatorError};

/// How long after a run's newest message its plan is good for another owner. One is taken over within seconds, and a run
/// under way says so every five.
const PLAN_HOLDS: Duration = Duration::from_secs(60);

/// Everything a config's actor starts from.
pub(crate) struct Loaded {
    pub config: Config,
    pub revision: Revision,
    pub index: Index,
    /// Records that wait for something.
    pub open: Vec<Entry<Record>>,
    /// Records that wait under an earlier edit of the config: for a run, in which they are planned again.
    pub outdated: usize,
    /// Items that may have been written, of whatever status their records are.
    pub doubted: Vec<RecordKey>,
    pub run: Option<Entry<Run>>,
    /// End of the last run whose listings were complete.
    pub last_verified: Option<Timestamp>,
    /// Subjects of records this version cannot read. They are left alone: an append there would be refused.
    pub unreadable: Vec<String>,
    pub live: BoxStream<'static, LiveEntry<Record>>,
    pub queries: Requests,
    pub commands: Requests,
}

/// Requests on one subject.
pub(crate) struct Requests(BoxStream<'static, Incoming>);

impl Requests {
    pub(super) fn into_stream(self, wrap: fn(Incoming) -> Asked) -> BoxStream<'static, Asked> {
        self.0.map(wrap).boxed()
    }
}

/// Subscribes first and reads then, so that nothing falls between.
pub(crate) async fn load(parts: &CoordinatorParts, entry: Entry<Config>) -> Result<Loaded, CoordinatorError> {
    let (config, revision) = (entry.envelope.body, Revision(entry.sequence.0));
    let (log, bus, subjects) = (parts.broker.log(), &parts.broker.bus, &parts.broker.subjects);
    let live = log.follow_records(&config.id).await?;
    let queries = Requests(bus.subscribe(&subjects.config_query(&config.id), None).await?);
    let commands = Requests(bus.subscribe(&subjects.config_command(&config.id), None).await?);
    bus.flush().await?;
    let (entries, unreadable) = records(parts, &config.id).await?;
    let run = log.run(&config.id).await?;
    let open_run = run.as_ref().filter(|run| run.envelope.body.is_open());
    let was_interrupted = run.as_ref().is_some_and(|run| run.envelope.body.end == Some(RunEnd::Interrupted));
    let goes_on = open_run.is_some() || was_interrupted;
    let as_planned = open_run.filter(|run| is_as_planned(parts, run)).map(|run| run.envelope.body.id);
    let last_verified = log.runs(&config.id).await?.into_iter().map(|entry| entry.envelope.body);
    let last_verified = last_verified.filter(|run| run.counts.complete).find_map(|run| run.ended);
    let (mut index, mut open, mut outdated, mut doubted) = (Index::new(), Vec::new(), 0, Vec::new());
    for entry in entries {
        let record = &entry.envelope.body;
        index.upsert(record, entry.sequence);
        if is_doubted(record) {
            doubted.push(record.id.key());
        }
        // What waits for a run is planned again once that goes on, unless its plan is good still.
        let is_planned = record.status == Status::Pending && record.run.is_some();
        let is_replanned = goes_on && is_planned && record.run != as_planned;
        if super::is_outdated(record, revision) {
            outdated += 1;
        } else if is_open(record) && !is_replanned {
            open.push(entry);
        }
    }
    tracing::info!(config_id = %config.id, records = index.len(), open = open.len(), "config was loaded");
    Ok(Loaded {
        config,
        revision,
        index,
        open,
        outdated,
        doubted,
        run,
        last_verified,
        unreadable,
        live,
        queries,
        commands,
    })
}

/// Whether what waits in a run may be attempted as it was planned: not after listings that were cut short, or showed
/// another vault, nor after a while in which the vaults may have become others.
fn is_as_planned(parts: &CoordinatorParts, run: &Entry<Run>) -> bool {
    let state = &run.envelope.body;
    let is_young = parts.origin.now().since(run.time) < PLAN_HOLDS;
    is_young && state.phase == Phase::Syncing && state.counts.complete
}

/// Every record of a config, and the subjects that cannot be read.
async fn records(parts: &CoordinatorParts, config: &ConfigId) -> Result<(Vec<Entry<Record>>, Vec<String>), LogError> {
    let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
    let mut records = parts.broker.log().records(config).await?;
    while let Some(entry) = records.next().await {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(LogError::Corrupt { subject, source }) => {
                tracing::error!(config_id = %config, subject, error = %source, "record cannot be read: left alone");
                unreadable.push(subject);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((entries, unreadable))
}

/// Whether the records are being read again, and once more after that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Reload {
    #[default]
    No,
    Running,
    Again,
}

impl ConfigActor {
    /// Reads every record again: the live feed had a gap. Many gaps in a row are one more reading.
    pub(super) fn reload(&mut self, context: &mut Context<Self>) {
        if self.reload != Reload::No {
            self.reload = Reload::Again;
            return;
        }
        self.reload = Reload::Running;
        let (parts, id) = (self.parts.parts.clone(), self.id());
        let reading = async move { records(&parts, &id).await };
        context.spawn(reading.into_actor(self).map(|read, actor, context| {
            match read {
                Ok((entries, _)) => entries.into_iter().for_each(|entry| actor.hear(entry, context)),
                // Timers read what is missed; a broken log is noticed there too.
                Err(error) => {
                    tracing::warn!(config_id = %actor.id(), error = %error, "records could not be read again");
                }
            }
            let was = std::mem::take(&mut actor.reload);
            if was == Reload::Again {
                actor.reload(context);
            }
        }));
    }
}
