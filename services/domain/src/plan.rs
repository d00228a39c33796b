//! Decides what each record of a config needs next.
//!
//! [`plan`] compares what an operator declared and what the log remembers with what the vaults list, and gives one
//! step for each record that is not as it should be. Equal arguments give equal plans on every coordinator.
//!
//! Invariants: what an incomplete listing does not show means nothing; taking a plan's steps and planning again on the
//! same inventories yields nothing; a record with an attempt under way is left to it. Deliberately absent: clocks,
//! retries and pacing. What failed shows up as a gap in the next round.

use proto_msgs::{
    Config, ErrorCode, ItemType, RecordKey, Status,
    vault::{ItemMeta, SideState, VaultIdentity},
};

use crate::{
    compare::print,
    index::{Index, IndexEntry, Prints},
    inventory::{Inventory, Listed},
    rule::{Matched, Matcher, RuleError},
    timing::SAME_SECOND_MARGIN,
};

/// What to do, in order of type and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Records that are as they should be.
    pub unchanged: u64,
}

/// What one record needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub key: RecordKey,
    pub action: Action,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Append a state that needs no call: `blocked_*`, or `disabled` where the rule no longer matches.
    Block { code: ErrorCode, message: String, source_seen: Option<SideState> },
    /// Append `pending`, then dispatch.
    Sync { listed: Listed },
}

/// Plans one cycle.
pub fn plan(config: &Config, index: &Index, source: &Inventory, target: &Inventory) -> Result<Plan, RuleError> {
    let planner = Planner { config, matcher: Matcher::new(&config.spec)?, target };
    let mut plan = Plan::default();
    let mut add = |key: &RecordKey, entry: Option<&IndexEntry>, wanted: Option<Action>| match wanted {
        Some(action) if is_news(entry, &action) => plan.steps.push(Step { key: key.clone(), action }),
        Some(_) | None => plan.unchanged += u64::from(entry.is_some()),
    };
    for (key, listed) in source.live_items().filter(|(key, _)| config.spec.item_types.contains(&key.kind)) {
        let entry = index.get(key);
        add(key, entry, planner.live(key, listed, entry));
    }
    for (key, deleted) in source.deleted_items().filter(|(key, _)| config.spec.item_types.contains(&key.kind)) {
        if source.live(key).is_none() {
            let entry = index.get(key);
            add(key, entry, planner.soft_deleted(key, &deleted.item, entry));
        }
    }
    plan.unchanged +=
        index.iter().filter(|(key, _)| source.live(key).is_none() && source.deleted(key).is_none()).count() as u64;
    plan.steps.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(plan)
}

/// What one item of the source wants, given everything else.
struct Planner<'a> {
    config: &'a Config,
    matcher: Matcher,
    target: &'a Inventory,
}

