//! Which config owns which item of a target vault: the first that wrote or adopted it.
//!
//! One of these for each target vault, kept by whoever decides for all configs that write to it. It is rebuilt from the
//! records; a claim that is taken before a first write and leaves no baseline is given back.

use std::collections::BTreeMap;

use proto_msgs::{ConfigId, RecordKey};

use crate::{
    index::Index,
    mutant::{self, Mutant},
};

/// The claims on one target vault.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    owners: BTreeMap<RecordKey, ConfigId>,
    names: BTreeMap<ConfigId, String>,
}

impl Claims {
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a config's name, for those that it is in the way of.
    pub fn name(&mut self, config: ConfigId, name: &str) {
        self.names.insert(config, name.to_owned());
    }

    /// Takes in what a config's records own. Where two say so, which only a lost claim can lead to, every member of the
    /// fleet gives the item to the same one.
    pub fn rebuild(&mut self, config: ConfigId, index: &Index) {
        self.owners.retain(|_, owner| *owner != config);
        for (key, _) in index.iter().filter(|(_, entry)| entry.baseline.is_some()) {
            let owner = self.owners.entry(key.clone()).or_insert(config);
            *owner = config.min(*owner);
        }
    }

    /// Takes an item for a config, before it is written or adopted; else its owner. Taking it twice is taking it once.
    pub fn claim(&mut self, config: ConfigId, key: &RecordKey) -> Result<(), ConfigId> {
        let owner = *self.owners.entry(key.clone()).or_insert(config);
        if owner == config || mutant::is(Mutant::ClaimIsIgnored) { Ok(()) } else { Err(owner) }
    }

    /// Gives an item back: nothing was written or adopted, or it is deleted. What another owns stays.
    pub fn release(&mut self, config: ConfigId, key: &RecordKey) {
        if self.owner(key) == Some(config) {
            self.owners.remove(key);
        }
    }

    /// The config is gone, with all it owned.
    pub fn forget(&mut self, config: ConfigId) {
        self.owners.retain(|_, owner| *owner != config);
        self.names.remove(&config);
    }

    pub fn owner(&self, key: &RecordKey) -> Option<ConfigId> {
        self.owners.get(key).copied()
    }

    /// The other config that owns an item, by name as far as that is known.
    pub fn in_the_way(&self, config: ConfigId, key: &RecordKey) -> Option<String> {
        let owner = self.owner(key).filter(|owner| *owner != config && !mutant::is(Mutant::ClaimIsIgnored))?;
        Some(self.names.get(&owner).cloned().unwrap_or_else(|| owner.to_string()))
    }
}

/// Why an item is not for any other config than `owner`.
pub fn taken_by(owner: &str) -> String {
    format!("the config `{owner}` wrote or adopted this target item first, or may have, so it is that config's")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{baseline, record, side};
    use proptest::prelude::*;
    use proto_msgs::{ItemType, Record, Sequence, Status};

    fn id(bits: u128) -> ConfigId {
        ConfigId::from_random(bits)
    }

    fn key(name: &str) -> RecordKey {
        RecordKey { kind: ItemType::Secrets, name: name.parse().unwrap() }
    }

    #[test]
    fn a_target_item_belongs_to_the_first_config_and_the_second_learns_its_name() {
        let mut claims = Claims::new();
        claims.name(id(1), "dr");
        assert_eq!(claims.claim(id(1), &key("a")), Ok(()));
        assert_eq!(claims.claim(id(2), &key("A")), Err(id(1)));
        assert_eq!(claims.in_the_way(id(2), &key("a")), Some("dr".to_owned()));
        assert_eq!(claims.in_the_way(id(1), &key("a")), None);
        claims.release(id(2), &key("a"));
        assert_eq!(claims.owner(&key("a")), Some(id(1)), "only the owner gives it back");
        claims.forget(id(1));
        assert_eq!(claims.claim(id(2), &key("a")), Ok(()));
    }

    #[test]
    fn claims_are_rebuilt_from_the_records_that_wrote_or_adopted() {
        let mut index = Index::new();
        let owned =
            Record { baseline: Some(baseline(side("s1", 1), 10)), ..record(ItemType::Secrets, "a", Status::Active) };
        index.upsert(&owned, Sequence(1));
        index.upsert(&record(ItemType::Secrets, "b", Status::BlockedTargetConflict), Sequence(2));
        let mut claims = Claims::new();
        claims.claim(id(1), &key("b")).unwrap();
        claims.rebuild(id(1), &index);
        assert_eq!((claims.owner(&key("a")), claims.owner(&key("b"))), (Some(id(1)), None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_item_never_has_two_owners(steps in prop::collection::vec((0u128..3, any::<bool>()), 1..30)) {
            let (mut claims, mut holder) = (Claims::new(), None);
            for (config, takes) in steps {
                if takes {
                    let got = claims.claim(id(config), &key("a"));
                    prop_assert_eq!(got.is_ok(), holder.is_none_or(|holder| holder == config));
                    holder = holder.or(Some(config));
                } else {
                    claims.release(id(config), &key("a"));
                    holder = holder.filter(|holder| *holder != config);
                }
                prop_assert_eq!(claims.owner(&key("a")), holder.map(id));
            }
        }
    }
}
