//! Whether the target is as Keyferry left it, by a listing and, in an attempt, by a read.
//!
//! What Keyferry left is what its own write was answered with, so times compare exactly. A listing that is older than
//! the last success says nothing. Deliberately absent: a foreign write within the second of our own that leaves all
//! metadata equal; a listing does not name versions.

use proto_msgs::{
    DriftPolicy, ErrorCode, RecordKey, Timestamp,
    record::{Baseline, Leave, LeaveKind},
    vault::SideState,
    worker::Listing,
};

use crate::{
    attempt::{Decision, Look},
    compare::{print_of, print_of_item},
    index::Prints,
    inventory::{Inventory, Listed},
    leave,
    mutant::{self, Mutant},
    timing::SAME_SECOND_MARGIN,
};

/// What a listing says of a target item that Keyferry left there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    AsLeft,
    Changed(&'a Listed),
    Missing,
    SoftDeleted,
    /// The listing is incomplete, or older than what was left.
    Unknown,
}

/// Compares a listing of the target with what was left there.
pub fn target<'a>(key: &RecordKey, left: &Prints, target: &'a Inventory) -> Target<'a> {
    if let Some(listed) = target.live(key) {
        return match () {
            () if print_of_item(&listed.item) == left.target => Target::AsLeft,
            () if is_newer(listed.at, left) => Target::Changed(listed),
            () => Target::Unknown,
        };
    }
    let is_complete = target.is_complete(key.kind, Listing::Live);
    let is_newer = target.began(key.kind, Listing::Live).is_some_and(|began| is_newer(began, left));
    match (is_complete && is_newer, target.deleted(key)) {
        (false, _) => Target::Unknown,
        (true, Some(_)) => Target::SoftDeleted,
        (true, None) => Target::Missing,
    }
}

/// Whether a page was read after the target was left: key restores keep an old `updated`, so the clock of whoever wrote
/// counts as well.
fn is_newer(read_at: Timestamp, left: &Prints) -> bool {
    let left_at = left.target_updated.map_or(left.synced_at, |updated| updated.max(left.synced_at));
    read_at >= left_at.plus(SAME_SECOND_MARGIN)
}

/// Forbids an attempt to write over a drifted target that the policy leaves to somebody: always under `block`, and until
/// the source changes under `report`. None: it may go on.
///
/// `target_seen` is what the record showed when leave was given.
pub fn guard(
    look: &Look,
    baseline: &Baseline,
    policy: DriftPolicy,
    is_source_changed: bool,
    given: Option<&Leave>,
    target_seen: Option<&SideState>,
) -> Option<Decision> {
    // The attempt ends here anyway.
    if *look == Look::NameTaken {
        return None;
    }
    let there = look.state();
    let is_left = there.is_some_and(|state| is_as_left(state, baseline));
    let is_seen =
        given.is_some_and(|given| given.kind == LeaveKind::Correct && leave::covers(given, target_seen, there));
    let why = match policy {
        _ if is_left || is_seen || mutant::is(Mutant::DriftIsOverwritten) => return None,
        DriftPolicy::Correct => return None,
        DriftPolicy::Report if is_source_changed => return None,
        DriftPolicy::Report => "and the source has not changed since: correct it or accept it",
        DriftPolicy::Block => "and the config blocks on drift: correct it or accept it",
    };
    Some(Decision::block(ErrorCode::Drift, format!("the target is not as Keyferry left it, {why}")))
}

