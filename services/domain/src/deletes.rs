//! Deletes at the target: which may be, how many at once, and what confirms one.
//!
//! Invariants: only what Keyferry wrote and nobody changed is deleted; never on the word of a listing alone; never
//! purged. A 403 is not a 404.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto_msgs::{
    ItemType, RecordKey, Status, Timestamp,
    config::DeleteTrigger,
    record::{Arrival, Baseline, Miss},
    vault::SideState,
    worker::Listing,
};

use crate::{
    drift,
    index::{Index, IndexEntry},
    inventory::Inventory,
    mutant::{self, Mutant},
    timing::MISS_GAP_MIN,
};

/// Deletes are counted over this long.
const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// This many deletes in the window are never too many for their number alone.
const ALWAYS_ALLOWED: u64 = 3;
/// More than this many always are, whatever the size of the config.
const NEVER_MORE: u64 = 10;

/// What a point read of the source showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointRead {
    /// 200.
    Found,
    /// 404.
    NotFound,
    /// Anything else, a 403 among it: nothing is known.
    Failed,
}

/// What two point reads say of a delete that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// As it was listed: delete.
    Confirmed,
    /// The item is live: nothing is deleted, and the record is synced.
    CameBack,
    /// Soft-deleted, where it was listed as purged: it can be recovered, so nothing is deleted.
    Recoverable,
    /// Not to be told now: tried again, then the next expansion decides.
    Unclear,
}

/// Confirms a delete. Read in this order: the deleted item, then the live one; an item that is recovered between the two
/// is seen live.
pub fn confirm(seen: DeleteTrigger, deleted: PointRead, live: PointRead) -> Confirmation {
    match (seen, deleted, live) {
        _ if mutant::is(Mutant::DeleteUnconfirmed) => Confirmation::Confirmed,
        (_, _, PointRead::Found) => Confirmation::CameBack,
        (DeleteTrigger::Purged, PointRead::NotFound, PointRead::NotFound)
        | (DeleteTrigger::Deleted, PointRead::Found, PointRead::NotFound) => Confirmation::Confirmed,
        (DeleteTrigger::Purged, PointRead::Found, PointRead::NotFound) => Confirmation::Recoverable,
        (DeleteTrigger::Deleted, PointRead::NotFound, PointRead::NotFound)
        | (_, PointRead::Failed, PointRead::NotFound)
        | (_, _, PointRead::Failed) => Confirmation::Unclear,
    }
}

/// What a confirmed delete does, once the target's metadata was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTarget {
    Delete,
    /// Nothing is there any more.
    Gone,
    /// Not as Keyferry left it: the record becomes `drifted`.
    Drifted,
    /// Keyferry did not write it: the record becomes `disabled`.
    NotOurs,
}

/// Decides about a confirmed delete. `target`: none where a read said 404.
pub fn at_target(baseline: Option<&Baseline>, target: Option<&SideState>) -> AtTarget {
    match (baseline, target) {
        (_, Some(_)) if mutant::is(Mutant::DeleteWhateverIsThere) => AtTarget::Delete,
        (None, _) => AtTarget::NotOurs,
        (Some(baseline), _) if baseline.how == Arrival::Adopted && !mutant::is(Mutant::DeleteAdopted) => {
            AtTarget::NotOurs
        }
        (Some(_), None) => AtTarget::Gone,
        (Some(baseline), Some(target)) if drift::is_as_left(target, baseline) => AtTarget::Delete,
        (Some(_), Some(_)) => AtTarget::Drifted,
    }
}

/// Whether a miss that stands makes one at `now` the second.
pub fn is_second_miss(first: &Miss, now: &Miss, interval: Duration) -> bool {
    mutant::is(Mutant::OneMissIsEnough)
        || first.run != now.run && now.at.since(first.at) >= MISS_GAP_MIN.max(interval / 2)
}

