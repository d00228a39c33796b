//! Chains of configs: dev to staging to prod is fine, a circle is not.
//!
//! A circle is one of vaults for one item type, whatever the rules: what goes round would be written for ever.

use std::collections::{BTreeMap, VecDeque};

use proto_msgs::{Config, ItemType, vault::uri_key};

/// A circle that a config would close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    pub kind: ItemType,
    /// The configs in it, from the new one on.
    pub configs: Vec<String>,
}

/// The circle that `new` would close, given all other configs; none: there is none. Deleted ones and the older state of
/// `new` itself do not count.
pub fn closes_cycle<'a>(new: &Config, others: impl IntoIterator<Item = &'a Config>) -> Option<Cycle> {
    let others: Vec<&Config> = others.into_iter().filter(|other| !other.deleted && other.id != new.id).collect();
    new.spec.item_types.iter().find_map(|&kind| {
        let way = way(&others, kind, &uri_key(&new.target.uri), &uri_key(&new.source.uri))?;
        let names = way.into_iter().map(|config| config.spec.name.clone());
        Some(Cycle { kind, configs: std::iter::once(new.spec.name.clone()).chain(names).collect() })
    })
}

/// The shortest way from one vault to another.
fn way<'a>(configs: &[&'a Config], kind: ItemType, from: &str, to: &str) -> Option<Vec<&'a Config>> {
    let mut reached: BTreeMap<String, Vec<&Config>> = BTreeMap::from([(from.to_owned(), Vec::new())]);
    let mut next = VecDeque::from([from.to_owned()]);
    while let Some(here) = next.pop_front() {
        let path = reached.get(&here).cloned().unwrap_or_default();
        if here == to {
            return Some(path);
        }
        for config in configs.iter().filter(|c| c.spec.item_types.contains(&kind) && uri_key(&c.source.uri) == here) {
            let there = uri_key(&config.target.uri);
            if !reached.contains_key(&there) {
                reached.insert(there.clone(), path.iter().copied().chain([*config]).collect());
                next.push_back(there);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fixtures::{config, vault};
    use proptest::prelude::*;
    use proto_msgs::{ConfigId, Rule};

    fn link(id: u128, from: &str, to: &str, kinds: &[ItemType]) -> Config {
        let mut config = config(Rule::All {});
        config.id = ConfigId::from_random(id);
        config.spec.name = format!("{from} to {to}");
        config.spec.item_types = kinds.iter().copied().collect();
        (config.source, config.target) = (vault(from), vault(to));
        config
    }

    #[test]
    fn a_save_that_closes_a_cycle_names_the_configs_in_it() {
        let all = ItemType::ALL;
        let chain = [link(1, "dev", "staging", &all), link(2, "staging", "prod", &all)];
        assert_eq!(closes_cycle(&link(3, "prod", "dr", &all), &chain), None);
        let cycle = closes_cycle(&link(3, "prod", "DEV", &all), &chain).unwrap();
        assert_eq!(cycle.configs, ["prod to DEV", "dev to staging", "staging to prod"]);
    }

    #[test]
    fn a_cycle_is_one_of_a_single_item_type() {
        let there = [link(1, "a", "b", &[ItemType::Secrets])];
        assert_eq!(closes_cycle(&link(2, "b", "a", &[ItemType::Keys]), &there), None);
        let back = closes_cycle(&link(2, "b", "a", &[ItemType::Secrets, ItemType::Keys]), &there);
        assert_eq!(back.map(|cycle| cycle.kind), Some(ItemType::Secrets));
    }

    #[test]
    fn deleted_configs_and_the_edited_one_itself_close_no_cycle() {
        let deleted = Config { deleted: true, ..link(1, "a", "b", &[ItemType::Keys]) };
        let itself = link(2, "a", "b", &[ItemType::Keys]);
        assert_eq!(closes_cycle(&link(2, "b", "a", &[ItemType::Keys]), [&deleted, &itself]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn configs_saved_one_by_one_never_form_a_cycle(pairs in prop::collection::vec((0u8..5, 0u8..5), 1..12)) {
            let mut saved: Vec<Config> = Vec::new();
            for (n, (from, to)) in pairs.into_iter().enumerate().filter(|(_, (from, to))| from != to) {
                let new = link(n as u128, &format!("v{from}"), &format!("v{to}"), &[ItemType::Secrets]);
                if closes_cycle(&new, &saved).is_none() {
                    saved.push(new);
                }
            }
            // Without a circle, taking away vaults that nothing comes from leaves nothing.
            let mut left = saved;
            loop {
                let sources: BTreeSet<String> = left.iter().map(|c| c.source.uri.clone()).collect();
                let before = left.len();
                left.retain(|c| sources.contains(&c.target.uri));
                if left.len() == before { break; }
            }
            prop_assert!(left.is_empty());
        }
    }
}