/// Whether a target that was read is the very one that was left, content and metadata. Where somebody accepted it as it
/// was listed, no version is known: metadata alone tells.
pub fn is_as_left(target: &SideState, baseline: &Baseline) -> bool {
    let is_version_left = baseline.target.version.is_none() || crate::attempt::is_as_left(target, baseline);
    is_version_left && print_of(target) == print_of(&baseline.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, baseline, item, page, side};
    use proto_msgs::{ItemType, Sequence, worker::InventoryPage};

    fn key() -> RecordKey {
        RecordKey { kind: ItemType::Secrets, name: "a".parse().unwrap() }
    }

    fn left() -> Prints {
        Prints::of(&baseline(side("s1", 1), 10))
    }

    fn listed(updated: Option<i64>, read_at: i64, complete: bool) -> Inventory {
        let mut inventory = Inventory::new();
        let live = updated.map(|updated| item("a", updated)).into_iter().collect();
        inventory.add(ItemType::Secrets, InventoryPage { read_at: at(read_at), ..page(live) });
        if complete {
            inventory.finish(ItemType::Secrets, Listing::Live);
        }
        inventory
    }

    #[test]
    fn drift_is_any_difference_to_what_was_left_and_a_listing_before_that_says_nothing() {
        let seen = |inventory: &Inventory| match target(&key(), &left(), inventory) {
            Target::AsLeft => "as left",
            Target::Changed(_) => "changed",
            Target::Missing => "missing",
            Target::SoftDeleted => "soft-deleted",
            Target::Unknown => "unknown",
        };
        assert_eq!(seen(&listed(Some(500), 400, false)), "as left");
        assert_eq!(seen(&listed(Some(501), 502, false)), "changed");
        assert_eq!(seen(&listed(Some(501), 501, true)), "unknown");
        assert_eq!(seen(&listed(None, 502, true)), "missing");
        assert_eq!(seen(&listed(None, 501, true)), "unknown");
        assert_eq!(seen(&listed(None, 900, false)), "unknown");
    }

    #[test]
    fn drift_policy_block_writes_only_over_what_somebody_saw() {
        let left = baseline(side("s1", 1), 10);
        let foreign = Look::Present { state: side("t9", 600), same_content: false };
        let leave = |version: &str, kind| Leave {
            actor: "a".into(),
            at: at(0),
            sequence: Sequence(1),
            target_version: Some(version.parse().unwrap()),
            kind,
        };
        let may = |look: &Look, policy, leave: Option<Leave>| {
            guard(look, &left, policy, true, leave.as_ref(), None).is_none()
        };
        assert!(may(&foreign, DriftPolicy::Report, None) && may(&foreign, DriftPolicy::Correct, None));
        assert!(!may(&foreign, DriftPolicy::Block, None) && !may(&Look::Absent, DriftPolicy::Block, None));
        assert!(may(&foreign, DriftPolicy::Block, Some(leave("t9", LeaveKind::Correct))));
        assert!(!may(&foreign, DriftPolicy::Block, Some(leave("t8", LeaveKind::Correct))));
        assert!(!may(&foreign, DriftPolicy::Block, Some(leave("t9", LeaveKind::Acknowledge))));
        let as_left = Look::Present { state: left.target.clone(), same_content: false };
        assert!(may(&as_left, DriftPolicy::Block, None));
    }

    #[test]
    fn drift_policy_report_writes_over_drift_only_with_a_change_of_the_source() {
        let left = baseline(side("s1", 1), 10);
        let foreign = Look::Present { state: side("t9", 600), same_content: false };
        for look in [&foreign, &Look::Absent] {
            for (policy, changed, may) in [
                (DriftPolicy::Report, false, false),
                (DriftPolicy::Report, true, true),
                (DriftPolicy::Correct, false, true),
                (DriftPolicy::Block, true, false),
            ] {
                assert_eq!(guard(look, &left, policy, changed, None, None).is_none(), may, "{policy:?} {changed}");
            }
        }
    }

    #[test]
    fn what_was_accepted_without_a_version_is_left_as_long_as_its_metadata_is() {
        let left = baseline(side("s1", 1), 10);
        let accepted = Baseline { target: SideState { version: None, ..left.target.clone() }, ..left.clone() };
        assert!(is_as_left(&left.target, &accepted));
        assert!(!is_as_left(&SideState { updated: Some(at(501)), ..left.target }, &accepted));
    }
}
