//! Decides what each record of a config needs next.
//!
//! [`plan`] compares what an operator declared and what the log remembers with what the vaults list, and gives one
//! step for each record that is not as it should be. Equal arguments give equal plans on every coordinator, so a plan
//! can be shown, hashed and decided about.
//!
//! Invariants: what an incomplete listing does not show means nothing; taking a plan's steps and planning again on the
//! same inventories yields nothing; a record with an attempt under way is left to it; what an operator disabled is left
//! alone. Deliberately absent: clocks, retries and pacing. What failed shows up as a gap in the next round.

mod missing;
mod present;
mod step;
mod view;

use proto_msgs::{
    Config, ErrorCode, ItemName, ItemType, RecordKey, RunId, Status, Timestamp,
    config::DeleteTrigger,
    record::Miss,
    vault::{ItemMeta, Side, SideState},
    worker::Listing,
};

use crate::{
    check,
    claims::Claims,
    compare::print_of,
    index::{Index, IndexEntry},
    inventory::{Inventory, Listed},
    mutant::{self, Mutant},
    rule::{Matcher, RuleError},
};

pub use step::next;
pub use view::page;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub config: &'a Config,
    pub index: &'a Index,
    pub source: &'a Inventory,
    pub target: &'a Inventory,
    /// On the target vault.
    pub claims: &'a Claims,
    /// The side whose vault is another one than the config was made for.
    pub replaced: Option<Side>,
    pub run: RunId,
    pub now: Timestamp,
}

/// What to do, in order of type and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Records that are as they should be.
    pub unchanged: u64,
    /// Names of a `manual` rule that no complete listing shows.
    pub not_found: Vec<ItemName>,
}

/// What one record needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub key: RecordKey,
    pub action: Action,
}

/// One step of a plan. [`next`] gives the state to append for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A state that needs no call: `blocked_*`, `drifted`, or `disabled`.
    Block { code: ErrorCode, message: String, source_seen: Option<SideState>, target_seen: Option<SideState> },
    /// `pending`, then dispatch.
    Sync { listed: Listed, thorough: bool },
    /// As it is, and missing from the source for the first time.
    Miss(Miss),
    /// As it is; it was missing once, and is there.
    Found,
    /// `pending` with a delete that is due, then dispatch; where it is held, `blocked_delete_held` and why.
    Delete { seen: DeleteTrigger, held: Option<String> },
}

/// Plans one cycle.
pub fn plan(given: &Given<'_>) -> Result<Plan, RuleError> {
    let planner = Planner { given, matcher: Matcher::new(&given.config.spec)? };
    if let Some(side) = given.replaced {
        return Ok(stopped(given, side));
    }
    let mut plan = Plan { not_found: planner.not_found(), ..Plan::default() };
    for (key, listed) in given.source.live_items().filter(|(key, _)| planner.is_of_config(key)) {
        let entry = given.index.get(key);
        let wanted = if is_left_alone(entry) { None } else { planner.live(key, listed, entry) };
        plan.add(key, entry, or_found(entry, wanted));
    }
    let is_unlisted = |key: &RecordKey| !planner.is_of_config(key) || given.source.live(key).is_none();
    for (key, deleted) in given.source.deleted_items().filter(|(key, _)| planner.is_of_config(key)) {
        if given.source.live(key).is_none() && given.index.get(key).is_none() {
            plan.add(key, None, planner.soft_deleted(key, &deleted.item, None));
        }
    }
    for (key, wanted) in planner.absent(given.index.iter().filter(|(key, _)| is_unlisted(key))) {
        plan.add(key, given.index.get(key), wanted);
    }
    plan.steps.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(plan)
}

/// What was planned for one vault is not done to another that has its name by now, and nothing is in sync with that.
fn stopped(given: &Given<'_>, side: Side) -> Plan {
    let message = check::replaced(side);
    let mut plan = Plan::default();
    for (key, entry) in given.index.iter() {
        let is_concerned = !is_left_alone(Some(entry)) && !matches!(entry.status, Status::Disabled | Status::Deleted);
        plan.add(key, Some(entry), is_concerned.then(|| block(ErrorCode::VaultReplaced, &message, None)));
    }
    plan.steps.sort_by(|a, b| a.key.cmp(&b.key));
    plan
}

