//! A plan as it is shown, and the hash by which somebody decides about exactly this one.

use std::collections::BTreeMap;

use proto_msgs::{
    DriftPolicy, ErrorCode, ItemType, RecordKey, SetHash, Status,
    plan::{PlanAction, PlanItem, PlanView},
    record::LeaveKind,
};
use xxhash_rust::xxh3::Xxh3;

use super::{Action, Given, Plan, Step};
use crate::{
    compare::print_of_item,
    drift::{self, Target},
};

impl Plan {
    /// The whole plan, as it is shown. `given` is what it was made from.
    pub fn view(&self, given: &Given<'_>, complete: bool) -> PlanView {
        let items: Vec<_> = self.steps.iter().map(|step| item(given, step)).collect();
        let mut counts = BTreeMap::from([(PlanAction::Nothing, self.unchanged)]);
        for item in &items {
            *counts.entry(item.action).or_default() += 1;
        }
        let hash = hash(given, &items);
        PlanView { items, next: None, counts, not_found: self.not_found.clone(), complete, hash }
    }
}

/// One page of a plan that is there with all its items.
pub fn page(whole: &PlanView, after: Option<&RecordKey>, limit: usize) -> PlanView {
    let start = after.map_or(0, |after| whole.items.partition_point(|item| item.key <= *after));
    let rest = whole.items.get(start..).unwrap_or_default();
    let items = rest.get(..limit).unwrap_or(rest).to_vec();
    let next = if rest.len() > limit { items.last().map(|item| item.key.clone()) } else { None };
    PlanView { items, next, counts: whole.counts.clone(), not_found: whole.not_found.clone(), ..*whole }
}

/// Of all steps: another step, another state of a record or another state of its source is another hash.
fn hash(given: &Given<'_>, items: &[PlanItem]) -> SetHash {
    let mut hash = Xxh3::new();
    for PlanItem { key, action, code, .. } in items {
        let code = code.map_or("", ErrorCode::as_str);
        for text in [key.kind.as_str(), &key.name.key(), action.as_str(), code] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        let sequence = given.index.get(key).map_or(0, |entry| entry.sequence.0);
        let source = given.source.live(key).map_or(0, |listed| print_of_item(&listed.item));
        hash.update(&sequence.to_le_bytes());
        hash.update(&source.to_le_bytes());
    }
    SetHash(hash.digest128())
}

fn item(given: &Given<'_>, step: &Step) -> PlanItem {
    let (code, message) = match &step.action {
        Action::Block { code, message, .. } => (Some(*code), Some(message.clone())),
        Action::Delete { held: Some(reason), .. } => (Some(ErrorCode::DeleteHeld), Some(reason.clone())),
        Action::Sync { .. } => (None, replaced(given, &step.key).map(str::to_owned)),
        Action::Miss(_) | Action::Found | Action::Delete { held: None, .. } => (None, None),
    };
    PlanItem { key: step.key.clone(), action: word(given, step), code, message }
}

/// What becomes of a target item that Keyferry did not write, or that is not as Keyferry left it.
fn replaced(given: &Given<'_>, key: &RecordKey) -> Option<&'static str> {
    given.target.live(key)?;
    let (behaviour, entry) = (&given.config.spec.behaviour, given.index.get(key));
    let leave = entry.and_then(|entry| entry.leave);
    let Some(left) = entry.and_then(|entry| entry.baseline.as_ref()) else {
        let is_overwritten = behaviour.overwrite_on_conflict || leave == Some(LeaveKind::Acknowledge);
        return Some(match is_overwritten && key.kind != ItemType::Keys {
            true => "an item of that name is at the target: it is overwritten unless it is equal",
            false => "an item of that name is at the target: it is adopted if it is equal, else the record is blocked",
        });
    };
    let is_corrected = behaviour.drift_policy == DriftPolicy::Correct || leave == Some(LeaveKind::Correct);
    match drift::target(key, left, given.target) {
        Target::Changed(_) if key.kind == ItemType::Keys => None,
        Target::Changed(_) if is_corrected => Some("the target item is not as Keyferry left it: it is overwritten"),
        Target::Changed(_) => {
            Some("the target item is not as Keyferry left it: it is overwritten if the source has changed since")
        }
        Target::AsLeft | Target::Missing | Target::SoftDeleted | Target::Unknown => None,
    }
}

fn word(given: &Given<'_>, step: &Step) -> PlanAction {
    match &step.action {
        Action::Sync { .. } => match given.index.get(&step.key) {
            None => PlanAction::Make,
            Some(entry) if entry.status == Status::Active && entry.baseline.is_some() => PlanAction::Update,
            Some(_) => PlanAction::Sync,
        },
        Action::Block { code: ErrorCode::SourceGone | ErrorCode::RuleNoMatch, .. } => PlanAction::Disable,
        Action::Block { code: ErrorCode::Drift, .. } => PlanAction::Drift,
        Action::Block { .. } | Action::Delete { held: Some(_), .. } => PlanAction::Block,
        Action::Miss(_) => PlanAction::Miss,
        Action::Found => PlanAction::Found,
        Action::Delete { held: None, .. } => PlanAction::Delete,
    }
}
