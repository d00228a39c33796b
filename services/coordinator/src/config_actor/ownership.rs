//! What is looked at once more before a record is dispatched: whether the config still takes the item, whose the target
//! item is, and whether a delete that was due is still wanted. Where not, the record says so instead.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::LogError;
use domain::{claims::taken_by, lifecycle, rule};
use proto_msgs::{ErrorCode, Record, RecordKey, vault::SideState};

use super::{
    ConfigActor,
    work::{Item, Stage},
};

impl ConfigActor {
    /// Whether the record that waits may be attempted. False: another state takes the place of the attempt.
    pub(super) fn is_attemptable(&mut self, key: &RecordKey, context: &mut Context<Self>) -> bool {
        self.has_its_vaults(key, context)
            && self.still_takes(key, context)
            && self.still_deletes(key, context)
            && self.claim(key, context)
    }

    /// Whoever asks for an attempt after an edit does so before a run has looked at the rule; what waits for another
    /// attempt outlives one. What was planned under this revision was matched then.
    fn still_takes(&mut self, key: &RecordKey, context: &mut Context<Self>) -> bool {
        let record = self.work.get(key).map(|item| &item.record);
        let unplanned = record.filter(|record| record.run.is_none() || record.revision != self.revision);
        let refusal = unplanned.zip(self.matcher.as_ref());
        let Some((code, message)) =
            refusal.and_then(|(record, matcher)| rule::refusal(&self.config.spec, matcher, record))
        else {
            return true;
        };
        self.block_instead(key, code, message.to_owned(), |record| record.source_seen.clone(), context);
        false
    }

    /// Whoever asks for an attempt while another vault has the name of the source or the target is told so.
    fn has_its_vaults(&mut self, key: &RecordKey, context: &mut Context<Self>) -> bool {
        let Some(message) = self.replaced.clone() else { return true };
        self.block_instead(key, ErrorCode::VaultReplaced, message, |_| None, context);
        false
    }

    /// A delete that waits for another attempt outlives an edit; switched off, deletes are not made any more.
    fn still_deletes(&mut self, key: &RecordKey, context: &mut Context<Self>) -> bool {
        let is_delete = self.work.get(key).is_some_and(|item| item.record.delete.is_some());
        if !is_delete || self.config.spec.behaviour.propagate_deletes {
            return true;
        }
        let message = "gone from the source, and deletes are not propagated any more: the target is untouched";
        self.block_instead(key, ErrorCode::SourceGone, message.to_owned(), |_| None, context);
        false
    }

    /// Takes the target item for this config, before it is attempted. False: another owns it, and the record will say so.
    fn claim(&mut self, key: &RecordKey, context: &mut Context<Self>) -> bool {
        let Err(owner) = self.parts.claims.claim(self.id(), key) else { return true };
        let message = taken_by(&owner);
        self.block_instead(key, ErrorCode::TargetClaimed, message, |record| record.source_seen.clone(), context);
        false
    }

    /// Says why a record that waits is not attempted. `seen`: what stands of its source.
    fn block_instead(
        &mut self,
        key: &RecordKey,
        code: ErrorCode,
        message: String,
        seen: impl Fn(&Record) -> Option<SideState>,
        context: &mut Context<Self>,
    ) {
        let Some(item) = self.work.remove(key) else { return };
        let (seen, run) = (seen(&item.record), item.record.run);
        let record = lifecycle::blocked(item.record.clone(), code, message, seen, run, self.revision);
        self.write_instead(item, record, context);
    }

    /// Appends a state in place of the attempt that a record waits for. It goes back where it was if that fails.
    pub(super) fn write_instead(&mut self, item: Item, record: Record, context: &mut Context<Self>) {
        let (parts, correlation, expected) = (self.parts.parts.clone(), item.correlation, item.sequence);
        let writing = async move { parts.append(correlation, record, expected).await };
        context.spawn(writing.into_actor(self).map(move |written, actor, context| match written {
            Ok(entry) => actor.hear(entry, context),
            // Whatever stands there instead is heard of.
            Err(LogError::Conflict) => {}
            Err(error) => {
                let key = item.record.id.key();
                tracing::warn!(config_id = %actor.id(), record = %key, error = %error, "record could not be written");
                if actor.work.get(&key).is_none() {
                    actor.work.put(key, Item { stage: Stage::Queued, ..item });
                }
            }
        }));
    }
}
