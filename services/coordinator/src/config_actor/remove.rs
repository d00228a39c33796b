//! The end of a config: its attempts finish, its records leave the log, its name is free again. Targets are untouched.

use std::time::Duration;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::LogError;
use domain::lifecycle;
use futures::{StreamExt, TryStreamExt, stream};
use proto_msgs::{Config, CorrelationId, RecordId, Revision, api::NameReservation, run::RunEnd};

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
        if let Some(run) = &mut self.run {
            if run.is_applied && run.ending.is_none_or(|until| now >= until) {
                run.ending = Some(now.plus(AGAIN));
                self.end_run(RunEnd::Cancelled, context);
            }
            return;
        }
        self.removing_until = Some(self.now().plus(Duration::MAX));
        let ids =
            self.index.iter().map(|(key, _)| RecordId { config: self.id(), kind: key.kind, name: key.name.clone() });
        let ids: Vec<RecordId> = ids.collect();
        let (parts, config, revision) = (self.parts.parts.clone(), self.config.clone(), self.revision);
        let removing = remove(parts, config, revision, ids);
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

async fn remove(
    parts: CoordinatorParts,
    config: Config,
    revision: Revision,
    ids: Vec<RecordId>,
) -> Result<(), LogError> {
    let correlation = config.change.correlation_id;
    let removals = stream::iter(ids).map(|id| remove_record(parts.clone(), id, correlation));
    removals.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let configs = parts.broker.configs();
    let reservation = parts.origin.envelope(correlation, NameReservation { config: config.id });
    configs.release_name(&config.spec.name, &reservation).await?;
    configs.forget(&parts.origin.envelope(correlation, config), revision).await
}

async fn remove_record(parts: CoordinatorParts, id: RecordId, correlation: CorrelationId) -> Result<(), LogError> {
    let log = parts.broker.log();
    match log.record(&id).await? {
        Some(entry) if !entry.envelope.body.removed => {
            let envelope = parts.origin.envelope(correlation, lifecycle::removed(entry.envelope.body));
            log.remove_record(&envelope, entry.sequence).await.map(drop)
        }
        Some(_) | None => Ok(()),
    }
}
