//! A plan as it is shown, and the hash by which somebody decides about exactly this one.

use proto_msgs::{
    ErrorCode, RecordKey, SetHash, Status,
    plan::{PlanAction, PlanItem, PlanView},
};
use xxhash_rust::xxh3::Xxh3;

use super::{Action, Given, Plan, Step};
use crate::compare::print_of_item;

impl Plan {
    /// One page of the plan, as it is shown. `given` is what it was made from.
    pub fn view(&self, given: &Given<'_>, after: Option<&RecordKey>, limit: usize, complete: bool) -> PlanView {
        let mut view = PlanView {
            items: Vec::new(),
            next: None,
            counts: [(PlanAction::Nothing, self.unchanged)].into(),
            not_found: self.not_found.clone(),
            complete,
            hash: self.hash(given),
        };
        for step in &self.steps {
            *view.counts.entry(word(given, step)).or_default() += 1;
        }
        let mut rest = self.steps.iter().filter(|step| after.is_none_or(|after| step.key > *after));
        view.items = rest.by_ref().take(limit).map(|step| item(given, step)).collect();
        view.next = rest.next().and_then(|_| view.items.last().map(|item| item.key.clone()));
        view
    }

    /// Of the whole plan: another step, another state of a record or another state of its source is another hash.
    pub fn hash(&self, given: &Given<'_>) -> SetHash {
        let mut hash = Xxh3::new();
        for step in &self.steps {
            let item = item(given, step);
            let code = item.code.map_or("", ErrorCode::as_str);
            for text in [step.key.kind.as_str(), &step.key.name.key(), item.action.as_str(), code] {
                hash.update(&(text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
            let sequence = given.index.get(&step.key).map_or(0, |entry| entry.sequence.0);
            let source = given.source.live(&step.key).map_or(0, |listed| print_of_item(&listed.item));
            hash.update(&sequence.to_le_bytes());
            hash.update(&source.to_le_bytes());
        }
        SetHash(hash.digest128())
    }
}

fn item(given: &Given<'_>, step: &Step) -> PlanItem {
    let (code, message) = match &step.action {
        Action::Block { code, message, .. } => (Some(*code), Some(message.clone())),
        Action::Delete { held: Some(reason), .. } => (Some(ErrorCode::DeleteHeld), Some(reason.clone())),
        Action::Sync { .. } | Action::Miss(_) | Action::Found | Action::Delete { held: None, .. } => (None, None),
    };
    PlanItem { key: step.key.clone(), action: word(given, step), code, message }
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
