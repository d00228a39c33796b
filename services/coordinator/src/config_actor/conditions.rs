//! Whether what a config depends on is as it should be.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{
    Timestamp,
    api::{Condition, ConditionKind},
    vault::Side,
};

use super::ConfigActor;

/// Vaults that throttle ask for seconds, and a window of calls is over after ten.
const STILL_AFTER: Duration = Duration::from_secs(60);

/// What a listing of this side tells of.
pub(super) fn of(side: Side) -> ConditionKind {
    match side {
        Side::Source => ConditionKind::SourceReadable,
        Side::Target => ConditionKind::TargetWritable,
    }
}

/// The conditions of one config.
pub(super) struct Conditions {
    shown: BTreeMap<ConditionKind, Condition>,
    /// What the last listing told of a vault.
    listed: BTreeMap<ConditionKind, String>,
    /// Why a vault is held.
    held: BTreeMap<ConditionKind, String>,
}

impl Conditions {
    /// `unreadable`: subjects of the log that could not be read.
    pub(super) fn of(unreadable: Vec<String>, now: Timestamp) -> Self {
        let mut conditions = Self { shown: BTreeMap::new(), listed: BTreeMap::new(), held: BTreeMap::new() };
        let message = (!unreadable.is_empty()).then(|| {
            format!(
                "{} records cannot be read and are left alone, {} first: start a version that knows them",
                unreadable.len(),
                unreadable[0]
            )
        });
        conditions.set(ConditionKind::LogReadable, message, now);
        conditions
    }

    /// `problem`: why it is not as it should be.
    pub(super) fn set(&mut self, kind: ConditionKind, problem: Option<String>, now: Timestamp) {
        let ok = problem.is_none();
        let since = self.shown.get(&kind).filter(|known| known.ok == ok).map_or(now, |known| known.since);
        self.shown.insert(kind, Condition { kind, ok, message: problem, since });
    }

    /// A vault was listed. What holds it back is shown before that.
    pub(super) fn list(&mut self, kind: ConditionKind, problem: Option<String>, now: Timestamp) {
        replace(&mut self.listed, kind, problem);
        self.set(kind, self.held.get(&kind).or(self.listed.get(&kind)).cloned(), now);
    }

    /// A vault is held, or is not any more. One that was never listed and is not held shows nothing.
    pub(super) fn hold(&mut self, kind: ConditionKind, problem: Option<String>, now: Timestamp) {
        let was_held = replace(&mut self.held, kind, problem);
        if was_held || self.held.contains_key(&kind) {
            self.set(kind, self.held.get(&kind).or(self.listed.get(&kind)).cloned(), now);
        }
    }

    pub(super) fn all(&self) -> Vec<Condition> {
        self.shown.values().cloned().collect()
    }
}

/// Whether there was one.
fn replace(all: &mut BTreeMap<ConditionKind, String>, kind: ConditionKind, problem: Option<String>) -> bool {
    match problem {
        Some(problem) => all.insert(kind, problem).is_some(),
        None => all.remove(&kind).is_some(),
    }
}

impl ConfigActor {
    /// Looks at everything that no listing tells of.
    pub(super) fn check_conditions(&mut self) {
        self.check_workers();
        self.check_halt();
        self.check_holds();
    }

    fn check_workers(&mut self) {
        let nobody = "no worker is heard: start one with `keyferry worker`, or look at its log";
        let problem = match self.parts.fleet.has_workers() {
            true => self.stands_still(),
            false => Some(nobody.to_owned()),
        };
        self.set_condition(ConditionKind::WorkersAvailable, problem);
    }

    /// Whether records wait for long and none finds a worker, though nothing else is in the way that is told.
    fn stands_still(&mut self) -> Option<String> {
        let boot = self.parts.parts.origin.boot();
        let is_told = self.parts.is_held() || self.parts.is_left_alone(boot);
        if self.dispatching == 0 || !self.may_work() || is_told {
            self.moved = boot;
        }
        let still = boot.as_duration().saturating_sub(self.moved.as_duration());
        (still >= STILL_AFTER).then(|| {
            let (count, still) = (self.dispatching, still.as_secs());
            format!(
                "{count} of the records wait, and none went to a worker for {still} s: a vault's budget of calls is used up, \
                 or no worker has room"
            )
        })
    }

    /// A listing told of this side.
    pub(super) fn listed_side(&mut self, side: Side, problem: Option<String>) {
        let now = self.now();
        self.conditions.list(of(side), problem, now);
    }

    pub(super) fn set_condition(&mut self, kind: ConditionKind, problem: Option<String>) {
        let now = self.now();
        self.conditions.set(kind, problem, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_shown_before_what_a_listing_told_and_that_again_after_it() {
        let (kind, now) = (ConditionKind::TargetWritable, Timestamp::default());
        let mut conditions = Conditions::of(Vec::new(), now);
        let shown = |conditions: &Conditions| {
            conditions.all().into_iter().find(|shown| shown.kind == kind).map(|shown| (shown.ok, shown.message))
        };
        conditions.hold(kind, None, now);
        assert_eq!(shown(&conditions), None);
        conditions.list(kind, Some("listing".to_owned()), now);
        conditions.hold(kind, Some("held".to_owned()), now);
        conditions.list(kind, None, now);
        assert_eq!(shown(&conditions), Some((false, Some("held".to_owned()))));
        conditions.hold(kind, None, now);
        assert_eq!(shown(&conditions), Some((true, None)));
    }
}
