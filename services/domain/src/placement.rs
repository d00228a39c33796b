//! Who owns what: rendezvous hashing, so that a member that comes or goes moves only its own share.

use proto_msgs::MemberId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The member that owns `key`; none if there are no members. The order of `members` does not matter.
pub fn owner<'a>(key: u64, members: impl IntoIterator<Item = &'a MemberId>) -> Option<&'a MemberId> {
    members.into_iter().max_by_key(|member| (xxh3_64_with_seed(member.as_str().as_bytes(), key), *member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto_msgs::hash::SHARDS;

    fn members(count: usize) -> Vec<MemberId> {
        (0..count).map(|n| format!("worker-{n}").parse().unwrap()).collect()
    }

    #[test]
    fn a_member_that_leaves_moves_only_what_it_owned() {
        let all = members(5);
        for key in 0..u64::from(SHARDS) {
            let before = owner(key, &all).unwrap();
            let after = owner(key, &all[1..]).unwrap();
            assert!(before == &all[0] || before == after);
        }
    }

    #[test]
    fn shares_are_even_enough() {
        let all = members(4);
        for member in &all {
            let share = (0..u64::from(SHARDS)).filter(|&key| owner(key, &all) == Some(member)).count();
            assert!((32..=96).contains(&share), "{member} has {share} of 256");
        }
    }

    #[test]
    fn nobody_owns_anything_where_nobody_is() {
        assert_eq!(owner(1, &[]), None);
    }
}
