//! Which config owns which item of one target vault, for all configs that write to it.
//!
//! All of them are decided in this process, so one table is enough. Invariant: nothing is dispatched to the vault before
//! the records of every config that writes to it were taken in. Deliberately absent: what a claim follows from, which is
//! [`domain::claims`].

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use domain::{claims::Claims, index::Index};
use proto_msgs::{ConfigId, Record, RecordKey};

/// The claims on one target vault, in one tenure. Cheap to clone; all on one thread.
#[derive(Clone, Default)]
pub(crate) struct TargetClaims(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    claims: Claims,
    /// Every config that writes to the vault, and whether its records were taken in.
    configs: BTreeMap<ConfigId, bool>,
    /// What may have been written, of configs that were taken in before all were: what another did write goes before.
    doubted: Vec<(ConfigId, RecordKey)>,
}

impl TargetClaims {
    /// Exactly these configs write to the vault; what others owned is free.
    pub(crate) fn expect(&self, configs: &BTreeSet<ConfigId>) {
        let mut state = self.0.borrow_mut();
        let gone: Vec<ConfigId> = state.configs.keys().filter(|id| !configs.contains(id)).copied().collect();
        for id in gone {
            state.configs.remove(&id);
            state.claims.forget(id);
            state.doubted.retain(|(config, _)| *config != id);
        }
        for id in configs {
            state.configs.entry(*id).or_default();
        }
        state.claim_doubted();
    }

    /// Takes a config's records in. `doubted`: see [`is_doubted`].
    pub(crate) fn fill(&self, config: ConfigId, name: &str, index: &Index, doubted: Vec<RecordKey>) {
        let mut state = self.0.borrow_mut();
        state.claims.rebuild(config, index);
        state.claims.name(config, name);
        state.configs.insert(config, true);
        state.doubted.extend(doubted.into_iter().map(|key| (config, key)));
        state.claim_doubted();
    }

    /// Whether the records of every config were taken in.
    pub(crate) fn are_whole(&self) -> bool {
        self.0.borrow().are_whole()
    }

    pub(crate) fn rename(&self, config: ConfigId, name: &str) {
        self.0.borrow_mut().claims.name(config, name);
    }

    /// Takes an item before it is attempted; else the name of the config that owns it.
    pub(crate) fn claim(&self, config: ConfigId, key: &RecordKey) -> Result<(), String> {
        let mut state = self.0.borrow_mut();
        let taken = state.claims.claim(config, key);
        taken.map_err(|owner| state.claims.in_the_way(config, key).unwrap_or_else(|| owner.to_string()))
    }

    /// Follows what became of a record: what was written or adopted, or may have been, is owned; what came to an end
    /// without is free.
    pub(crate) fn settle(&self, record: &Record) {
        let (config, key) = (record.id.config, record.id.key());
        let mut state = self.0.borrow_mut();
        let owns = !record.removed && (record.baseline.is_some() || is_doubted(record));
        if record.removed || (!owns && record.status.is_settled()) {
            state.claims.release(config, &key);
        } else if owns {
            // Somebody else's, where a claim was lost: then this config's next dispatch finds out.
            _ = state.claims.claim(config, &key);
        }
    }

    /// Looks at all of them.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Claims) -> R) -> R {
        look(&self.0.borrow().claims)
    }
}

impl State {
    fn claim_doubted(&mut self) {
        if self.are_whole() {
            for (config, key) in std::mem::take(&mut self.doubted) {
                // Where another config owns it, the next dispatch finds out.
                _ = self.claims.claim(config, &key);
            }
        }
    }

    fn are_whole(&self) -> bool {
        self.configs.values().all(|is_filled| *is_filled)
    }
}

