//! What a config's coordinator is told to do.
//!
//! What was accepted is in the log before it is answered: a run stands on the run subject, a record that somebody asked
//! for is `pending` and marked to be read on both ends. Whoever takes over goes on with both. Deliberately absent: what is
//! decided about records without an attempt, which is in [`super::decisions`].

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, Incoming, LogError};
use domain::lifecycle;
use proto_msgs::{
    CorrelationId, Record, RecordId, RecordKey, RequestCode, Revision, Status,
    api::{CommandReply, ConfigCommand},
    error::Refusal,
    run::Trigger,
    vault::Detail,
};

use super::{ConfigActor, decisions::Decider};
use crate::CoordinatorParts;

impl ConfigActor {
    pub(super) fn command(&mut self, incoming: &Incoming, context: &mut Context<Self>) {
        let Some((correlation, command)) = self.question::<ConfigCommand>(incoming) else { return };
        if let Some(refusal) = self.refusal().or_else(|| self.refuse_work(&command)) {
            return self.reply(incoming, correlation, CommandReply::Refused { refusal }, context);
        }
        let by = |actor| Decider { incoming, correlation, actor };
        match command {
            ConfigCommand::Sync { actor } => self.run_for(incoming, correlation, &actor, Trigger::Manual, context),
            ConfigCommand::Expand { actor } => self.run_for(incoming, correlation, &actor, Trigger::Expand, context),
            ConfigCommand::SyncRecord { actor, key } => self.sync_record(incoming, correlation, &actor, key, context),
            ConfigCommand::Leave { actor, key, leave } => self.leave(by(actor), key, leave, context),
            ConfigCommand::LeaveAll { actor, leave } => self.leave_all(by(actor), leave.kind, &leave.set, context),
            ConfigCommand::SetEnabled { actor, key, enabled } => self.set_enabled(by(actor), &key, enabled, context),
            ConfigCommand::SetEnabledAll { actor, enabled, set } => {
                self.set_all_enabled(by(actor), enabled, &set, context);
            }
            ConfigCommand::ReleaseDeletes { actor, hash } => self.release_deletes(by(actor), hash, context),
        }
    }

    /// Why no work can be begun for anybody now. What is decided about records is only written down.
    fn refuse_work(&self, command: &ConfigCommand) -> Option<Refusal> {
        match command {
            ConfigCommand::Sync { .. } | ConfigCommand::Expand { .. } | ConfigCommand::SyncRecord { .. } => {
                self.refuse_halted().or_else(|| self.refuse_without_workers())
            }
            ConfigCommand::Leave { .. }
            | ConfigCommand::LeaveAll { .. }
            | ConfigCommand::SetEnabled { .. }
            | ConfigCommand::SetEnabledAll { .. }
            | ConfigCommand::ReleaseDeletes { .. } => None,
        }
    }

    /// Why nothing can be done for anybody now.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let refuse = |code, detail: &str, fix: &str| Some(Refusal::new(code, detail, fix));
        if self.config.deleted {
            return refuse(RequestCode::NotFound, "the config is being deleted", "create it again");
        }
        if !self.may_act() {
            let detail = "the config's coordinator cannot reach NATS, or its slot is about to change hands";
            return refuse(RequestCode::Unavailable, detail, "try again in a moment");
        }
        None
    }

    pub(super) fn refuse_without_workers(&self) -> Option<Refusal> {
        let detail = "no worker is heard, so nothing can be done";
        let fix = "start one with `keyferry worker`, then try again";
        (!self.parts.fleet.has_workers()).then(|| Refusal::new(RequestCode::Unavailable, detail, fix))
    }

    fn run_for(
        &mut self,
        incoming: &Incoming,
        correlation: CorrelationId,
        actor: &str,
        trigger: Trigger,
        context: &mut Context<Self>,
    ) {
        let wanted = self.promise_run(incoming.clone(), correlation, actor, trigger, context);
        tracing::info!(config_id = %self.id(), run_id = %wanted.id, correlation_id = %correlation, actor, trigger = ?trigger, "run was asked for");
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
        let id = RecordId { config: self.id(), kind: key.kind, name: key.name };
        let (parts, revision, incoming) = (self.parts.parts.clone(), self.revision, incoming.clone());
        let by = by.to_owned();
        let asking = async move { ask_for(&parts, &id, &by, revision, correlation).await };
        context.spawn(asking.into_actor(self).map(move |asked, actor, context| {
            let reply = match asked {
                Ok(entry) => {
                    actor.hear(entry, context);
                    CommandReply::Accepted { run: None, correlation_id: correlation }
                }
                Err(refusal) => CommandReply::Refused { refusal },
            };
            actor.reply(&incoming, correlation, reply, context);
            actor.pump(context);
        }));
    }

    /// Why this record cannot be synced by itself now.
    fn refusal_of(&self, key: &RecordKey) -> Option<Refusal> {
        let Some(entry) = self.index.get(key) else { return Some(not_found(key)) };
        if self.work.get(key).is_some_and(|item| item.stage.is_under_way()) {
            return Some(busy());
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
                | Status::BlockedDeleteHeld
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

/// Writes down that somebody asked for this record.
async fn ask_for(
    parts: &CoordinatorParts,
    id: &RecordId,
    by: &str,
    revision: Revision,
    correlation: CorrelationId,
) -> Result<Entry<Record>, Refusal> {
    let refused = |error: LogError| match error {
        LogError::Conflict => busy(),
        LogError::Unknown | LogError::Unavailable(_) | LogError::Corrupt { .. } | LogError::Encode(_) => {
            Refusal::new(error.code(), "the log could not be read or written", "try again in a moment")
        }
    };
    let head = parts.broker.log().record(id).await.map_err(refused)?;
    let Some(head) = head.filter(|head| !head.envelope.body.removed) else { return Err(not_found(&id.key())) };
    if head.envelope.body.status == Status::Syncing {
        return Err(busy());
    }
    let detail = Some(Detail::new(format!("{by} asked for it to be synced")));
    let asked = Record { detail, ..lifecycle::asked(head.envelope.body, revision) };
    parts.append(correlation, asked, head.sequence).await.map_err(refused)
}

fn busy() -> Refusal {
    let detail = "the record is being attempted right now";
    Refusal::new(RequestCode::Busy, detail, "look at its outcome, then ask again")
}

pub(super) fn not_found(key: &RecordKey) -> Refusal {
    let detail = format!("the config has no record {key}");
    Refusal::new(RequestCode::NotFound, detail, "list the records; if the item is new, expand the config first")
}