/// Why deletes that are due are held, by record; those that are not in it may go.
pub fn breaker(
    due: &BTreeSet<RecordKey>,
    index: &Index,
    source: &Inventory,
    now: Timestamp,
) -> BTreeMap<RecordKey, String> {
    let mut held = BTreeMap::new();
    if mutant::is(Mutant::NoBreaker) {
        return held;
    }
    for kind in ItemType::ALL {
        let mut of_kind = due.iter().filter(|key| key.kind == kind).peekable();
        if of_kind.peek().is_some()
            && let Some(reason) = reason_of_type(kind, index, source, due)
        {
            held.extend(of_kind.map(|key| (key.clone(), reason.clone())));
        }
    }
    let records = index.iter().filter(|(_, entry)| is_standing(entry)).count() as u64;
    let limit = ALWAYS_ALLOWED.max(NEVER_MORE.min(records / 4));
    let left: Vec<_> = due.iter().filter(|key| !held.contains_key(*key)).cloned().collect();
    let total = recent(index, due, now) + left.len() as u64;
    if total > limit {
        let reason = format!("{total} deletes within 24 hours, where {limit} go without being released");
        held.extend(left.into_iter().map(|key| (key, reason.clone())));
    }
    held
}

fn reason_of_type(kind: ItemType, index: &Index, source: &Inventory, due: &BTreeSet<RecordKey>) -> Option<String> {
    let is_empty = !source.live_items().any(|(key, _)| key.kind == kind);
    if is_empty && source.is_complete(kind, Listing::Live) {
        return Some(format!("the source lists no {kind} at all"));
    }
    let goes = |key: &RecordKey, entry: &IndexEntry| due.contains(key) || entry.delete.is_some();
    let all_go =
        index.iter().filter(|(key, entry)| key.kind == kind && is_standing(entry)).all(|(key, entry)| goes(key, entry));
    all_go.then(|| format!("every record of {kind} would go"))
}

/// Deletes that were made within the window, may have been made, or are under way.
fn recent(index: &Index, due: &BTreeSet<RecordKey>, now: Timestamp) -> u64 {
    let is_recent = |entry: &IndexEntry| entry.deleted_at.is_some_and(|at| at > now.minus(WINDOW));
    let is_going = |entry: &IndexEntry| {
        entry.may_have_deleted || (entry.delete.is_some() && entry.status != Status::BlockedDeleteHeld)
    };
    let counted =
        |(key, entry): &(&RecordKey, &IndexEntry)| is_recent(entry) || (is_going(entry) && !due.contains(*key));
    index.iter().filter(counted).count() as u64
}

