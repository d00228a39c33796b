//! The end of a config: its attempts finish, its records leave the log, its name is free again. Targets are untouched.

use std::time::Duration;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, LogError};
use domain::lifecycle;
use futures::{StreamExt, TryStreamExt};
use proto_msgs::{
    Config, CorrelationId, Record, Revision, Run,
    api::NameReservation,
    run::{Phase, RunEnd},
};

use super::ConfigActor;
use crate::CoordinatorParts;

/// Records removed at once.
const AT_ONCE: usize = 64;
/// A removal that broke off is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

impl ConfigActor {
    pub(super) fn remove_when_quiet(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        if self.work.has_attempts() || self.removing_until.is_some_and(|until| now < until) {
            return;
        }
        if let Some(run) = &self.run {
            // One that is still writing its plan ends when that is done.
            if run.may_end() {
                self.end_run(RunEnd::Cancelled, context);
            }
            return;
        }
        self.removing_until = Some(self.now().plus(Duration::MAX));
        let (parts, config, revision) = (self.parts.parts.clone(), self.config.clone(), self.revision);
        let removing = remove(parts, config, revision);
        context.spawn(removing.into_actor(self).map(|result, actor, context| match result {
            Ok(()) => {
                tracing::info!(config_id = %actor.id(), "config was removed");
                context.stop();
            }
            Err(error) => {
                tracing::warn!(config_id = %actor.id(), error = %error, "config could not be removed: tried again");
                actor.removing_until = Some(actor.now().plus(AGAIN));
            }
        }));
    }
}

async fn remove(parts: CoordinatorParts, config: Config, revision: Revision) -> Result<(), LogError> {
    let (log, correlation) = (parts.broker.log(), config.change.correlation_id);
    // A run that another owner left open is over, too. Read again each time: a removal that broke off may have ended it.
    if let Some(Entry { envelope, sequence, .. }) =
        log.run(&config.id).await?.filter(|last| last.envelope.body.is_open())
    {
        let (ended, end) = (Some(parts.origin.now()), Some(RunEnd::Cancelled));
        let run = Run { phase: Phase::Ended, ended, end, ..envelope.body };
        log.append_run(&parts.origin.envelope(correlation, run), sequence).await?;
    }
    // From the log, not from memory: an append whose answer was lost may have left a record nobody here knows.
    let records = log.records(&config.id).await?;
    let removals = records.map(|entry| remove_record(parts.clone(), entry, correlation));
    removals.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let configs = parts.broker.configs();
    let reservation = parts.origin.envelope(correlation, NameReservation { config: config.id });
    configs.release_name(&config.spec.name, &reservation).await?;
    configs.forget(&parts.origin.envelope(correlation, config), revision).await
}

async fn remove_record(
    parts: CoordinatorParts,
    entry: Result<Entry<Record>, LogError>,
    correlation: CorrelationId,
) -> Result<(), LogError> {
    let entry = entry?;
    if entry.envelope.body.removed {
        return Ok(());
    }
    let envelope = parts.origin.envelope(correlation, lifecycle::removed(entry.envelope.body));
    parts.broker.log().remove_record(&envelope, entry.sequence).await.map(drop)
}
