//! Whether what a config depends on is as it should be.

use std::collections::BTreeMap;

use proto_msgs::{
    Timestamp,
    api::{Condition, ConditionKind},
    vault::Side,
};

use super::ConfigActor;

/// What a listing of this side tells of.
pub(super) fn of(side: Side) -> ConditionKind {
    match side {
        Side::Source => ConditionKind::SourceReadable,
        Side::Target => ConditionKind::TargetWritable,
    }
}

/// The conditions of one config.
pub(super) struct Conditions(BTreeMap<ConditionKind, Condition>);

impl Conditions {
    /// `unreadable`: subjects of the log that could not be read.
    pub(super) fn of(unreadable: Vec<String>, now: Timestamp) -> Self {
        let mut conditions = Self(BTreeMap::new());
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
        let since = self.0.get(&kind).filter(|known| known.ok == ok).map_or(now, |known| known.since);
        self.0.insert(kind, Condition { kind, ok, message: problem, since });
    }

    pub(super) fn all(&self) -> Vec<Condition> {
        self.0.values().cloned().collect()
    }
}

impl ConfigActor {
    pub(super) fn check_workers(&mut self) {
        let problem = "no worker is heard: start one with `keyferry worker`, or look at its log";
        let problem = (!self.parts.fleet.has_workers()).then(|| problem.to_owned());
        self.set_condition(ConditionKind::WorkersAvailable, problem);
    }

    pub(super) fn set_condition(&mut self, kind: ConditionKind, problem: Option<String>) {
        let now = self.now();
        self.conditions.set(kind, problem, now);
    }
}
