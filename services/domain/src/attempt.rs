//! What an attempt does, once both ends were looked at.
//!
//! The worker reads; these functions decide. Deliberately absent: values. Whether two values are equal is all that
//! comes in.

use proto_msgs::{
    Behaviour, ErrorCode, ItemType, Timestamp, VersionId,
    record::{Arrival, Baseline, Leave, LeaveKind, UnresolvedAttempt},
    vault::{Attributes, SideState},
};

use crate::{
    compare::{attributes_equal, clears_a_time, print_of},
    drift, leave,
    mutant::{self, Mutant},
};

/// What is at the target under the record's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Absent,
    Present {
        state: SideState,
        /// Value, thumbprint or key version equal to the source's newest.
        same_content: bool,
    },
    /// An item is there and switched off: its attributes are known, its content cannot be read.
    Disabled {
        state: SideState,
    },
    /// An item is there, and this identity may read its attributes, but not its content.
    Unreadable {
        state: SideState,
    },
    /// A plain secret or key where a certificate is due, or the other way round.
    NameTaken,
}

impl Look {
    /// What is there under the name, as far as it is of the record's type.
    pub fn state(&self) -> Option<&SideState> {
        match self {
            Self::Present { state, .. } | Self::Disabled { state } | Self::Unreadable { state } => Some(state),
            Self::Absent | Self::NameTaken => None,
        }
    }
}

/// What to do at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new version: set, import, restore.
    Write,
    /// Attributes and tags only, no new version.
    Update,
    /// Both ends are equal.
    Nothing(Arrival),
    Block {
        code: ErrorCode,
        message: String,
    },
}

impl Decision {
    pub(crate) fn block(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Block { code, message: message.into() }
    }
}

/// Decides for a target item that Keyferry never wrote or adopted. `target_seen` is what the record showed when leave
/// was given.
pub fn first_write(
    kind: ItemType,
    source: &SideState,
    look: &Look,
    behaviour: &Behaviour,
    given: Option<&Leave>,
    target_seen: Option<&SideState>,
) -> Decision {
    let target = match look {
        Look::Absent => return Decision::Write,
        Look::NameTaken => return name_taken(kind),
        Look::Unreadable { state } | Look::Disabled { state } => Some(state),
        Look::Present { state, .. } => {
            if is_equal(kind, source, look) && !mutant::is(Mutant::NoAdoption) {
                return Decision::Nothing(Arrival::Adopted);
            }
            Some(state)
        }
    };
    if kind == ItemType::Keys {
        return key_exists("a key of that name exists at the target, and a restore cannot replace it");
    }
    let is_covered = |given: &Leave| given.kind == LeaveKind::Acknowledge && leave::covers(given, target_seen, target);
    if behaviour.overwrite_on_conflict || given.is_some_and(is_covered) || mutant::is(Mutant::NoConflict) {
        return Decision::Write;
    }
    Decision::block(
        ErrorCode::TargetConflictActive,
        "an item of that name exists at the target, and is not known to be Keyferry's: acknowledge to overwrite it, or exclude it",
    )
}

/// Whether what is there is the source's newest, content and attributes.
pub fn is_equal(kind: ItemType, source: &SideState, look: &Look) -> bool {
    match look {
        Look::Present { state, same_content } => {
            *same_content && attributes_equal(kind, &source.attributes, &state.attributes)
        }
        Look::Absent | Look::Disabled { .. } | Look::Unreadable { .. } | Look::NameTaken => false,
    }
}

/// Decides for a target item that Keyferry wrote or adopted, by what changed at the source alone.
pub fn later_write(kind: ItemType, source: &SideState, baseline: &Baseline) -> Decision {
    if is_new_version(kind, source, &baseline.source) {
        return new_version(kind);
    }
    if attributes_equal(kind, &source.attributes, &baseline.source.attributes) {
        return Decision::Nothing(baseline.how);
    }
    attributes_changed(kind, &baseline.source.attributes, &source.attributes)
}