/// Records that are neither switched off nor gone.
fn is_standing(entry: &IndexEntry) -> bool {
    !matches!(entry.status, Status::Disabled | Status::Deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, baseline, deleting, item, page, record, side};
    use proptest::prelude::*;
    use proto_msgs::{Record, RunId, Sequence};

    const READS: [PointRead; 3] = [PointRead::Found, PointRead::NotFound, PointRead::Failed];

    #[test]
    fn a_delete_is_confirmed_by_404_and_404_for_purged_and_200_and_404_for_deleted_only() {
        for deleted in READS {
            for live in READS {
                let confirmed = |seen| confirm(seen, deleted, live) == Confirmation::Confirmed;
                let is = |d, l| deleted == d && live == l;
                assert_eq!(confirmed(DeleteTrigger::Purged), is(PointRead::NotFound, PointRead::NotFound));
                assert_eq!(confirmed(DeleteTrigger::Deleted), is(PointRead::Found, PointRead::NotFound));
            }
        }
    }

    #[test]
    fn only_what_keyferry_wrote_and_left_is_deleted() {
        let left = baseline(side("s1", 1), 10);
        let adopted = Baseline { how: Arrival::Adopted, ..left.clone() };
        let touched = SideState { updated: Some(at(501)), ..left.target.clone() };
        assert_eq!(at_target(Some(&left), Some(&left.target)), AtTarget::Delete);
        assert_eq!(at_target(Some(&adopted), Some(&left.target)), AtTarget::NotOurs);
        assert_eq!(at_target(None, Some(&left.target)), AtTarget::NotOurs);
        assert_eq!(at_target(Some(&left), None), AtTarget::Gone);
        for foreign in [touched, side("t2", 500), SideState { version: None, ..left.target.clone() }] {
            assert_eq!(at_target(Some(&left), Some(&foreign)), AtTarget::Drifted);
        }
    }

    #[test]
    fn the_second_miss_is_of_another_run_and_not_too_soon() {
        let miss = |run, seconds| Miss { run: RunId::from_random(run), at: at(seconds) };
        let hour = Duration::from_secs(3_600);
        assert!(is_second_miss(&miss(1, 0), &miss(2, 1_800), hour));
        assert!(!is_second_miss(&miss(1, 0), &miss(1, 9_000), hour));
        assert!(!is_second_miss(&miss(1, 0), &miss(2, 1_799), hour));
        assert!(!is_second_miss(&miss(1, 0), &miss(2, 299), Duration::from_secs(300)));
        assert!(!is_second_miss(&miss(1, 900), &miss(2, 0), hour), "clocks may go back");
    }

    fn scene(records: usize, due: usize) -> (Index, BTreeSet<RecordKey>, Inventory) {
        let (mut index, mut keys, mut source) = (Index::new(), BTreeSet::new(), Inventory::new());
        for n in 0..records {
            let active = record(ItemType::Secrets, &format!("s{n}"), Status::Active);
            if n < due {
                keys.insert(active.id.key());
            } else {
                source.add(ItemType::Secrets, page(vec![item(&format!("s{n}"), 1)]));
            }
            index.upsert(&active, Sequence(n as u64 + 1));
        }
        source.finish(ItemType::Secrets, Listing::Live);
        (index, keys, source)
    }

    #[test]
    fn an_empty_listing_or_a_whole_type_holds_every_delete_of_the_type() {
        let (index, due, _) = scene(2, 2);
        let mut empty = Inventory::new();
        empty.finish(ItemType::Secrets, Listing::Live);
        assert_eq!(breaker(&due, &index, &empty, at(0)).len(), 2);
        let (index, due, mut other) = scene(2, 2);
        other.add(ItemType::Secrets, page(vec![item("not-a-record", 1)]));
        assert_eq!(breaker(&due, &index, &other, at(0)).len(), 2, "every record would go");
    }

    #[test]
    fn deletes_of_the_last_day_count_even_of_records_that_came_back() {
        let (mut index, due, source) = scene(12, 1);
        for (n, hours) in [(5, 1), (6, 23), (7, 25)] {
            let deleted_at = Some(at(100_000 - hours * 3_600));
            let again = Record { deleted_at, ..record(ItemType::Secrets, &format!("s{n}"), Status::Active) };
            index.upsert(&again, Sequence(100 + n));
        }
        assert_eq!(breaker(&due, &index, &source, at(100_000)), BTreeMap::new());
        let more = Record { deleted_at: Some(at(99_000)), ..record(ItemType::Secrets, "s8", Status::Active) };
        index.upsert(&more, Sequence(200));
        assert_eq!(breaker(&due, &index, &source, at(100_000)).len(), 1);
    }

    #[test]
    fn a_delete_of_unknown_outcome_counts_also_where_the_item_came_back() {
        let (mut index, due, source) = scene(12, 1);
        for n in 5..8 {
            let doubtful =
                Record { unresolved: Some(deleting()), ..record(ItemType::Secrets, &format!("s{n}"), Status::Pending) };
            index.upsert(&doubtful, Sequence(100 + n));
        }
        assert_eq!(breaker(&due, &index, &source, at(0)).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn deletes_beyond_3_or_a_quarter_up_to_10_are_all_held(records in 1usize..80, share in 0usize..80) {
            let due = share.min(records);
            let (index, keys, source) = scene(records, due);
            let held = breaker(&keys, &index, &source, at(0)).len();
            let limit = 3.max(10.min(records / 4));
            prop_assert_eq!(held, if due > limit || due == records { due } else { 0 });
        }
    }
}
