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
}

impl TargetClaims {
    /// Exactly these configs write to the vault; what others owned is free.
    pub(crate) fn expect(&self, configs: &BTreeSet<ConfigId>) {
        let mut state = self.0.borrow_mut();
        let gone: Vec<ConfigId> = state.configs.keys().filter(|id| !configs.contains(id)).copied().collect();
        for id in gone {
            state.configs.remove(&id);
            state.claims.forget(id);
        }
        for id in configs {
            state.configs.entry(*id).or_default();
        }
    }

    /// Takes a config's records in. `open`: those whose first write may be under way.
    pub(crate) fn fill<'a>(&self, config: ConfigId, name: &str, index: &Index, open: impl Iterator<Item = &'a Record>) {
        let mut state = self.0.borrow_mut();
        state.claims.rebuild(config, index);
        state.claims.name(config, name);
        for record in open.filter(|record| may_have_written(record)) {
            // Where another config owns it, the next dispatch finds out.
            _ = state.claims.claim(config, &record.id.key());
        }
        state.configs.insert(config, true);
    }

    /// Whether the records of every config were taken in.
    pub(crate) fn are_whole(&self) -> bool {
        self.0.borrow().configs.values().all(|is_filled| *is_filled)
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

    /// Follows what became of a record: what was written or adopted is owned; what came to an end without is free.
    pub(crate) fn settle(&self, record: &Record) {
        let (config, key) = (record.id.config, record.id.key());
        let mut state = self.0.borrow_mut();
        let waits = may_have_written(record) || !record.status.is_settled();
        if record.removed || (record.baseline.is_none() && !waits) {
            state.claims.release(config, &key);
        } else if record.baseline.is_some() {
            // Somebody else's, where a claim was lost: then this config's next dispatch finds out.
            _ = state.claims.claim(config, &key);
        }
    }

    /// Looks at all of them.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Claims) -> R) -> R {
        look(&self.0.borrow().claims)
    }
}

fn may_have_written(record: &Record) -> bool {
    record.unresolved.is_some() || !record.late.is_empty()
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
        claims.fill(config_id(1), "one", &Index::new(), std::iter::empty());
        assert!(!claims.are_whole());
        claims.fill(config_id(2), "two", &Index::new(), std::iter::empty());
        claims.expect(&both);
        assert!(claims.are_whole());
    }

    #[test]
    fn an_owner_that_is_gone_leaves_its_items_to_the_other() {
        let (claims, both) = (TargetClaims::default(), BTreeSet::from([config_id(1), config_id(2)]));
        claims.expect(&both);
        let owned = Record { baseline: Some(baseline()), ..record(1, "a", Status::Active) };
        claims.fill(config_id(1), "one", &index(&[owned]), std::iter::empty());
        claims.fill(config_id(2), "two", &Index::new(), std::iter::empty());
        assert_eq!(claims.claim(config_id(2), &key("a")), Err("one".to_owned()));
        claims.expect(&BTreeSet::from([config_id(2)]));
        assert_eq!(claims.claim(config_id(2), &key("a")), Ok(()));
    }

    #[test]
    fn a_first_write_that_came_to_nothing_gives_its_item_back_and_one_that_may_have_written_does_not() {
        let claims = TargetClaims::default();
        claims.fill(config_id(1), "one", &Index::new(), std::iter::empty());
        claims.fill(config_id(2), "two", &Index::new(), std::iter::empty());
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
    fn a_first_write_that_was_open_when_the_owner_changed_is_claimed() {
        let claims = TargetClaims::default();
        let open = Record { unresolved: Some(crate::fixtures::unresolved()), ..record(1, "a", Status::Syncing) };
        claims.fill(config_id(1), "one", &Index::new(), [&open].into_iter());
        assert!(claims.claim(config_id(2), &key("a")).is_err());
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