/// Whether an item without a baseline may have been written all the same.
pub(crate) fn is_doubted(record: &Record) -> bool {
    !record.removed && record.baseline.is_none() && (record.unresolved.is_some() || !record.late.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{baseline, config_id, key, record};
    use proto_msgs::{ErrorCode, Sequence, Status};

    fn index(records: &[Record]) -> Index {
        let mut index = Index::new();
        records.iter().for_each(|record| _ = index.upsert(record, Sequence(1)));
        index
    }

    #[test]
    fn claims_are_whole_once_every_config_of_the_vault_was_taken_in() {
        let (claims, both) = (TargetClaims::default(), BTreeSet::from([config_id(1), config_id(2)]));
        claims.expect(&both);
        claims.fill(config_id(1), "one", &Index::new(), Vec::new());
        assert!(!claims.are_whole());
        claims.fill(config_id(2), "two", &Index::new(), Vec::new());
        claims.expect(&both);
        assert!(claims.are_whole());
    }

    #[test]
    fn an_owner_that_is_gone_leaves_its_items_to_the_other() {
        let (claims, both) = (TargetClaims::default(), BTreeSet::from([config_id(1), config_id(2)]));
        claims.expect(&both);
        let owned = Record { baseline: Some(baseline()), ..record(1, "a", Status::Active) };
        claims.fill(config_id(1), "one", &index(&[owned]), Vec::new());
        claims.fill(config_id(2), "two", &Index::new(), Vec::new());
        assert_eq!(claims.claim(config_id(2), &key("a")), Err("one".to_owned()));
        claims.expect(&BTreeSet::from([config_id(2)]));
        assert_eq!(claims.claim(config_id(2), &key("a")), Ok(()));
    }

    #[test]
    fn a_first_write_that_came_to_nothing_gives_its_item_back_and_one_that_may_have_written_does_not() {
        let claims = TargetClaims::default();
        claims.fill(config_id(1), "one", &Index::new(), Vec::new());
        claims.fill(config_id(2), "two", &Index::new(), Vec::new());
        claims.claim(config_id(1), &key("a")).unwrap();
        claims.settle(&record(1, "a", Status::Retrying));
        assert!(claims.claim(config_id(2), &key("a")).is_err(), "it goes on");
        let unsettled = Record { unresolved: Some(crate::fixtures::unresolved()), ..record(1, "a", Status::Failed) };
        claims.settle(&unsettled);
        assert!(claims.claim(config_id(2), &key("a")).is_err(), "it may have been written");
        claims.settle(&Record {
            code: Some(ErrorCode::TargetConflictActive),
            ..record(1, "a", Status::BlockedTargetConflict)
        });
        assert_eq!(claims.claim(config_id(2), &key("a")), Ok(()));
    }

    #[test]
    fn what_a_late_attempt_may_have_written_is_claimed_unless_another_config_owns_it_by_then() {
        let claims = TargetClaims::default();
        claims.fill(config_id(1), "one", &Index::new(), Vec::new());
        claims.fill(config_id(2), "two", &Index::new(), Vec::new());
        let conflict = |name| Record {
            code: Some(ErrorCode::TargetConflictActive),
            ..record(1, name, Status::BlockedTargetConflict)
        };
        for name in ["a", "b"] {
            claims.settle(&conflict(name));
        }
        claims.settle(&Record { baseline: Some(baseline()), ..record(2, "b", Status::Active) });
        for name in ["a", "b"] {
            claims.settle(&domain::lifecycle::doubted(conflict(name), crate::fixtures::unresolved()));
        }
        assert_eq!(claims.claim(config_id(2), &key("a")), Err("one".to_owned()));
        assert_eq!(claims.claim(config_id(2), &key("b")), Ok(()));
    }

    #[test]
    fn what_may_have_been_written_is_claimed_by_the_next_owner_too_and_what_was_written_goes_before() {
        let (claims, both) = (TargetClaims::default(), BTreeSet::from([config_id(1), config_id(2)]));
        claims.expect(&both);
        claims.fill(config_id(1), "one", &Index::new(), vec![key("a"), key("b")]);
        let owned = Record { baseline: Some(baseline()), ..record(2, "b", Status::Active) };
        claims.fill(config_id(2), "two", &index(&[owned]), Vec::new());
        assert_eq!(claims.claim(config_id(2), &key("a")), Err("one".to_owned()));
        assert_eq!(claims.claim(config_id(1), &key("b")), Err("two".to_owned()));
    }

    #[test]
    fn an_item_is_doubted_as_long_as_an_attempt_may_have_written_it() {
        let unresolved = Some(crate::fixtures::unresolved());
        let over = Record { unresolved, ..record(1, "a", Status::BlockedSourceSoftDeleted) };
        assert!(is_doubted(&over));
        assert!(!is_doubted(&Record { baseline: Some(baseline()), ..over }), "it is owned");
        assert!(!is_doubted(&record(1, "a", Status::BlockedSourceSoftDeleted)));
    }

    #[test]
    fn what_is_switched_off_stays_owned_as_long_as_something_of_it_is_at_the_target() {
        let claims = TargetClaims::default();
        let owned = Record { baseline: Some(baseline()), ..record(1, "a", Status::Disabled) };
        claims.settle(&owned);
        assert!(claims.claim(config_id(2), &key("a")).is_err());
        claims.settle(&Record { baseline: None, ..record(1, "a", Status::Deleted) });
        assert!(claims.claim(config_id(2), &key("a")).is_ok());
    }
}
