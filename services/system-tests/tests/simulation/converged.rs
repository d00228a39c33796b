//! Whether everything is as it should be, once nothing goes wrong any more.
//!
//! The oracle: from the two vaults and the config alone it says which states of a record are right. It knows nothing of
//! how Keyferry came there. `is_strict`: also of targets that owners touched, after somebody asked for those records.

use std::collections::BTreeSet;

use domain::compare::attributes_equal;
use proto_msgs::{
    Config, ConfigId, DriftPolicy, ErrorCode, ItemType, Record, RecordId, Rule, Status, VersionId,
    config::DeleteTrigger,
    record::{LeaveKind, OutcomeKind},
    vault::{Attributes, Side, SideState},
};
use vault::{
    Operation,
    memory::{Content, Slot, Version},
};

use crate::{
    history::{History, Said},
    invariants::{self, is_as_left, is_first_intent},
    owners::{newest, owner_of},
    scenario::{Change, First, Item},
    story::record_of,
    world::{Touch, World, identity, item_name},
};

/// Of a target that is soft-deleted: drift, where Keyferry had left something there.
const SOFT_DELETED: &[Status] = &[Status::BlockedTargetSoftDeleted, Status::Drifted];

/// What is not right, and of which record.
pub struct Wrong {
    pub said: String,
    pub record: Option<RecordId>,
}

pub fn check(world: &World, configs: &[ConfigId], is_strict: bool) -> Result<(), Wrong> {
    let to_mend = to_mend(world, configs);
    let history = world.look();
    let by_owner = |side, change: Option<Change>| -> BTreeSet<usize> {
        let is_meant = |touch: &&Touch| touch.side == side && change.is_none_or(|change| touch.change == change);
        world.touches.iter().filter(is_meant).map(|touch| touch.item).collect()
    };
    // Neither what was purged nor what was switched off can be read, to find out that one came from the other.
    let mut lost = by_owner(Side::Source, Some(Change::Purge));
    lost.extend([Side::Source, Side::Target].into_iter().flat_map(|side| by_owner(side, Some(Change::Disable))));
    let [set, copied] = [Change::Set, Change::Copy].map(|change| by_owner(Side::Target, Some(change)));
    let versions = Versions::of(world, &history, configs);
    // What was written goes before what may have been.
    let owns_before = |item: usize, other: Option<&Record>| {
        let id = record_of(world, configs, item);
        let config = history.configs.get(&id.config).and_then(|said| said.last());
        let is_there = config.is_some_and(|config| !config.envelope.body.deleted);
        let may_own = |record: &Record| {
            let may_have_written = record.unresolved.is_some() || !record.late.is_empty();
            let is_other = other.is_some_and(|other| other.baseline.is_some());
            !record.removed && (record.baseline.is_some() || (may_have_written && !is_other))
        };
        is_there && history.record(&id).is_some_and(may_own)
    };
    for (number, item) in world.scenario.items.iter().enumerate() {
        let id = record_of(world, configs, number);
        let record = history.record(&id);
        let Some(config) = history.configs.get(&id.config).and_then(|said| said.last()) else { continue };
        let config = &config.envelope.body;
        if config.deleted {
            if record.is_some_and(|record| !record.removed) {
                return Err(Wrong { said: "it was not removed with its config".to_owned(), record: Some(id) });
            }
            continue;
        }
        let case = Case {
            number,
            item,
            config,
            record,
            source: owner_of(world, number, Side::Source).slot(item.kind, &item_name(&item.name)),
            target: owner_of(world, number, Side::Target).slot(item.kind, &item_name(&item.name)),
            is_strict,
            is_to_mend: to_mend.contains(&number),
            is_lenient: to_mend.contains(&number)
                && !is_strict
                && config.spec.behaviour.drift_policy != DriftPolicy::Correct,
            was_lost: lost.contains(&number),
            accepted: world.leaves.iter().any(|(record, leave)| *record == id && leave.kind == LeaveKind::Accept),
            was_set: set.contains(&number) || copied.contains(&number),
            was_copied: copied.contains(&number),
            versions: &versions,
            is_claimed: world.scenario.rivals(number).any(|rival| owns_before(rival, record)),
            obstacle: obstacle(world, item),
            now: world.now().unix_seconds(),
        };
        case.check()
            .map_err(|wrong| Wrong { said: format!("{wrong}; the record says {}", case.says()), record: Some(id) })?;
    }
    Ok(())
}

