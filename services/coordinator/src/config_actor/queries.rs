//! What is asked of a config's coordinator, and what it is told to do.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::Incoming;
use domain::rule::NameGlob;
use proto_msgs::{
    CorrelationId, Message, RecordId, RecordKey, RequestCode, Status,
    api::{CommandReply, ConfigCommand, ConfigQuery, ConfigReply, ConfigSummary, PAGE_MAX, RecordFilter},
    error::Refusal,
    run::Trigger,
};

use super::{ConfigActor, work::Item};

impl ConfigActor {
    pub(super) fn query(&mut self, incoming: &Incoming, context: &mut Context<Self>) {
        let Some((correlation, query)) = self.question::<ConfigQuery>(incoming) else { return };
        let reply = match query {
            ConfigQuery::Summary => ConfigReply::Summary { summary: Box::new(self.summary()) },
            ConfigQuery::Records { filter, after, limit } => match self.page(&filter, after.as_ref(), limit) {
                Ok(reply) => reply,
                Err(refusal) => ConfigReply::Refused { refusal },
            },
        };
        self.reply(incoming, correlation, reply, context);
    }

    fn question<Q: Message>(&self, incoming: &Incoming) -> Option<(CorrelationId, Q)> {
        match broker::read::<Q>(incoming) {
            Ok(envelope) => Some((envelope.correlation_id, envelope.body)),
            // What cannot be read has no sender we know; the sender's deadline tells it.
            Err(error) => {
                tracing::warn!(config_id = %self.id(), subject = incoming.subject, error = %error, "request could not be read");
                None
            }
        }
    }

