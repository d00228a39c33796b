//! Leave is for what was seen: it carries the record's sequence and the target's version, and is refused, or covers
//! nothing, once either is another.

use proto_msgs::{
    ErrorCode, ItemType, Record, RecordKey, RequestCode, Revision, Sequence, SetHash, Status, VersionId,
    error::Refusal,
    record::{Arrival, Baseline, Leave, LeaveKind},
    vault::{Detail, SideState},
};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    attempt,
    compare::print_of,
    index::IndexEntry,
    lifecycle,
    mutant::{self, Mutant},
    timing::may_have_changed,
};

/// Whether leave may be given: `head` is the record's newest sequence, the others are what somebody saw.
pub fn check(
    record: &Record,
    head: Sequence,
    kind: LeaveKind,
    sequence: Sequence,
    target_version: Option<&VersionId>,
) -> Result<(), Refusal> {
    let version = record.target_seen.as_ref().and_then(|seen| seen.version.as_ref());
    if (head != sequence || version != target_version) && !mutant::is(Mutant::LeaveForAnything) {
        let detail = format!("the record went on since it was seen: it is {} now", record.status);
        return Err(Refusal::new(RequestCode::StaleView, detail, "look at it again, then decide"));
    }
    let refuse = |detail: &str, fix: &str| Err(Refusal::new(RequestCode::InvalidInput, detail, fix));
    match (kind, record.status) {
        (LeaveKind::Acknowledge, Status::BlockedTargetConflict) if record.id.kind != ItemType::Keys => Ok(()),
        (LeaveKind::Correct, Status::Drifted) if record.miss.is_some() => refuse(
            "the item is gone at the source, so there is nothing to write back",
            "accept what is at the target, or delete it there",
        ),
        (LeaveKind::Correct, Status::Drifted) => Ok(()),
        (LeaveKind::Accept, Status::Drifted) if record.target_seen.is_some() && record.baseline.is_some() => Ok(()),
        (LeaveKind::Accept, Status::Drifted) => {
            refuse("the item is not at the target, so there is nothing to accept", "correct it, or disable the record")
        }
        (LeaveKind::Acknowledge, _) => refuse(
            &format!("the record is {}: only a conflict can be acknowledged, and never one of a key", record.status),
            "see `keyferry explain` for what mends it",
        ),
        (LeaveKind::Correct | LeaveKind::Accept, _) => refuse(
            &format!("the record is {}, not drifted", record.status),
            "list what drifted: `keyferry drift list CONFIG`",
        ),
    }
}

/// The record once leave was given. Accepted drift needs no call; everything else is attempted, reading both ends.
pub fn given(record: Record, leave: Leave, revision: Revision) -> Record {
    match leave.kind {
        LeaveKind::Acknowledge | LeaveKind::Correct => {
            Record { leave: Some(leave), ..lifecycle::asked(record, revision) }
        }
        LeaveKind::Accept => accepted(record, &leave.actor, revision),
    }
}

/// Said of a record whose target somebody accepted as it is.
pub fn accepted_detail(kind: ItemType, by: &str) -> Detail {
    let next = match kind {
        ItemType::Secrets | ItemType::Certificates => "change is written over it",
        ItemType::Keys => "version cannot be restored over it",
    };
    Detail::new(format!("{by} accepted the target as it is: it may differ from the source, whose next {next}"))
}

/// Both ends as they were seen count as left from now on: a source that had changed by then is none of the changes that
/// are written over the target. It is not Keyferry's own work any more, so it is never deleted. Unless the version is
/// still the one that was left, the content is not known to be the source's: then no version of the source is.
fn accepted(record: Record, actor: &str, revision: Revision) -> Record {
    let source_seen = record.source_seen.clone();
    let baseline = record.baseline.zip(record.target_seen).map(|(baseline, target)| {
        let mut source = accepted_source(&baseline, source_seen);
        source.version = source.version.filter(|_| attempt::is_as_left(&target, &baseline));
        Baseline { source, target, how: Arrival::Adopted, ..baseline }
    });
    Record {
        status: Status::Active,
        code: None,
        detail: Some(accepted_detail(record.id.kind, actor)),
        baseline,
        target_seen: None,
        leave: None,
        attempt: 0,
        next_attempt: None,
        run: None,
        revision,
        ..record
    }
}