/// What workers wrote, and for which item.
struct Versions {
    made: BTreeSet<(usize, VersionId)>,
    /// Those whose attributes they touched among them.
    written: Vec<(usize, VersionId, Attributes)>,
}

impl Versions {
    fn of(world: &World, history: &History, configs: &[ConfigId]) -> Self {
        let (mut made, mut written) = (BTreeSet::new(), Vec::new());
        for write in invariants::all_writes(world, history, configs) {
            let Some(Version { id, attributes, .. }) = newest(write.done.after.as_ref()) else { continue };
            if write.done.operation != Operation::Update {
                made.insert((write.item, id.clone()));
            }
            written.push((write.item, id, attributes));
        }
        Self { made, written }
    }
}

/// Items that an operator may have to look after: those whose target an owner touched; and where drift blocks, or the
/// source's older versions were purged, those whose own write was of unknown outcome, since what it left may be taken for
/// drift.
pub fn to_mend(world: &World, configs: &[ConfigId]) -> BTreeSet<usize> {
    let history = world.look();
    let touched = |item: usize| world.touches.iter().any(|touch| touch.side == Side::Target && touch.item == item);
    let is_doubted = |item: usize| {
        let was_purged = world
            .touches
            .iter()
            .any(|touch| touch.side == Side::Source && touch.item == item && touch.change == Change::Purge);
        let blocks = match world.scenario.configs[world.scenario.items[item].config].policy {
            DriftPolicy::Block => true,
            DriftPolicy::Report => was_purged,
            DriftPolicy::Correct => false,
        };
        let said = history.records.get(&record_of(world, configs, item)).map(Vec::as_slice).unwrap_or_default();
        let is_abandoned = |pair: &[Said<Record>]| pair[0].is_syncing() && is_first_intent(Some(&pair[0]), &pair[1]);
        let is_unknown = |said: &Said<Record>| {
            let attempt = said.record().last_attempt.as_ref();
            attempt.is_some_and(|attempt| attempt.outcome == OutcomeKind::Unknown) || !said.record().late.is_empty()
        };
        blocks && (said.windows(2).any(is_abandoned) || said.iter().any(is_unknown))
    };
    (0..world.scenario.items.len()).filter(|&item| touched(item) || is_doubted(item)).collect()
}

/// What keeps a key where it is, whatever it is.
fn obstacle(world: &World, item: &Item) -> Option<Status> {
    let config = world.scenario.configs[item.config];
    let [source, target] = [config.source, config.target].map(|vault| identity(&world.scenario, vault));
    match item.kind {
        ItemType::Keys if source.geography != target.geography => Some(Status::BlockedCrossGeographyKey),
        ItemType::Keys if source.subscription != target.subscription => Some(Status::BlockedCrossSubscriptionKey),
        ItemType::Keys | ItemType::Secrets | ItemType::Certificates => None,
    }
}

struct Case<'a> {
    number: usize,
    item: &'a Item,
    config: &'a Config,
    record: Option<&'a Record>,
    source: Option<Slot>,
    target: Option<Slot>,
    is_strict: bool,
    is_to_mend: bool,
    is_lenient: bool,
    /// The source was purged or switched off for a while, so that what it was before cannot be read.
    was_lost: bool,
    /// Somebody was asked whether drift may stay, and said so.
    accepted: bool,
    /// An owner made a version of the target.
    was_set: bool,
    /// One with what the source had, which may have been adopted.
    was_copied: bool,
    versions: &'a Versions,
    /// The target item is another config's.
    is_claimed: bool,
    obstacle: Option<Status>,
    now: i64,
}