impl Plan {
    fn add(&mut self, key: &RecordKey, entry: Option<&IndexEntry>, wanted: Option<Action>) {
        match wanted {
            Some(action) if is_news(entry, &action) => self.steps.push(Step { key: key.clone(), action }),
            Some(_) | None => self.unchanged += u64::from(entry.is_some()),
        }
    }
}

/// What one item wants, given everything else.
struct Planner<'a> {
    given: &'a Given<'a>,
    matcher: Matcher,
}

impl Planner<'_> {
    fn is_of_config(&self, key: &RecordKey) -> bool {
        self.given.config.spec.item_types.contains(&key.kind)
    }

    /// Whether both listings of a type at the source are complete.
    fn is_wholly_listed(&self, kind: ItemType) -> bool {
        [Listing::Live, Listing::Deleted].into_iter().all(|listing| self.given.source.is_complete(kind, listing))
    }

    fn not_found(&self) -> Vec<ItemName> {
        let (spec, source) = (&self.given.config.spec, self.given.source);
        if !spec.item_types.iter().all(|kind| self.is_wholly_listed(*kind)) {
            return Vec::new();
        }
        let is_listed = |name: &ItemName| {
            spec.item_types.iter().any(|&kind| {
                let key = RecordKey { kind, name: name.clone() };
                source.live(&key).is_some() || source.deleted(&key).is_some()
            })
        };
        self.matcher.names().into_iter().flatten().filter(|name| !is_listed(name)).cloned().collect()
    }
}

/// Attempts under way come to their end first; what an operator disabled only an operator enables.
fn is_left_alone(entry: Option<&IndexEntry>) -> bool {
    let is_switched_off =
        |entry: &IndexEntry| entry.code == Some(ErrorCode::OperatorDisabled) && !mutant::is(Mutant::OperatorIsIgnored);
    entry.is_some_and(|entry| entry.status == Status::Syncing || is_switched_off(entry))
}

/// An item that is there is no longer missing, also where nothing else is to be said of it.
fn or_found(entry: Option<&IndexEntry>, wanted: Option<Action>) -> Option<Action> {
    let has_miss = entry.is_some_and(|entry| entry.miss.is_some() && entry.status != Status::Syncing);
    match wanted {
        Some(action) if is_news(entry, &action) || !has_miss => Some(action),
        Some(_) | None => has_miss.then_some(Action::Found),
    }
}

/// A state that the record shows already is not news; a sync always is.
fn is_news(entry: Option<&IndexEntry>, action: &Action) -> bool {
    let Some(entry) = entry else { return true };
    match action {
        // Leave is given for both ends as they were shown.
        Action::Block { code: ErrorCode::Drift, target_seen, source_seen, .. } => {
            let [source, target] = [source_seen, target_seen].map(|seen| seen.as_ref().map(print_of));
            let is_other_source = source.is_some() && entry.source_seen != source;
            entry.code != Some(ErrorCode::Drift) || entry.target_seen != target || is_other_source
        }
        Action::Block { code, .. } => entry.code != Some(*code),
        Action::Delete { seen, held } => {
            let is_shown = match held {
                Some(_) => entry.status == Status::BlockedDeleteHeld,
                // One that waits for its turn may have been dropped by an edit: whoever writes the step finds it waiting, or not.
                None => entry.status == Status::Retrying,
            };
            entry.delete != Some(*seen) || !is_shown
        }
        Action::Sync { .. } | Action::Miss(_) | Action::Found => true,
    }
}

fn block(code: ErrorCode, message: &str, item: Option<&ItemMeta>) -> Action {
    Action::Block { code, message: message.to_owned(), source_seen: item.map(listed_state), target_seen: None }
}

/// What a listing says of an item: no version.
fn listed_state(item: &ItemMeta) -> SideState {
    SideState { version: None, updated: item.updated, attributes: item.attributes.clone(), x5t: item.x5t.clone() }
}

#[cfg(test)]
mod tests;