    pub(super) fn reply<A: Message + 'static>(
        &self,
        incoming: &Incoming,
        correlation: CorrelationId,
        answer: A,
        context: &mut Context<Self>,
    ) {
        let (broker, to) = (self.parts.parts.broker.clone(), incoming.clone());
        let envelope = self.parts.parts.origin.envelope(correlation, answer);
        let answering = async move { broker::answer(broker.bus.as_ref(), &to, &envelope).await };
        context.spawn(answering.into_actor(self).map(|result, actor, _| {
            if let Err(error) = result {
                tracing::warn!(config_id = %actor.id(), error = %error, "answer could not be sent");
            }
        }));
    }

    fn summary(&self) -> ConfigSummary {
        ConfigSummary {
            coordinator: self.parts.parts.origin.member().clone(),
            epoch: self.parts.epoch,
            by_status: self.index.by_status().clone(),
            by_code: self.index.by_code().clone(),
            run: match &self.run {
                Some(run) => Some(run.state.clone()),
                None => self.runs.last.as_ref().map(|entry| entry.envelope.body.clone()),
            },
            next_run: self.runs.next,
            last_verified_at: self.runs.last_verified,
            conditions: self.conditions.values().cloned().collect(),
        }
    }

    fn page(&self, filter: &RecordFilter, after: Option<&RecordKey>, limit: u32) -> Result<ConfigReply, Refusal> {
        let glob = filter.name.as_deref().map(NameGlob::new).transpose().map_err(|error| {
            Refusal::new(
                RequestCode::InvalidInput,
                format!("the name filter is no glob: {error}"),
                "use `*`, `?` and `[a-z]`",
            )
        })?;
        let fits = |key: &RecordKey, status: Status| {
            filter.status.is_none_or(|wanted| wanted == status)
                && filter.kind.is_none_or(|kind| kind == key.kind)
                && glob.as_ref().is_none_or(|glob| glob.matches(&key.name))
        };
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let total = self.index.iter().filter(|(key, entry)| fits(key, entry.status)).count() as u64;
        let mut keys =
            self.index.after(after).filter(|(key, entry)| fits(key, entry.status)).map(|(key, _)| key.clone());
        let page: Vec<RecordKey> = keys.by_ref().take(limit).collect();
        let next = keys.next().and_then(|_| page.last().cloned());
        Ok(ConfigReply::Records { keys: page, next, total })
    }

    pub(super) fn command(&mut self, incoming: &Incoming, context: &mut Context<Self>) {
        let Some((correlation, command)) = self.question::<ConfigCommand>(incoming) else { return };
        if self.config.deleted {
            let refusal = Refusal::new(RequestCode::NotFound, "the config is being deleted", "create it again");
            return self.reply(incoming, correlation, CommandReply::Refused { refusal }, context);
        }
        match command {
            ConfigCommand::Sync { actor } => self.run_for(incoming, correlation, &actor, Trigger::Manual, context),
            ConfigCommand::Expand { actor } => self.run_for(incoming, correlation, &actor, Trigger::Expand, context),
            ConfigCommand::SyncRecord { actor, key } => self.sync_record(incoming, correlation, &actor, key, context),
        }
    }

    fn run_for(
        &mut self,
        incoming: &Incoming,
        correlation: CorrelationId,
        actor: &str,
        trigger: Trigger,
        context: &mut Context<Self>,
    ) {
        let id = self.parts.parts.origin.run_id();
        let wanted = self.runs.want(super::run::Wanted { id, correlation, trigger });
        tracing::info!(config_id = %self.id(), run_id = %wanted.id, correlation_id = %wanted.correlation, actor, trigger = ?trigger, "run was asked for");
        let reply = CommandReply::Accepted { run: Some(wanted.id), correlation_id: wanted.correlation };
        self.reply(incoming, correlation, reply, context);
        self.start_when_due(context);
    }

    fn sync_record(
        &mut self,
        incoming: &Incoming,
        correlation: CorrelationId,
        by: &str,
        key: RecordKey,
        context: &mut Context<Self>,
    ) {
        if let Some(refusal) = self.refusal_of(&key) {
            return self.reply(incoming, correlation, CommandReply::Refused { refusal }, context);
        }
        tracing::info!(config_id = %self.id(), record = %key, correlation_id = %correlation, actor = by, "sync was asked for");
        let id = RecordId { config: self.id(), kind: key.kind, name: key.name.clone() };
        let (log, incoming) = (self.parts.parts.broker.log(), incoming.clone());
        let reading = async move { log.record(&id).await };
        context.spawn(reading.into_actor(self).map(move |head, actor, context| {
            let reply = match head {
                Ok(Some(entry)) => {
                    let item =
                        Item { correlation: Some(correlation), ..Item::recheck(entry.envelope.body, entry.sequence) };
                    actor.work.put_unless_under_way(key, item);
                    CommandReply::Accepted { run: None, correlation_id: correlation }
                }
                Ok(None) => CommandReply::Refused { refusal: not_found(&key) },
                Err(error) => CommandReply::Refused {
                    refusal: Refusal::new(
                        error.code(),
                        "the record could not be read from the log",
                        "try again in a moment",
                    ),
                },
            };
            actor.reply(&incoming, correlation, reply, context);
            actor.pump(context);
        }));
    }

    /// Why this record cannot be synced by itself now.
    fn refusal_of(&self, key: &RecordKey) -> Option<Refusal> {
        let Some(entry) = self.index.get(key) else { return Some(not_found(key)) };
        if self.work.get(key).is_some_and(|item| item.stage.is_under_way()) {
            let detail = "the record is being attempted right now";
            return Some(Refusal::new(RequestCode::Busy, detail, "look at its outcome, then ask again"));
        }
        // Decided from the listings alone: an attempt of this record by itself would only get round the rule.
        let is_decided_by_listing = matches!(
            entry.status,
            Status::BlockedExcluded
                | Status::BlockedSourceSoftDeleted
                | Status::BlockedSourceDisabled
                | Status::BlockedCrossGeographyKey
                | Status::BlockedCrossSubscriptionKey
                | Status::BlockedManagedByCertificate
                | Status::BlockedGeographyUnknown
                | Status::BlockedCertificatePending
                | Status::Disabled
                | Status::Deleted
        );
        is_decided_by_listing.then(|| {
            let detail = format!("the record is {}", entry.status);
            let fix = format!("remove the reason (`keyferry explain {}`), then expand the config again", entry.status);
            Refusal::new(RequestCode::InvalidInput, detail, fix)
        })
    }
}

fn not_found(key: &RecordKey) -> Refusal {
    let detail = format!("the config has no record {key}");
    Refusal::new(RequestCode::NotFound, detail, "list the records; if the item is new, expand the config first")
}
