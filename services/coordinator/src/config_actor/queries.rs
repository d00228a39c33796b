//! What is asked of a config's coordinator, and how it answers.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::Incoming;
use domain::{
    index::{Index, IndexEntry},
    leave,
    rule::NameGlob,
};
use proto_msgs::{
    CorrelationId, Message, RecordKey, RequestCode,
    api::{ConfigQuery, ConfigReply, ConfigSummary, PAGE_MAX, RecordFilter},
    error::Refusal,
};

use super::ConfigActor;

impl ConfigActor {
    pub(super) fn query(&mut self, incoming: &Incoming, context: &mut Context<Self>) {
        let Some((correlation, query)) = self.question::<ConfigQuery>(incoming) else { return };
        let reply = match query {
            ConfigQuery::Summary => ConfigReply::Summary { summary: Box::new(self.summary()) },
            ConfigQuery::Records { filter, after, limit } => match self.page(&filter, after.as_ref(), limit) {
                Ok(reply) => reply,
                Err(refusal) => ConfigReply::Refused { refusal },
            },
            ConfigQuery::Plan { after, limit } => return self.show_plan(incoming, correlation, after, limit, context),
        };
        self.reply(incoming, correlation, reply, context);
    }

    pub(super) fn question<Q: Message>(&self, incoming: &Incoming) -> Option<(CorrelationId, Q)> {
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
            epoch: self.parts.tenure.epoch,
            by_status: self.index.by_status().clone(),
            by_code: self.index.by_code().clone(),
            run: match &self.run {
                Some(run) => Some(run.state.clone()),
                None => self.runs.last.as_ref().map(|entry| entry.envelope.body.clone()),
            },
            next_run: self.next_run(),
            last_verified_at: self.runs.last_verified,
            stale: self.is_stale(),
            conditions: self.conditions.all(),
        }
    }

    fn page(&self, filter: &RecordFilter, after: Option<&RecordKey>, limit: u32) -> Result<ConfigReply, Refusal> {
        let set = Filter::new(filter)?;
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let total = set.of(&self.index).count() as u64;
        let mut keys = self.index.after(after).filter(|(key, entry)| set.fits(key, entry)).map(|(key, _)| key.clone());
        let page: Vec<RecordKey> = keys.by_ref().take(limit).collect();
        let next = keys.next().and_then(|_| page.last().cloned());
        Ok(ConfigReply::Records { keys: page, next, total, hash: Some(leave::set_hash(set.of(&self.index))) })
    }
}

/// A filter that can be looked through.
pub(super) struct Filter<'a> {
    filter: &'a RecordFilter,
    glob: Option<NameGlob>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(filter: &'a RecordFilter) -> Result<Self, Refusal> {
        let glob = filter.name.as_deref().map(NameGlob::new).transpose().map_err(|error| {
            Refusal::new(
                RequestCode::InvalidInput,
                format!("the name filter is no glob: {error}"),
                "use `*`, `?` and `[a-z]`",
            )
        })?;
        Ok(Self { filter, glob })
    }

    fn fits(&self, key: &RecordKey, entry: &IndexEntry) -> bool {
        self.filter.status.is_none_or(|wanted| wanted == entry.status)
            && self.filter.kind.is_none_or(|kind| kind == key.kind)
            && self.glob.as_ref().is_none_or(|glob| glob.matches(&key.name))
    }

    /// All records that match, in order.
    pub(super) fn of<'i>(&'i self, index: &'i Index) -> impl Iterator<Item = (&'i RecordKey, &'i IndexEntry)> {
        index.iter().filter(|(key, entry)| self.fits(key, entry))
    }
}
