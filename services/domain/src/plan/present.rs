//! Records whose item the source lists as live.

use proto_msgs::{
    DriftPolicy, ErrorCode, ItemType, RecordKey, Status,
    record::LeaveKind,
    vault::{ItemMeta, VaultIdentity},
    worker::Listing,
};

use super::{Action, Planner, block, listed_state};
use crate::{
    claims::taken_by,
    compare::print_of_item,
    drift::{self, Target},
    index::{IndexEntry, Prints},
    inventory::Listed,
    mutant::{self, Mutant},
    rule::Matched,
    timing::may_have_changed,
};

/// How the source differs from the last success, as far as a listing tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// It was read in the second in which it changed, and may have changed again after that.
    Possible,
    Certain,
}

impl Planner<'_> {
    pub(super) fn live(&self, key: &RecordKey, listed: &Listed, entry: Option<&IndexEntry>) -> Option<Action> {
        let item = &listed.item;
        let matched = self.matcher.matches(&item.name, &item.attributes.tags);
        match (matched, entry) {
            // A tombstone needs no other reason.
            (Matched::No, entry) if !mutant::is(Mutant::RuleIsIgnored) => entry
                .filter(|entry| entry.status != Status::Deleted)
                .map(|_| block(ErrorCode::RuleNoMatch, "the rule no longer matches this item", Some(item))),
            (Matched::Excluded, _) if item.managed => None,
            (Matched::Excluded, _) if !mutant::is(Mutant::ExcludeIsIgnored) => {
                Some(block(ErrorCode::Excluded, "an exclude takes this item out", Some(item)))
            }
            (_, entry) if item.managed && !mutant::is(Mutant::ManagedIsItem) => self.managed(item, entry),
            (_, entry) => self.obstacle(key, item, entry).or_else(|| self.change(key, listed, entry)),
        }
    }

    /// The secret and key behind a certificate follow it; without certificates in the config nobody would know.
    fn managed(&self, item: &ItemMeta, entry: Option<&IndexEntry>) -> Option<Action> {
        if !self.given.config.spec.item_types.contains(&ItemType::Certificates) {
            let message = "Key Vault keeps this item behind a certificate: add certificates to the item types";
            return Some(block(ErrorCode::ManagedByCertificate, message, Some(item)));
        }
        let message = "Key Vault keeps this item behind a certificate, whose own record covers it";
        entry.map(|_| block(ErrorCode::RuleNoMatch, message, Some(item)))
    }

    /// What forbids a sync whatever changed.
    fn obstacle(&self, key: &RecordKey, item: &ItemMeta, entry: Option<&IndexEntry>) -> Option<Action> {
        let was_synced = entry.is_some_and(|entry| entry.baseline.is_some());
        if key.kind == ItemType::Keys
            && !mutant::is(Mutant::KeyLeavesGeography)
            && let Some((code, message)) = key_obstacle(&self.given.config.source, &self.given.config.target)
        {
            return Some(block(code, message, Some(item)));
        }
        if key.kind == ItemType::Certificates && item.x5t.is_none() {
            let message = "no version of the certificate was issued yet";
            return Some(block(ErrorCode::CertificatePending, message, Some(item)));
        }
        if !item.attributes.enabled && !was_synced {
            let so_far = match entry.is_some_and(|entry| entry.is_unresolved) {
                true => "and the answer of its first write was lost: the target is compared once it is enabled",
                false => "and was never copied",
            };
            let message = format!("the item is disabled at the source, {so_far}");
            return Some(block(ErrorCode::SourceDisabled, &message, Some(item)));
        }
        if let Some(owner) = self.given.claims.in_the_way(self.given.config.id, key) {
            return Some(block(ErrorCode::TargetClaimed, &taken_by(&owner), Some(item)));
        }
        if self.is_soft_deleted(key) && !was_synced {
            return Some(soft_deleted_at_target(item));
        }
        let is_asked = !was_synced || entry.is_some_and(|entry| entry.status == Status::BlockedTargetNameTaken);
        (is_asked && self.is_name_taken(key)).then(|| {
            let message = match key.kind {
                ItemType::Certificates => "a plain secret or key of that name exists at the target",
                ItemType::Secrets | ItemType::Keys => "a certificate of that name exists at the target",
            };
            block(ErrorCode::TargetNameTaken, message, Some(item))
        })
    }

    /// A write to that name would be refused, as far as is listed.
    fn is_soft_deleted(&self, key: &RecordKey) -> bool {
        self.given.target.deleted(key).is_some() && self.given.target.live(key).is_none()
    }

    /// Whether the listings show what is in the way. A plain secret or key in a certificate's way is seen only where
    /// its type is listed too.
    fn is_name_taken(&self, key: &RecordKey) -> bool {
        let target = self.given.target;
        let is = |kind: ItemType, managed: bool| {
            let other = RecordKey { kind, name: key.name.clone() };
            target.live(&other).is_some_and(|listed| listed.item.managed == managed)
        };
        match key.kind {
            ItemType::Secrets | ItemType::Keys => is(key.kind, true),
            ItemType::Certificates => is(ItemType::Secrets, false) || is(ItemType::Keys, false),
        }
    }

    /// Whether the record needs an attempt, or its target shows drift, by what is listed alone.
    fn change(&self, key: &RecordKey, listed: &Listed, entry: Option<&IndexEntry>) -> Option<Action> {
        let sync = |thorough| Some(Action::Sync { listed: listed.clone(), thorough });
        let Some(entry) = entry else { return sync(false) };
        match (entry.status, &entry.baseline) {
            // Azure may finish still what was sent: the next attempt has a time of its own.
            (Status::Retrying, _) if entry.is_unresolved => None,
            // The item of a delete that was due is back.
            (_, _) if entry.delete.is_some() => sync(true),
            // As above; and attempts under way were left out before.
            (Status::Retrying | Status::Syncing, _) => None,
            // Only a read of the target tells what is there.
            (_, _) if entry.is_unresolved || entry.is_doubtful => sync(true),
            (_, _) if self.is_stuck(key, listed, entry) => None,
            (_, None) => sync(false),
            (_, Some(left)) => self.by_baseline(key, listed, entry, left),
        }
    }

    fn by_baseline(&self, key: &RecordKey, listed: &Listed, entry: &IndexEntry, left: &Prints) -> Option<Action> {
        let sync = |thorough| Some(Action::Sync { listed: listed.clone(), thorough });
        let is_soft_deleted = self.is_soft_deleted(key);
        let write =
            |thorough| if is_soft_deleted { Some(soft_deleted_at_target(&listed.item)) } else { sync(thorough) };
        let (change, policy) = (change(&listed.item, left), self.given.config.spec.behaviour.drift_policy);
        let seen = drift::target(key, left, self.given.target);
        let drift = match seen {
            // Under `block` every attempt looks at the target first.
            Target::AsLeft | Target::Unknown if entry.status == Status::Active => {
                return (change != Change::None).then(|| write(policy == DriftPolicy::Block)).flatten();
            }
            Target::AsLeft => return sync(entry.status == Status::Drifted || policy == DriftPolicy::Block),
            Target::Unknown if entry.status == Status::Drifted => None,
            Target::Unknown => return write(policy == DriftPolicy::Block),
            Target::Changed(there) => Some(drifted(Some(there), "it was changed", listed)),
            Target::Missing => Some(drifted(None, "it is missing", listed)),
            // Somebody asked for it to be written, and was told what is in the way: it still is.
            Target::SoftDeleted if entry.status == Status::BlockedTargetSoftDeleted => return write(false),
            Target::SoftDeleted => Some(drifted(None, "it is soft-deleted", listed)),
        };
        let is_read =
            |there: &Listed| entry.target_version.is_some() && entry.target_seen == Some(print_of_item(&there.item));
        let is_unread = matches!(seen, Target::Changed(there) if is_hasty(there) && !is_read(there));
        let is_to_be_written = entry.leave == Some(LeaveKind::Correct)
            || match policy {
                DriftPolicy::Correct => true,
                DriftPolicy::Report => change == Change::Certain,
                DriftPolicy::Block => false,
            };
        match (is_to_be_written, policy, change) {
            (true, _, _) => write(true),
            // Somebody is to decide about the version that is there, which only a read names.
            (false, _, _) if is_unread => sync(true),
            // The reads tell whether the source changed; only then is the target written, else it has drifted.
            (false, DriftPolicy::Report, Change::Possible) if !is_soft_deleted => sync(true),
            (false, _, _) => drift,
        }
    }

    /// Whether the same attempt would be refused again for the same reason: no call is spent on finding that out.
    fn is_stuck(&self, key: &RecordKey, listed: &Listed, entry: &IndexEntry) -> bool {
        let is_as_seen = entry.source_seen == Some(print_of_item(&listed.item));
        let target = self.given.target;
        let is_target_as_seen = || match (target.live(key), entry.target_seen) {
            (Some(there), Some(seen)) => print_of_item(&there.item) == seen,
            (Some(_), None) => true,
            (None, _) => !target.is_complete(key.kind, Listing::Live),
        };
        let overwrites = self.given.config.spec.behaviour.overwrite_on_conflict;
        match entry.status {
            Status::BlockedTargetConflict => is_as_seen && is_target_as_seen() && entry.leave.is_none() && !overwrites,
            Status::BlockedTargetKeyExists => is_as_seen && is_target_as_seen(),
            // By the source alone.
            Status::BlockedCertificateNotExportable | Status::BlockedCertificateExpired => is_as_seen,
            Status::Pending
            | Status::Syncing
            | Status::Active
            | Status::Retrying
            | Status::Failed
            | Status::Drifted
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
            | Status::BlockedDeleteHeld
            | Status::Disabled
            | Status::Deleted => false,
        }
    }
}

/// Compares with the last success. A source changed in the second in which it was read may have changed after the read.
fn change(item: &ItemMeta, left: &Prints) -> Change {
    let same_second = || item.updated.is_none_or(|updated| may_have_changed(updated, left.read_at));
    match print_of_item(item) == left.source {
        false => Change::Certain,
        true if same_second() && !mutant::is(Mutant::NoSameSecond) => Change::Possible,
        true => Change::None,
    }
}

/// Whether what was listed may have been changed once more in the second in which it was listed.
fn is_hasty(there: &Listed) -> bool {
    there.item.updated.is_some_and(|updated| may_have_changed(updated, there.at))
}

fn drifted(there: Option<&Listed>, how: &str, listed: &Listed) -> Action {
    Action::Block {
        code: ErrorCode::Drift,
        message: format!("the target item is not as Keyferry left it: {how}"),
        source_seen: Some(listed_state(&listed.item)),
        target_seen: there.map(|there| listed_state(&there.item)),
    }
}

fn soft_deleted_at_target(item: &ItemMeta) -> Action {
    let message = "an item of that name is soft-deleted at the target: recover or purge it there";
    block(ErrorCode::TargetSoftDeleted, message, Some(item))
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
