//! Records whose item the source does not list: misses, and the deletes that follow from two of them.
//!
//! Invariant: nothing is decided here that depends on an item being absent unless both listings of its type are
//! complete. A record that the rule or an operator disabled is never deleted.

use std::collections::{BTreeMap, BTreeSet};

use proto_msgs::{
    ErrorCode, RecordKey, Status,
    config::DeleteTrigger,
    record::{Arrival, Miss},
    vault::ItemMeta,
};

use super::{Action, Planner, block, is_left_alone, listed_state};
use crate::{
    deletes::{breaker, is_second_miss},
    drift::{self, Target},
    index::IndexEntry,
    mutant::{self, Mutant},
    rule::Matched,
};

impl Planner<'_> {
    /// What the records want whose item is not live at the source.
    pub(super) fn absent<'i>(
        &self,
        records: impl Iterator<Item = (&'i RecordKey, &'i IndexEntry)>,
    ) -> Vec<(&'i RecordKey, Option<Action>)> {
        let mut wanted: Vec<_> = records.map(|(key, entry)| (key, self.unlisted(key, entry))).collect();
        let reasons = self.held(&wanted);
        for (key, action) in &mut wanted {
            if let Some(Action::Delete { held, .. }) = action {
                *held = reasons.get(*key).cloned();
            }
        }
        wanted
    }

    /// Deletes that are held already stay so until somebody releases them, and those that may go are not judged again;
    /// the others are for the breaker.
    fn held(&self, wanted: &[(&RecordKey, Option<Action>)]) -> BTreeMap<RecordKey, String> {
        let given = self.given;
        let (held, due): (BTreeSet<_>, BTreeSet<_>) = wanted
            .iter()
            .filter(|(key, wanted)| matches!(wanted, Some(Action::Delete { .. })) && !self.may_go(key))
            .map(|(key, _)| (*key).clone())
            .partition(|key| given.index.get(key).is_some_and(|entry| entry.status == Status::BlockedDeleteHeld));
        let mut reasons = breaker(&due, given.index, given.source, given.now);
        reasons.extend(held.into_iter().map(|key| (key, "it waits to be released".to_owned())));
        reasons
    }

    fn may_go(&self, key: &RecordKey) -> bool {
        let may =
            |entry: &IndexEntry| entry.delete.is_some() && matches!(entry.status, Status::Pending | Status::Retrying);
        self.given.index.get(key).is_some_and(may)
    }

    fn unlisted(&self, key: &RecordKey, entry: &IndexEntry) -> Option<Action> {
        if is_left_alone(Some(entry)) || entry.status == Status::Deleted {
            return None;
        }
        // Where nothing was carried over, there is nothing to delete.
        let behaviour = &self.given.config.spec.behaviour;
        let follows_soft_delete = behaviour.propagate_deletes
            && behaviour.delete_trigger == DeleteTrigger::Deleted
            && entry.baseline.is_some();
        if entry.status == Status::Disabled {
            return self.came_back_deleted(key, entry, follows_soft_delete);
        }
        let deleted = self.given.source.deleted(key).filter(|_| !follows_soft_delete);
        if !self.is_of_config(key) {
            let message = "the item's type is no longer among those of the config";
            return Some(block(ErrorCode::RuleNoMatch, message, None));
        }
        if self.matcher.matches_name(&key.name) == Matched::No {
            return Some(block(ErrorCode::RuleNoMatch, "the rule no longer matches this item", None));
        }
        // Its delete is propagated; but the tag that the rule asks for was taken off before.
        if let Some(deleted) = self.given.source.deleted(key)
            && self.matcher.matches(&key.name, &deleted.item.attributes.tags) == Matched::No
        {
            return Some(block(ErrorCode::RuleNoMatch, "the rule no longer matches this item", Some(&deleted.item)));
        }
        if let Some(deleted) = deleted {
            return super::or_found(Some(entry), self.soft_deleted(key, &deleted.item, Some(entry)));
        }
        if !self.is_wholly_listed(key.kind) {
            return None;
        }
        let seen =
            if self.given.source.deleted(key).is_some() { DeleteTrigger::Deleted } else { DeleteTrigger::Purged };
        self.missing(key, entry, seen)
    }

    /// What a record that is off shows whose item came back, or is meant again, and was deleted before it was listed: it
    /// can be recovered. Where soft-deleted means gone, that; a record that was off by then does not delete.
    fn came_back_deleted(&self, key: &RecordKey, entry: &IndexEntry, is_gone: bool) -> Option<Action> {
        let item = &self.given.source.deleted(key)?.item;
        let is_meant = self.is_of_config(key) && self.matcher.matches(&key.name, &item.attributes.tags) != Matched::No;
        if !is_meant {
            return None;
        }
        if is_gone {
            let message = "soft-deleted at the source; the record was off by then, so the target is untouched";
            return self.is_wholly_listed(key.kind).then(|| block(ErrorCode::SourceGone, message, Some(item)));
        }
        self.soft_deleted(key, item, Some(entry))
    }

    /// Soft-deleted at the source, where that is not a delete that is propagated.
    pub(super) fn soft_deleted(&self, key: &RecordKey, item: &ItemMeta, entry: Option<&IndexEntry>) -> Option<Action> {
        let concerns_us = match entry {
            None => !item.managed && self.matcher.matches(&key.name, &item.attributes.tags) == Matched::Yes,
            Some(_) => !item.managed,
        };
        concerns_us.then(|| {
            block(
                ErrorCode::SourceSoftDeleted,
                "the item is soft-deleted at the source and can be recovered there",
                Some(item),
            )
        })
    }

    fn missing(&self, key: &RecordKey, entry: &IndexEntry, seen: DeleteTrigger) -> Option<Action> {
        let behaviour = &self.given.config.spec.behaviour;
        let miss = Miss { run: self.given.run, at: self.given.now };
        match &entry.miss {
            None if mutant::is(Mutant::OneMissIsEnough) => {}
            None => return Some(Action::Miss(miss)),
            Some(first) if !is_second_miss(first, &miss, behaviour.interval.as_duration()) => return None,
            Some(_) => {}
        }
        let gone = |why: &str| {
            let message = format!("missing from two complete inventories of the source; the target is untouched{why}");
            Some(block(ErrorCode::SourceGone, &message, None))
        };
        let Some(left) = entry.baseline.as_ref().filter(|_| behaviour.propagate_deletes) else { return gone("") };
        let is_blind = mutant::is(Mutant::DeleteWhateverIsThere);
        if left.how == Arrival::Adopted && !is_blind && !mutant::is(Mutant::DeleteAdopted) {
            return gone(", since Keyferry did not write what is there");
        }
        let is_excluded = self.matcher.matches_name(&key.name) == Matched::Excluded;
        if is_excluded || entry.code == Some(ErrorCode::Excluded) {
            return gone(", since the item was excluded");
        }
        if self.given.claims.in_the_way(self.given.config.id, key).is_some() {
            return gone(", since another config owns it");
        }
        match drift::target(key, left, self.given.target) {
            _ if is_blind => Some(Action::Delete { seen, held: None }),
            Target::AsLeft => Some(Action::Delete { seen, held: None }),
            Target::Changed(listed) => Some(Action::Block {
                code: ErrorCode::Drift,
                message: "gone at the source; its copy is not as Keyferry left it, so it is not deleted".to_owned(),
                source_seen: None,
                target_seen: Some(listed_state(&listed.item)),
            }),
            Target::Missing | Target::SoftDeleted => gone(", where the item is gone as well"),
            Target::Unknown => None,
        }
    }
}