/// Decides for a target item that Keyferry wrote or adopted, after reading both ends. Where neither is another than was
/// left, nothing is to be done however they differ: somebody accepted that.
pub fn thorough_write(kind: ItemType, source: &SideState, look: &Look, baseline: &Baseline) -> Decision {
    let by_source = later_write(kind, source, baseline);
    if matches!(by_source, Decision::Nothing(_)) && knows_operations(kind, baseline) && is_left(look, baseline) {
        return by_source;
    }
    match look {
        Look::Absent => Decision::Write,
        Look::NameTaken => name_taken(kind),
        // Its content is the one that was left there, as long as its version is.
        Look::Disabled { state } | Look::Unreadable { state } if is_as_left(state, baseline) => {
            if is_new_version(kind, source, &baseline.source) {
                return new_version(kind);
            }
            same_content(kind, source, state, baseline)
        }
        Look::Disabled { .. } | Look::Unreadable { .. } | Look::Present { same_content: false, .. }
            if kind == ItemType::Keys
                && (baseline.source.version.is_none() || !is_new_version(kind, source, &baseline.source)) =>
        {
            key_exists(
                "the target has another version of the key than Keyferry left there, and a restore cannot replace it: \
                 delete and purge it there, sync the record, then correct its drift, and it is restored with all versions",
            )
        }
        Look::Disabled { .. } | Look::Unreadable { .. } | Look::Present { same_content: false, .. } => {
            new_version(kind)
        }
        Look::Present { state, same_content: true } => same_content(kind, source, state, baseline),
    }
}

/// Whether what was seen of the target is what was left there, or accepted.
pub fn is_left(look: &Look, baseline: &Baseline) -> bool {
    look.state().is_some_and(|state| drift::is_as_left(state, baseline))
}

/// Whether the last success noted what a key may be used for; where not, only the target tells what it may.
pub fn knows_operations(kind: ItemType, baseline: &Baseline) -> bool {
    kind != ItemType::Keys || baseline.source.attributes.key_operations.is_some()
}

fn same_content(kind: ItemType, source: &SideState, target: &SideState, baseline: &Baseline) -> Decision {
    if attributes_equal(kind, &source.attributes, &target.attributes) {
        return Decision::Nothing(baseline.how);
    }
    attributes_changed(kind, &target.attributes, &source.attributes)
}

/// What became of a write whose answer never came, once the target was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// The target is as it was before the attempt: nothing was written, and nothing will be any more.
    NotWritten,
    /// The target holds what the attempt was about to write.
    Written,
    /// The target holds something else: somebody else wrote it.
    Foreign,
}

/// Settles an unresolved attempt. `matches_attempt`: the target's content equals the source version the intent named.
pub fn resolve(look: &Look, baseline: Option<&Baseline>, matches_attempt: bool) -> Resolved {
    match look {
        _ if mutant::is(Mutant::NothingIsSettled) => Resolved::NotWritten,
        Look::Absent => Resolved::NotWritten,
        // The version is the one that was left there, however much its content looks like what was to be written.
        Look::Present { state, .. } | Look::Disabled { state } | Look::Unreadable { state }
            if baseline.is_some_and(|b| is_as_left(state, b)) =>
        {
            Resolved::NotWritten
        }
        Look::Present { .. } if matches_attempt => Resolved::Written,
        Look::Present { .. } | Look::Disabled { .. } | Look::Unreadable { .. } | Look::NameTaken => Resolved::Foreign,
    }
}

/// Whether a write over what was seen replaces content that Keyferry did not leave there.
pub fn replaces_foreign(look: Option<&Look>, baseline: Option<&Baseline>) -> bool {
    match look {
        None | Some(Look::Absent) => false,
        Some(Look::Present { state, .. } | Look::Disabled { state } | Look::Unreadable { state }) => {
            !baseline.is_some_and(|b| is_as_left(state, b))
        }
        Some(Look::NameTaken) => baseline.is_none(),
    }
}

/// Whether the target's version is the one that the last success left.
pub(crate) fn is_as_left(target: &SideState, baseline: &Baseline) -> bool {
    target.version.is_some() && target.version == baseline.target.version
}

/// Which of the source's versions an unresolved attempt may have been about to write; none, if it was about to delete.
pub fn may_be_named(unresolved: &UnresolvedAttempt, version: &VersionId, updated: Option<Timestamp>) -> bool {
    match (&unresolved.source_version, unresolved.source_updated) {
        (_, _) if unresolved.deletes => false,
        (Some(named), _) => named == version,
        (None, Some(listed)) => updated == Some(listed),
        // Nothing was listed: whatever was there when the attempt began.
        (None, None) => updated.is_none_or(|updated| updated <= unresolved.started),
    }
}

fn is_new_version(kind: ItemType, source: &SideState, before: &SideState) -> bool {
    match kind {
        // A renewal may be pending under a version of its own; what counts is what was issued.
        ItemType::Certificates => source.x5t != before.x5t,
        // Accepted as it was listed: a listing names no version.
        ItemType::Secrets | ItemType::Keys if before.version.is_none() => print_of(source) != print_of(before),
        ItemType::Secrets | ItemType::Keys => source.version != before.version,
    }
}