/// The source as it was seen; where it was listed as it had been read, and not in the second of that, the version that
/// was read is known.
fn accepted_source(baseline: &Baseline, seen: Option<SideState>) -> SideState {
    let is_another = |seen: &SideState| {
        let same_second = seen.updated.is_none_or(|updated| may_have_changed(updated, baseline.read_at));
        seen.version.is_some() || same_second || print_of(seen) != print_of(&baseline.source)
    };
    match seen.filter(|_| !mutant::is(Mutant::AcceptedIsOverwritten)) {
        Some(mut seen) if is_another(&seen) => {
            let operations = &mut seen.attributes.key_operations;
            *operations = operations.take().or_else(|| baseline.source.attributes.key_operations.clone());
            seen
        }
        Some(_) | None => baseline.source.clone(),
    }
}

/// Whether leave that was given speaks of the target that is there: of its version, which a listing does not name, and
/// of everything else that a listing shows.
pub fn covers(leave: &Leave, target_seen: Option<&SideState>, target: Option<&SideState>) -> bool {
    let version = target.and_then(|target| target.version.as_ref());
    let is_version = match (&leave.target_version, target_seen) {
        (Some(seen), _) => version == Some(seen),
        (None, Some(_)) => true,
        (None, None) => version.is_none(),
    };
    is_version && target_seen.is_none_or(|seen| target.is_some_and(|target| print_of(seen) == print_of(target)))
}

/// Of a set of records as they are: another record, another state or another target seen is another hash. The entries
/// come in order of type and name.
pub fn set_hash<'a>(entries: impl IntoIterator<Item = (&'a RecordKey, &'a IndexEntry)>) -> SetHash {
    let mut hash = Xxh3::new();
    for (key, entry) in entries {
        let version = entry.target_version.as_ref().map_or("", |version| version.as_str());
        for text in [key.kind.as_str(), &key.name.key(), version] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(&entry.sequence.0.to_le_bytes());
    }
    SetHash(hash.digest128())
}

/// Switched off by an operator, whatever the rule says from now on.
pub fn switched_off(record: Record, actor: &str, revision: Revision) -> Record {
    let seen = record.source_seen.clone();
    lifecycle::blocked(record, ErrorCode::OperatorDisabled, format!("switched off by {actor}"), seen, None, revision)
}