impl Planner<'_> {
    fn live(&self, key: &RecordKey, listed: &Listed, entry: Option<&IndexEntry>) -> Option<Action> {
        let item = &listed.item;
        if is_under_way(entry) {
            return None;
        }
        if item.managed {
            return self.managed(item);
        }
        match self.matcher.matches(&item.name, &item.attributes.tags) {
            Matched::No => {
                entry.map(|_| block(ErrorCode::RuleNoMatch, "the rule no longer matches this item", Some(item)))
            }
            Matched::Excluded => Some(block(ErrorCode::Excluded, "an exclude takes this item out", Some(item))),
            Matched::Yes if entry.is_some_and(|e| e.code == Some(ErrorCode::OperatorDisabled)) => None,
            Matched::Yes => self.obstacle(key, item, entry).or_else(|| self.change(key, listed, entry)),
        }
    }

    fn soft_deleted(&self, key: &RecordKey, item: &ItemMeta, entry: Option<&IndexEntry>) -> Option<Action> {
        if is_under_way(entry) || item.managed {
            return None;
        }
        let concerns_us = entry.map_or_else(
            || self.matcher.matches(&key.name, &item.attributes.tags) == Matched::Yes,
            |entry| !matches!(entry.status, Status::Disabled | Status::Deleted),
        );
        concerns_us.then(|| {
            block(
                ErrorCode::SourceSoftDeleted,
                "the item is soft-deleted at the source and can be recovered there",
                Some(item),
            )
        })
    }

    /// The secret and key behind a certificate follow it; without certificates in the config nobody would know.
    fn managed(&self, item: &ItemMeta) -> Option<Action> {
        let covered = self.config.spec.item_types.contains(&ItemType::Certificates);
        let matches = self.matcher.matches(&item.name, &item.attributes.tags) == Matched::Yes;
        (!covered && matches).then(|| {
            block(
                ErrorCode::ManagedByCertificate,
                "Key Vault keeps this item behind a certificate: add certificates to the item types",
                Some(item),
            )
        })
    }

    /// What forbids a sync whatever changed.
    fn obstacle(&self, key: &RecordKey, item: &ItemMeta, entry: Option<&IndexEntry>) -> Option<Action> {
        let was_synced = entry.is_some_and(|entry| entry.baseline.is_some());
        if key.kind == ItemType::Keys
            && let Some((code, message)) = key_obstacle(&self.config.source, &self.config.target)
        {
            return Some(block(code, message, Some(item)));
        }
        if key.kind == ItemType::Certificates && item.x5t.is_none() {
            return Some(block(
                ErrorCode::CertificatePending,
                "no version of the certificate was issued yet",
                Some(item),
            ));
        }
        if !item.attributes.enabled && !was_synced {
            return Some(block(
                ErrorCode::SourceDisabled,
                "the item is disabled at the source, and was when it was first seen",
                Some(item),
            ));
        }
        let is_soft_deleted = self.target.deleted(key).is_some() && self.target.live(key).is_none();
        is_soft_deleted.then(|| {
            block(
                ErrorCode::TargetSoftDeleted,
                "an item of that name is soft-deleted at the target: recover or purge it there",
                Some(item),
            )
        })
    }

    /// Whether the record needs an attempt, by what is listed alone.
    fn change(&self, key: &RecordKey, listed: &Listed, entry: Option<&IndexEntry>) -> Option<Action> {
        let (item, sync) = (&listed.item, || Some(Action::Sync { listed: listed.clone() }));
        let Some(entry) = entry else { return sync() };
        let is_as_seen = entry.source_seen == Some(print_of_item(item));
        match entry.status {
            Status::Active | Status::Drifted => {
                entry.baseline.is_none_or(|baseline| is_changed(item, &baseline)).then(sync)?
            }
            // Its next attempt has a time of its own; and attempts under way were left out before.
            Status::Retrying | Status::Syncing => None,
            // Unchanged, the same attempt would be refused again: no call is spent on finding that out.
            Status::BlockedTargetConflict | Status::BlockedTargetKeyExists => {
                let is_gone = self.target.live(key).is_none()
                    && self.target.is_complete(key.kind, proto_msgs::worker::Listing::Live);
                let has_leave =
                    entry.has_leave || self.config.spec.behaviour.overwrite_on_conflict && key.kind != ItemType::Keys;
                (!is_as_seen || is_gone || has_leave).then(sync)?
            }
            Status::BlockedCertificateNotExportable => (!is_as_seen).then(sync)?,
            Status::Pending
            | Status::Failed
            | Status::BlockedExcluded
            | Status::BlockedSourceSoftDeleted
            | Status::BlockedSourceDisabled
            | Status::BlockedCrossGeographyKey
            | Status::BlockedCrossSubscriptionKey
            | Status::BlockedTargetClaimed
            | Status::BlockedTargetNameTaken
            | Status::BlockedTargetSoftDeleted
            | Status::BlockedManagedByCertificate
            | Status::BlockedGeographyUnknown
            | Status::BlockedCertificatePending
            | Status::BlockedCertificateExpired
            | Status::BlockedDeleteHeld
            | Status::Disabled
            | Status::Deleted => sync(),
        }
    }
}

/// A block that the record shows already is not news; a sync always is.
fn is_news(entry: Option<&IndexEntry>, action: &Action) -> bool {
    match action {
        Action::Block { code, .. } => entry.is_none_or(|entry| entry.code != Some(*code)),
        Action::Sync { .. } => true,
    }
}

fn is_under_way(entry: Option<&IndexEntry>) -> bool {
    entry.is_some_and(|entry| entry.status == Status::Syncing)
}

/// Compares with the last success. A source changed in the second in which it was read may have changed after the read.
fn is_changed(item: &ItemMeta, baseline: &Prints) -> bool {
    let same_second = item.updated.is_none_or(|updated| updated.plus(SAME_SECOND_MARGIN) > baseline.read_at);
    print_of_item(item) != baseline.source || same_second
}

fn print_of_item(item: &ItemMeta) -> u64 {
    print(item.updated, &item.attributes, item.x5t.as_deref())
}

fn block(code: ErrorCode, message: &str, item: Option<&ItemMeta>) -> Action {
    let source_seen = item.map(|item| SideState {
        version: None,
        updated: item.updated,
        attributes: item.attributes.clone(),
        x5t: item.x5t.clone(),
    });
    Action::Block { code, message: message.to_owned(), source_seen }
}

/// A key's backup opens only in its own geography and subscription.
fn key_obstacle(source: &VaultIdentity, target: &VaultIdentity) -> Option<(ErrorCode, &'static str)> {
    let known = |vault: &VaultIdentity| vault.geography.clone().zip(vault.subscription.clone());
    let (Some(source), Some(target)) = (known(source), known(target)) else {
        return Some((ErrorCode::GeographyUnknown, "the geography or subscription of a vault could not be found out"));
    };
    if !source.0.eq_ignore_ascii_case(&target.0) {
        return Some((
            ErrorCode::CrossGeographyKey,
            "a key cannot leave its geography, and the target is in another one",
        ));
    }
    (!source.1.eq_ignore_ascii_case(&target.1)).then_some((
        ErrorCode::CrossSubscriptionKey,
        "a key's backup can be restored only within its subscription, and the target is in another one",
    ))
}

#[cfg(test)]
mod tests;