fn new_version(kind: ItemType) -> Decision {
    match kind {
        ItemType::Secrets | ItemType::Certificates => Decision::Write,
        ItemType::Keys => key_exists(
            "the key got a new version at the source, and a restore cannot replace the key at the target: \
             delete and purge it there, and it is restored with all versions",
        ),
    }
}

fn attributes_changed(kind: ItemType, before: &Attributes, after: &Attributes) -> Decision {
    let clears = clears_a_time(kind, before, after) && !mutant::is(Mutant::ClearedTimeIsKept);
    let is_content = clears || (kind != ItemType::Keys && mutant::is(Mutant::UpdateIsWrite));
    match (is_content, kind) {
        (false, _) => Decision::Update,
        (true, ItemType::Secrets | ItemType::Certificates) => Decision::Write,
        (true, ItemType::Keys) => Decision::block(
            ErrorCode::AttributeCannotBeCleared,
            "the target has an expiry or not-before that the source has not, and Azure cannot clear one on an existing \
             key version",
        ),
    }
}

fn key_exists(message: &str) -> Decision {
    Decision::block(ErrorCode::TargetKeyExists, message)
}

pub(crate) fn name_taken(kind: ItemType) -> Decision {
    let message = match kind {
        ItemType::Certificates => {
            "a plain secret or key of that name exists at the target, where the certificate needs both"
        }
        ItemType::Secrets | ItemType::Keys => {
            "a certificate of that name at the target owns the secret and key of that name"
        }
    };
    Decision::block(ErrorCode::TargetNameTaken, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, attributes, baseline, side};

    fn present(same_content: bool) -> Look {
        Look::Present { state: side("t9", 5), same_content }
    }

    fn unreadable() -> Look {
        Look::Unreadable { state: side("t9", 5) }
    }

    #[test]
    fn a_first_write_over_a_foreign_item_needs_leave() {
        let (source, off) = (side("s1", 1), Behaviour::default());
        let on = Behaviour { overwrite_on_conflict: true, ..off.clone() };
        for look in [present(false), unreadable()] {
            let decision = first_write(ItemType::Secrets, &source, &look, &off, None, None);
            assert!(matches!(decision, Decision::Block { code: ErrorCode::TargetConflictActive, .. }), "{look:?}");
            assert_eq!(first_write(ItemType::Secrets, &source, &look, &on, None, None), Decision::Write);
        }
    }

    #[test]
    fn leave_is_for_the_version_that_was_seen() {
        let leave = |version: &str| Leave {
            actor: "a".into(),
            at: at(0),
            sequence: proto_msgs::Sequence(1),
            target_version: Some(version.parse().unwrap()),
            kind: LeaveKind::Acknowledge,
        };
        let decide = |leave: &Leave| {
            first_write(ItemType::Secrets, &side("s1", 1), &present(false), &Behaviour::default(), Some(leave), None)
        };
        assert_eq!(decide(&leave("t9")), Decision::Write);
        assert!(matches!(decide(&leave("t8")), Decision::Block { .. }));
    }

    #[test]
    fn what_is_equal_already_is_adopted_whatever_the_behaviour() {
        for overwrite_on_conflict in [false, true] {
            let behaviour = Behaviour { overwrite_on_conflict, ..Behaviour::default() };
            let decision = first_write(ItemType::Secrets, &side("s1", 1), &present(true), &behaviour, None, None);
            assert_eq!(decision, Decision::Nothing(Arrival::Adopted));
        }
    }

    #[test]
    fn a_key_is_never_replaced() {
        let on = Behaviour { overwrite_on_conflict: true, ..Behaviour::default() };
        let first = first_write(ItemType::Keys, &side("s1", 1), &present(false), &on, None, None);
        let later = later_write(ItemType::Keys, &side("s2", 2), &baseline(side("s1", 1), 10));
        let replaced = thorough_write(ItemType::Keys, &side("s1", 1), &present(false), &baseline(side("s1", 1), 10));
        for (decision, by) in [(first, "at the target"), (later, "at the source"), (replaced, "correct its drift")] {
            let Decision::Block { code: ErrorCode::TargetKeyExists, message } = decision else {
                panic!("{decision:?}")
            };
            assert!(message.contains(by), "{message}");
        }
    }

    #[test]
    fn a_later_write_makes_a_version_only_for_a_new_version_or_a_cleared_time() {
        let before = baseline(side("s1", 1), 10);
        let mut tagged = side("s1", 2);
        tagged.attributes.tags.insert("a".into(), "b".into());
        assert_eq!(later_write(ItemType::Secrets, &side("s1", 1), &before), Decision::Nothing(Arrival::Written));
        assert_eq!(later_write(ItemType::Secrets, &tagged, &before), Decision::Update);
        assert_eq!(later_write(ItemType::Secrets, &side("s2", 2), &before), Decision::Write);

        let mut expiring = before;
        expiring.source.attributes.expires = Some(at(99));
        assert_eq!(later_write(ItemType::Secrets, &side("s1", 2), &expiring), Decision::Write);
        let key = later_write(ItemType::Keys, &side("s1", 2), &expiring);
        assert!(matches!(key, Decision::Block { code: ErrorCode::AttributeCannotBeCleared, .. }), "{key:?}");
    }

    #[test]
    fn a_certificate_is_new_when_its_thumbprint_is() {
        let with = |version: &str, x5t: &str| SideState { x5t: Some(x5t.into()), ..side(version, 1) };
        let before = baseline(with("v1", "aa"), 10);
        assert_eq!(
            later_write(ItemType::Certificates, &with("v2", "aa"), &before),
            Decision::Nothing(Arrival::Written)
        );
        assert_eq!(later_write(ItemType::Certificates, &with("v2", "bb"), &before), Decision::Write);
    }

    #[test]
    fn an_unresolved_attempt_is_settled_by_what_the_target_holds() {
        let before = baseline(side("s1", 1), 10);
        let untouched = Look::Present { state: before.target.clone(), same_content: false };
        assert_eq!(resolve(&Look::Absent, None, false), Resolved::NotWritten);
        assert_eq!(resolve(&untouched, Some(&before), false), Resolved::NotWritten);
        assert_eq!(resolve(&present(true), Some(&before), true), Resolved::Written);
        assert_eq!(resolve(&present(false), Some(&before), false), Resolved::Foreign);
        assert_eq!(resolve(&present(false), None, false), Resolved::Foreign);
    }

    #[test]
    fn a_target_as_it_was_left_was_not_written_however_equal_it_is() {
        let before = baseline(side("s1", 1), 10);
        let as_left = Look::Present { state: before.target.clone(), same_content: true };
        assert_eq!(resolve(&as_left, Some(&before), true), Resolved::NotWritten);
    }

    #[test]
    fn a_write_is_over_something_foreign_unless_nothing_is_there_or_it_is_as_it_was_left() {
        let before = baseline(side("s1", 1), 10);
        let as_left = Look::Present { state: before.target.clone(), same_content: false };
        for (look, known, expected) in [
            (None, None, false),
            (Some(Look::Absent), None, false),
            (Some(present(false)), None, true),
            (Some(present(true)), Some(&before), true),
            (Some(as_left.clone()), Some(&before), false),
            (Some(as_left), None, true),
            (Some(unreadable()), None, true),
            (Some(unreadable()), Some(&before), true),
            (Some(Look::Unreadable { state: before.target.clone() }), Some(&before), false),
        ] {
            assert_eq!(replaces_foreign(look.as_ref(), known), expected, "{look:?}");
        }
    }

    #[test]
    fn a_target_that_was_switched_off_is_switched_on_again_where_the_source_is_on() {
        let before = baseline(side("s1", 1), 10);
        let mut state = before.target.clone();
        state.attributes.enabled = false;
        let off = Look::Disabled { state: state.clone() };
        assert_eq!(thorough_write(ItemType::Secrets, &side("s1", 1), &off, &before), Decision::Update);
        assert_eq!(thorough_write(ItemType::Secrets, &side("s2", 2), &off, &before), Decision::Write);
        assert_eq!(resolve(&off, Some(&before), false), Resolved::NotWritten);
        state.version = Some("t7".parse().unwrap());
        let foreign = Look::Disabled { state };
        assert_eq!(thorough_write(ItemType::Secrets, &side("s1", 1), &foreign, &before), Decision::Write);
        assert_eq!(resolve(&foreign, Some(&before), false), Resolved::Foreign);
    }

    #[test]
    fn a_disabled_source_disables_the_target_without_a_new_version() {
        let mut off = side("s1", 2);
        off.attributes = Attributes { enabled: false, ..attributes() };
        assert_eq!(later_write(ItemType::Secrets, &off, &baseline(side("s1", 1), 10)), Decision::Update);
    }
}