impl Case<'_> {
    fn says(&self) -> String {
        self.record.map_or("nothing".to_owned(), |record| format!("{} {:?}", record.status, record.code))
    }

    fn check(&self) -> Result<(), String> {
        if self.record.is_some_and(|record| record.code == Some(ErrorCode::OperatorDisabled)) {
            return self.must_be(&[Status::Disabled], "an operator disabled it");
        }
        if !self.is_matched() {
            // What is gone already needs no other reason.
            let is_over = self.record.is_none_or(|record| record.status == Status::Deleted);
            return if is_over { Ok(()) } else { self.must_be(&[Status::Disabled], "the rule does not match it") };
        }
        let is_excluded = self.config.spec.exclude.contains(&self.item.name);
        match &self.source {
            // What becomes of records whose item is gone for good is not decided yet.
            None => Ok(()),
            Some(Slot::Deleted { .. }) if self.record.is_none() && is_excluded => Ok(()),
            // Its delete is on its way to the target, or came there, or is held.
            Some(Slot::Deleted { .. }) if self.follows_soft_delete() => Ok(()),
            Some(Slot::Deleted { .. }) => {
                self.must_be(&[Status::BlockedSourceSoftDeleted], "the source is soft-deleted")
            }
            Some(Slot::Live { .. }) if is_excluded => self.must_be(&[Status::BlockedExcluded], "it is excluded"),
            Some(Slot::Live { .. }) if self.obstacle.is_some() => {
                self.must_be(self.obstacle.as_slice(), "the key cannot leave")
            }
            Some(source @ Slot::Live { .. }) => match newest(Some(source)) {
                None => self.must_be(&[Status::BlockedCertificatePending], "nothing was issued yet"),
                Some(version) if !version.attributes.enabled => self.switched_off(&version),
                Some(version) => self.live(&version),
            },
        }
    }

    fn is_matched(&self) -> bool {
        let is_narrow = matches!(&self.config.spec.rule, Rule::Pattern { glob } if glob.ends_with("-s*"));
        !is_narrow || self.item.kind == ItemType::Secrets
    }

    fn follows_soft_delete(&self) -> bool {
        let behaviour = &self.config.spec.behaviour;
        behaviour.propagate_deletes && behaviour.delete_trigger == DeleteTrigger::Deleted
    }

    fn must_be(&self, allowed: &[Status], why: &str) -> Result<(), String> {
        let is_right = self.record.is_some_and(|record| allowed.contains(&record.status) && is_coded(record));
        if is_right { Ok(()) } else { Err(format!("{why}, so it must be {allowed:?}")) }
    }

    fn switched_off(&self, source: &Version) -> Result<(), String> {
        let has_baseline = self.record.is_some_and(|record| record.baseline.is_some());
        if !has_baseline {
            return self.must_be(&[Status::BlockedSourceDisabled], "the source is disabled and was never synced");
        }
        match &self.target {
            Some(Slot::Deleted { .. }) => self.must_be(SOFT_DELETED, "the target is soft-deleted"),
            _ if self.is_lenient => Ok(()),
            Some(target) if newest(Some(target)).is_some_and(|target| self.was_accepted(&target)) => Ok(()),
            Some(target)
                if self.item.kind == ItemType::Keys
                    && newest(Some(target)).is_some_and(|target| target.id != source.id) =>
            {
                self.must_be(self.in_the_way(), "a key is never replaced")
            }
            None => self.must_be(&[Status::Drifted], "the target is gone, and the source off"),
            Some(_) if self.cannot_be_cleared() => Ok(()),
            Some(_) if self.is_unsettled() => {
                self.must_be(&[Status::BlockedSourceDisabled], "nobody can tell whose the content is")
            }
            Some(target) => {
                let target = newest(Some(target)).ok_or("the target has no version")?;
                let is_off = !target.attributes.enabled && target.attributes.tags == source.attributes.tags;
                if !is_off {
                    return Err("the source is off, and the target is not as it".to_owned());
                }
                let is_foreign = self.was_set && !self.versions.made.contains(&(self.number, target.id));
                let allowed = match (is_foreign, self.was_copied) {
                    (true, false) => &[Status::Drifted][..],
                    // What is disabled cannot be read, to find out whose it is.
                    (true, true) => &[Status::Drifted, Status::Active],
                    (false, _) if self.is_to_mend => &[Status::Drifted, Status::Active],
                    (false, _) => &[Status::Active],
                };
                self.must_be(allowed, "the target was switched off with the source")
            }
        }
    }

    fn live(&self, source: &Version) -> Result<(), String> {
        if self.is_claimed {
            return self.must_be(&[Status::BlockedTargetClaimed], "the target item is another config's");
        }
        let target = match &self.target {
            Some(Slot::Deleted { .. }) => {
                return self.must_be(SOFT_DELETED, "the target is soft-deleted");
            }
            Some(live @ Slot::Live { .. }) => newest(Some(live)),
            None => None,
        };
        match target {
            _ if self.is_lenient => Ok(()),
            Some(target) if self.is_equal(source, &target) => self.must_be(&[Status::Active], "both ends are equal"),
            Some(target) if self.was_accepted(&target) => Ok(()),
            Some(target) if !self.is_strict && self.is_unseen(&target) => Ok(()),
            Some(_) if self.item.kind == ItemType::Keys => {
                let allowed = [self.in_the_way(), &[Status::Failed]].concat();
                self.must_be(&allowed, "a key is never replaced")
            }
            Some(target) if self.is_conflict(&target) => {
                let allowed = [vec![Status::BlockedTargetConflict], self.unmovable(source)].concat();
                self.must_be(&allowed, "something else is at the target, and nobody gave leave")
            }
            Some(_) | None => self.must_be(&self.unmovable(source), "the target is not as the source"),
        }
    }

    /// Of a key that another one keeps from being restored: drift where somebody else made that one, until it is corrected.
    fn in_the_way(&self) -> &'static [Status] {
        let has_baseline = self.record.is_some_and(|record| record.baseline.is_some());
        match self.was_set && has_baseline {
            true => &[Status::BlockedTargetKeyExists, Status::Drifted],
            false => &[Status::BlockedTargetKeyExists],
        }
    }

    /// Somebody took what drifted as it is, and it is still that.
    fn was_accepted(&self, target: &Version) -> bool {
        let left = self.record.and_then(|record| record.baseline.as_ref());
        self.accepted && left.is_some_and(|left| is_as_left(left, target))
    }

    /// Somebody's content of the second in which Keyferry wrote, with equal metadata: only a read shows it, no listing.
    fn is_unseen(&self, target: &Version) -> bool {
        let left = self.record.and_then(|record| record.baseline.as_ref()).map(|baseline| &baseline.target);
        let is_alike = |left: &SideState| {
            left.updated == Some(target.updated) && left.attributes == target.attributes && left.x5t.is_none()
        };
        !self.is_own(target) && left.is_some_and(is_alike)
    }

    /// What is there is not known to be Keyferry's, and not to be overwritten.
    fn is_conflict(&self, target: &Version) -> bool {
        let has_baseline = self.record.is_some_and(|record| record.baseline.is_some());
        let is_foreign = self.was_lost || !self.is_own(target);
        is_foreign && !has_baseline && !self.config.spec.behaviour.overwrite_on_conflict
    }

    /// Whether a worker left it like that for this very record.
    fn is_own(&self, target: &Version) -> bool {
        self.versions.written.contains(&(self.number, target.id.clone(), target.attributes.clone()))
    }

    /// A write whose answer was lost was not compared with what is there.
    fn is_unsettled(&self) -> bool {
        self.record.is_some_and(|record| record.unresolved.is_some() || !record.late.is_empty())
    }

    /// A key at the target has a time that the source has not.
    fn cannot_be_cleared(&self) -> bool {
        self.item.kind == ItemType::Keys
            && self.record.is_some_and(|record| record.code == Some(ErrorCode::AttributeCannotBeCleared))
    }

    /// What a source that cannot be brought over is called; of two reasons, the one that was found first stands.
    fn unmovable(&self, source: &Version) -> Vec<Status> {
        let Content::Certificate { exportable, .. } = source.content else { return Vec::new() };
        let is_expired = source.attributes.expires.is_some_and(|expires| expires.unix_seconds() <= self.now);
        let reasons = [
            (!exportable, Status::BlockedCertificateNotExportable),
            (is_expired, Status::BlockedCertificateExpired),
            (self.item.at_target == First::Taken, Status::BlockedTargetNameTaken),
        ];
        reasons.into_iter().filter_map(|(is_so, status)| is_so.then_some(status)).collect()
    }

    fn is_equal(&self, source: &Version, target: &Version) -> bool {
        let same = match (&source.content, &target.content) {
            (Content::Secret(source), Content::Secret(target)) => source == target,
            (Content::Certificate { x5t: source, .. }, Content::Certificate { x5t: target, .. }) => source == target,
            (Content::Key { .. }, Content::Key { .. }) => source.id == target.id,
            (Content::Secret(_) | Content::Certificate { .. } | Content::Key { .. }, _) => false,
        };
        same && attributes_equal(self.item.kind, &source.attributes, &target.attributes)
    }
}

/// Whether a status goes with its code, and only that.
fn is_coded(record: &Record) -> bool {
    let blocking = record.status.blocking_code();
    let is_failure = matches!(record.code, Some(ErrorCode::AttributeCannotBeCleared));
    if record.status == Status::Failed {
        is_failure
    } else if record.status.needs_no_code() {
        record.code.is_none()
    } else {
        record.code.is_some() && blocking.is_none_or(|code| record.code == Some(code))
    }
}