/// Switched on again: the next expansion decides, as for an item that comes back. Nothing is attempted before, or the
/// rule would be got round.
pub fn switched_on(record: Record, actor: &str, revision: Revision) -> Record {
    let message = format!("switched on by {actor}: it goes on once it is listed at the source");
    lifecycle::blocked(record, ErrorCode::SourceGone, message, None, None, revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attempt::{Decision, Look, later_write, thorough_write},
        fixtures::{REVISION, at, baseline, record, side},
        index::Index,
    };
    use proptest::prelude::*;
    use proto_msgs::{RunId, record::Miss};

    fn leave(kind: LeaveKind, version: Option<&str>) -> Leave {
        let target_version = version.map(|version| version.parse().unwrap());
        Leave { actor: "a".into(), at: at(0), sequence: Sequence(7), target_version, kind }
    }

    #[test]
    fn leave_for_what_a_listing_showed_covers_a_key_whose_operations_only_a_read_tells() {
        let read = side("t9", 600);
        let listed = SideState { version: None, ..read.clone() };
        let mut key = read.clone();
        key.attributes.key_operations = Some(["sign".to_owned()].into());
        let given = leave(LeaveKind::Correct, None);
        assert!(covers(&given, Some(&listed), Some(&key)));
        let touched = SideState { updated: Some(at(601)), ..key };
        assert!(!covers(&given, Some(&listed), Some(&touched)));
    }

    fn drifted() -> Record {
        Record {
            code: Some(ErrorCode::Drift),
            target_seen: Some(SideState { version: None, ..side("t9", 600) }),
            baseline: Some(baseline(side("s1", 1), 10)),
            ..record(ItemType::Secrets, "a", Status::Drifted)
        }
    }

    #[test]
    fn leave_for_another_state_or_target_than_was_seen_is_a_stale_view() {
        let conflict = Record {
            target_seen: Some(side("t9", 5)),
            ..record(ItemType::Secrets, "a", Status::BlockedTargetConflict)
        };
        let version: VersionId = "t9".parse().unwrap();
        let other: VersionId = "t8".parse().unwrap();
        let ask =
            |sequence, version| check(&conflict, Sequence(7), LeaveKind::Acknowledge, Sequence(sequence), version);
        assert_eq!(ask(7, Some(&version)), Ok(()));
        for refused in [ask(6, Some(&version)), ask(7, Some(&other)), ask(7, None)] {
            assert_eq!(refused.unwrap_err().code, RequestCode::StaleView);
        }
    }

    #[test]
    fn only_conflicts_are_acknowledged_never_a_key_and_only_drift_is_corrected_or_accepted() {
        let mut allowed = Vec::new();
        for &status in Status::ALL {
            for kind in [LeaveKind::Acknowledge, LeaveKind::Correct, LeaveKind::Accept] {
                let record = Record { status, ..drifted() };
                if check(&record, Sequence(7), kind, Sequence(7), None).is_ok() {
                    allowed.push((kind, status));
                }
            }
        }
        allowed.sort();
        assert_eq!(
            allowed,
            [
                (LeaveKind::Acknowledge, Status::BlockedTargetConflict),
                (LeaveKind::Correct, Status::Drifted),
                (LeaveKind::Accept, Status::Drifted),
            ]
        );
        let key = record(ItemType::Keys, "k", Status::BlockedTargetConflict);
        assert!(check(&key, Sequence(7), LeaveKind::Acknowledge, Sequence(7), None).is_err());
        let missing = Record { target_seen: None, ..drifted() };
        assert!(check(&missing, Sequence(7), LeaveKind::Accept, Sequence(7), None).is_err());
    }

    #[test]
    fn accepted_drift_is_what_was_left_from_now_on_and_never_deleted() {
        let next = given(drifted(), leave(LeaveKind::Accept, None), REVISION);
        let left = next.baseline.unwrap();
        assert_eq!((next.status, left.target.updated, left.how), (Status::Active, Some(at(600)), Arrival::Adopted));
    }

    #[test]
    fn accepted_drift_covers_a_source_that_had_changed_by_then() {
        let accepted = |source_seen| {
            let record = Record { source_seen: Some(source_seen), ..drifted() };
            given(record, leave(LeaveKind::Accept, None), REVISION).baseline.unwrap()
        };
        let listed = |updated| SideState { version: None, ..side("s2", updated) };
        let write = |source: &SideState, baseline: &Baseline| later_write(ItemType::Secrets, source, baseline);
        let nothing = Decision::Nothing(Arrival::Adopted);
        for seen in [listed(20), side("s2", 20)] {
            assert_eq!(write(&side("s2", 20), &accepted(seen.clone())), nothing, "{seen:?}");
            assert_eq!(write(&side("s3", 30), &accepted(seen)), Decision::Write);
        }
        // In the second of its read, a listing does not tell whether it changed.
        let hasty = Baseline { read_at: at(2), ..baseline(side("s1", 1), 10) };
        assert_eq!(
            write(&side("s2", 1), &Baseline { source: accepted_source(&hasty, Some(listed(1))), ..hasty.clone() }),
            Decision::Nothing(hasty.how)
        );
        // Listed as it had been read: nothing had changed.
        assert_eq!(write(&side("s1", 1), &accepted(listed(1))), nothing);
    }

    #[test]
    fn accepted_content_is_not_taken_for_the_sources_when_only_attributes_change_there() {
        let foreign = drifted();
        let (ours, tagged) = (side("s1", 1), side("s1", 30));
        let left = given(foreign.clone(), leave(LeaveKind::Accept, None), REVISION);
        assert!(left.detail.is_some(), "it says so");
        let left = left.baseline.unwrap();
        let look = |same_content| Look::Present { state: left.target.clone(), same_content };
        let mut changed = tagged;
        changed.attributes.tags.insert("a".to_owned(), "b".to_owned());
        let decide = |source, same| thorough_write(ItemType::Secrets, source, &look(same), &left);
        assert_eq!(decide(&ours, false), Decision::Nothing(Arrival::Adopted));
        assert_eq!([decide(&changed, false), decide(&changed, true)], [Decision::Write, Decision::Update]);
        // Only its attributes were touched: its version is the one that was left.
        let own = foreign.baseline.clone().unwrap().target;
        let touched = SideState { updated: Some(at(600)), ..own };
        let left = given(Record { target_seen: Some(touched), ..foreign }, leave(LeaveKind::Accept, None), REVISION);
        assert_eq!(later_write(ItemType::Secrets, &changed, &left.baseline.unwrap()), Decision::Update);
    }

    #[test]
    fn what_is_gone_at_the_source_is_not_written_back() {
        let miss = Some(Miss { run: RunId::from_random(1), at: at(1) });
        let gone = Record { miss, ..drifted() };
        assert!(check(&gone, Sequence(7), LeaveKind::Correct, Sequence(7), None).is_err());
        assert_eq!(check(&gone, Sequence(7), LeaveKind::Accept, Sequence(7), None), Ok(()));
    }

    #[test]
    fn corrected_drift_is_attempted_with_both_ends_read() {
        let next = given(drifted(), leave(LeaveKind::Correct, None), REVISION);
        assert!(next.status == Status::Pending && next.thorough && next.leave.is_some() && next.target_seen.is_some());
    }

    #[test]
    fn leave_without_a_version_covers_exactly_what_was_listed() {
        let given = leave(LeaveKind::Correct, None);
        let seen = SideState { version: None, ..side("t9", 600) };
        assert!(covers(&given, Some(&seen), Some(&side("t9", 600))));
        assert!(!covers(&given, Some(&seen), Some(&side("t9", 601))) && !covers(&given, Some(&seen), None));
        assert!(covers(&given, None, None) && !covers(&given, None, Some(&side("t9", 1))));
        let (given, mut touched) = (leave(LeaveKind::Acknowledge, Some("t9")), side("t9", 600));
        touched.attributes.enabled = false;
        let seen = side("t9", 600);
        assert!(covers(&given, Some(&seen), Some(&seen)) && !covers(&given, Some(&seen), Some(&touched)));
    }

    #[test]
    fn what_an_operator_disabled_and_enabled_waits_for_an_expansion() {
        let off = switched_off(drifted(), "ann", REVISION);
        assert_eq!((off.status, off.code), (Status::Disabled, Some(ErrorCode::OperatorDisabled)));
        let on = switched_on(off, "ann", REVISION);
        assert_eq!((on.status, on.code), (Status::Disabled, Some(ErrorCode::SourceGone)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_set_has_another_hash_once_any_record_of_it_went_on(count in 1usize..20, changed in 0usize..20) {
            let hash = |bump: Option<usize>| {
                let mut index = Index::new();
                for n in 0..count {
                    let sequence = Sequence(n as u64 + 1 + if bump == Some(n) { 1_000 } else { 0 });
                    index.upsert(&record(ItemType::Secrets, &format!("s{n}"), Status::Drifted), sequence);
                }
                set_hash(index.iter())
            };
            prop_assert_eq!(hash(None), hash(None));
            prop_assert_ne!(hash(None), hash(Some(changed % count)));
        }
    }
}
