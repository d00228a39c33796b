//! What an attempt does while the source is switched off: its content cannot be read, so only attributes are carried.
//!
//! Invariant: what could not be carried stays a difference in the baseline, and is carried once the source is on again.

use proto_msgs::{
    ErrorCode, ItemType,
    record::Baseline,
    vault::{Attributes, SideState},
};

use crate::{
    attempt::{Decision, Look, is_as_left, name_taken},
    compare::{attributes_equal, print_of},
    drift,
};

/// The source as far as it can be carried, which is also what the baseline remembers of it.
///
/// Its content stays what it was at the last success; none, if the target's is not what was left there. A time that the
/// source has no more stays too: only a new version could clear it.
pub fn carried(source: &SideState, look: Option<&Look>, baseline: &Baseline) -> SideState {
    let target = seen(look);
    let has_our_content = target.is_none_or(|target| is_as_left(target, baseline));
    let before = target.map_or(&baseline.source.attributes, |target| &target.attributes);
    SideState {
        version: baseline.source.version.clone().filter(|_| has_our_content),
        x5t: baseline.source.x5t.clone().filter(|_| has_our_content),
        updated: source.updated,
        attributes: Attributes {
            not_before: source.attributes.not_before.or(before.not_before),
            expires: source.attributes.expires.or(before.expires),
            ..source.attributes.clone()
        },
    }
}

/// Decides, with what [`carried`] gave: attributes only, never a new version.
pub fn decide(kind: ItemType, carried: &SideState, look: Option<&Look>, baseline: &Baseline) -> Decision {
    let before = match look {
        Some(Look::Absent) => {
            let message = "the item is gone from the target, and cannot be written back while the source is disabled: \
                           enable it there, then correct the drift, unless the config does that by itself";
            return Decision::block(ErrorCode::Drift, message);
        }
        Some(Look::NameTaken) => return name_taken(kind),
        Some(Look::Present { state, .. } | Look::Disabled { state } | Look::Unreadable { state }) => &state.attributes,
        None => &baseline.source.attributes,
    };
    if attributes_equal(kind, &carried.attributes, before) { Decision::Nothing(baseline.how) } else { Decision::Update }
}

/// Whether the target's content, which cannot be compared, is not what was left there. Where its version is not known,
/// since two of one second are listed alike, equal metadata are taken for it.
pub fn is_foreign(look: &Look, baseline: &Baseline) -> bool {
    let is_left = |state: &SideState| match state.version {
        Some(_) => is_as_left(state, baseline) || drift::is_as_left(state, baseline),
        None => print_of(state) == print_of(&baseline.target),
    };
    seen(Some(look)).is_some_and(|state| !is_left(state))
}

fn seen(look: Option<&Look>) -> Option<&SideState> {
    match look {
        Some(Look::Present { state, .. } | Look::Disabled { state } | Look::Unreadable { state }) => Some(state),
        Some(Look::Absent | Look::NameTaken) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attempt::later_write,
        fixtures::{at, baseline, side},
    };
    use proto_msgs::record::Arrival;

    fn off(updated: i64) -> SideState {
        let mut state = SideState { version: None, ..side("s9", updated) };
        state.attributes.enabled = false;
        state
    }

    /// The baseline that an attempt leaves which carried what it could.
    fn after(before: &Baseline, carried: SideState) -> Baseline {
        Baseline { source: carried, ..before.clone() }
    }

    #[test]
    fn the_target_is_switched_off_once_and_on_again_with_the_source() {
        let before = baseline(side("s1", 1), 10);
        let carried_once = carried(&off(20), None, &before);
        assert_eq!(decide(ItemType::Secrets, &carried_once, None, &before), Decision::Update);
        let left = after(&before, carried_once);
        let again = carried(&off(20), None, &left);
        assert_eq!(decide(ItemType::Secrets, &again, None, &left), Decision::Nothing(Arrival::Written));
        assert_eq!(later_write(ItemType::Secrets, &side("s1", 30), &left), Decision::Update);
        assert_eq!(later_write(ItemType::Secrets, &side("s2", 30), &left), Decision::Write);
    }

    #[test]
    fn a_time_that_cannot_be_cleared_is_cleared_once_the_source_is_on() {
        let mut before = baseline(side("s1", 1), 10);
        before.source.attributes.expires = Some(at(99));
        let left = after(&before, carried(&off(20), None, &before));
        assert_eq!(left.source.attributes.expires, Some(at(99)));
        assert_eq!(later_write(ItemType::Secrets, &side("s1", 30), &left), Decision::Write);
    }

    #[test]
    fn content_that_somebody_else_left_is_replaced_once_the_source_is_on() {
        let before = baseline(side("s1", 1), 10);
        let foreign = Look::Present { state: side("t7", 15), same_content: false };
        let left = after(&before, carried(&off(20), Some(&foreign), &before));
        assert_eq!(later_write(ItemType::Secrets, &side("s1", 30), &left), Decision::Write);
    }

    #[test]
    fn another_version_is_somebody_elses_unless_it_was_accepted_and_one_that_is_not_known_if_its_metadata_differ() {
        let before = baseline(side("s1", 1), 10);
        let is = |state: SideState, left: &Baseline| is_foreign(&Look::Disabled { state }, left);
        let (left, other) = (before.target.clone(), side("t7", 15));
        let touched = SideState { updated: Some(at(99)), ..left.clone() };
        let open = |state: &SideState| SideState { version: None, ..state.clone() };
        assert!(is(other.clone(), &before) && is(open(&other), &before));
        assert!(!is(left.clone(), &before) && !is(touched, &before) && !is(open(&left), &before));
        let accepted = Baseline { target: open(&other), ..before };
        assert!(!is(other, &accepted) && !is_foreign(&Look::Absent, &accepted));
    }

    #[test]
    fn a_renewal_of_a_certificate_that_is_off_follows_once_it_is_on() {
        let with = |x5t: &str, state: SideState| SideState { x5t: Some(x5t.into()), ..state };
        let before = baseline(with("aa", side("v1", 1)), 10);
        let left = after(&before, carried(&with("bb", off(20)), None, &before));
        assert_eq!(later_write(ItemType::Certificates, &with("bb", side("v2", 30)), &left), Decision::Write);
    }

    #[test]
    fn the_target_as_it_was_seen_decides_where_it_was_looked_at() {
        let before = baseline(side("s1", 1), 10);
        let mut state = before.target.clone();
        state.attributes.enabled = false;
        let already = Look::Disabled { state };
        let seen = carried(&off(20), Some(&already), &before);
        assert_eq!(decide(ItemType::Secrets, &seen, Some(&already), &before), Decision::Nothing(Arrival::Written));
        let gone = decide(ItemType::Secrets, &seen, Some(&Look::Absent), &before);
        assert!(matches!(gone, Decision::Block { code: ErrorCode::Drift, .. }), "{gone:?}");
    }
}
