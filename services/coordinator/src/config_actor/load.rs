//! A config's state, read from the log before its actor starts.

use broker::{Entry, Incoming, LiveEntry};
use domain::index::Index;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use proto_msgs::{Config, Record, Revision, Run, Sequence};

use super::{Asked, ConfigActor};
use crate::{CoordinatorParts, error::CoordinatorError};
use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

/// Everything a config's actor starts from.
pub(crate) struct Loaded {
    pub config: Config,
    pub revision: Revision,
    pub index: Index,
    /// Records that are not settled.
    pub open: Vec<(Record, Sequence)>,
    pub run: Option<Entry<Run>>,
    pub live: BoxStream<'static, LiveEntry<Record>>,
    pub queries: Requests,
    pub commands: Requests,
    pub refused: Requests,
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
    let refused = Requests(bus.subscribe(&subjects.config_refused(&config.id), None).await?);
    bus.flush().await?;
    let (index, open) = records(parts, &config).await?;
    let run = log.run(&config.id).await?;
    tracing::info!(config_id = %config.id, records = index.len(), open = open.len(), "config was loaded");
    Ok(Loaded { config, revision, index, open, run, live, queries, commands, refused })
}

async fn records(
    parts: &CoordinatorParts,
    config: &Config,
) -> Result<(Index, Vec<(Record, Sequence)>), CoordinatorError> {
    let (mut index, mut open) = (Index::new(), Vec::new());
    let mut records = parts.broker.log().records(&config.id).await?;
    while let Some(entry) = records.try_next().await? {
        index.upsert(&entry.envelope.body, entry.sequence);
        if !entry.envelope.body.removed && !entry.envelope.body.status.is_settled() {
            open.push((entry.envelope.body, entry.sequence));
        }
    }
    Ok((index, open))
}

impl ConfigActor {
    /// Reads every record again: the live feed had a gap.
    pub(super) fn reload(&mut self, context: &mut Context<Self>) {
        let (parts, config) = (self.parts.parts.clone(), self.config.clone());
        let reading = async move {
            let mut records = parts.broker.log().records(&config.id).await?;
            let mut all = Vec::new();
            while let Some(entry) = records.try_next().await? {
                all.push(entry);
            }
            Ok::<_, CoordinatorError>(all)
        };
        context.spawn(reading.into_actor(self).map(|all, actor, _| match all {
            Ok(all) => {
                for entry in all {
                    actor.hear(entry.envelope.body, entry.sequence);
                }
            }
            // Timers read what is missed; a broken log is noticed there too.
            Err(error) => tracing::warn!(config_id = %actor.id(), error = %error, "records could not be read again"),
        }));
    }
}
