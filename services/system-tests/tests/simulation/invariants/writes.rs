//! Rules about what was written, read off what arrived at the vaults.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{
    compare::{attributes_equal, clears_a_time},
    timing::{ATTEMPT_MARGIN, CALL_MAY_TAKE, SAME_SECOND_MARGIN, STOPS_WITHIN, WRITE_MAY_BEGIN_WITHIN},
};
use proto_msgs::{
    Config, ConfigId, DriftPolicy, Record, RecordId, Status, Timestamp, VersionId,
    record::{Baseline, LeaveKind, OutcomeKind},
    vault::{Attributes, Side},
};
use vault::{
    Operation,
    memory::{Content, Done, Slot, Version},
};

use super::{Evidence, Violation, attempts::is_first_intent, broken};
use crate::{
    faults::Look,
    history::{History, Said},
    scenario::Item,
    story::record_of,
    world::{Touch, World, beginning, vault_name},
};

/// Between an overwrite's confirmation by the leader and the beginning of its call.
const UNSEEN: Duration = Duration::from_millis(50);

/// Something a worker did to a target, and the record that it did it for.
pub struct Write {
    pub done: Done,
    pub record: RecordId,
    pub item: usize,
    /// The record's newest message when the write left, and its place in the history.
    pub newest: Option<usize>,
}

pub fn all(world: &World, history: &History, configs: &[ConfigId]) -> Vec<Write> {
    let scenario = &world.scenario;
    let mut of_target: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for item in (0..scenario.items.len()).filter(|&item| scenario.items[item].config < configs.len()) {
        let (Item { kind, name, .. }, vault) = (&scenario.items[item], scenario.vault(item, Side::Target));
        of_target.entry((vault_name(vault), *kind, name.as_str())).or_default().push(item);
    }
    let written = world.azure.done().into_iter().map(|done| {
        let said = |item: usize| {
            let said = history.records.get(&record_of(world, configs, item)).map(Vec::as_slice).unwrap_or_default();
            let newest = said.iter().rposition(|said| said.at <= done.sent);
            (said, newest)
        };
        // Of all whose target it is: the one for which the worker last began.
        let begun = |item: &usize| {
            let (said, newest) = said(*item);
            let own = said[..newest.map_or(0, |newest| newest + 1)].iter().rev();
            own.filter(|said| said.is_intent() && *said.by == *done.by).map(|said| said.at).next()
        };
        let of_target = &of_target[&(done.vault.clone(), done.kind, done.item.as_str())];
        let item = of_target.iter().copied().max_by_key(begun).expect("a target item is somebody's");
        let (record, (_, newest)) = (record_of(world, configs, item), said(item));
        Write { done, record, item, newest }
    });
    written.collect()
}

impl Write {
    pub fn history<'a>(&self, evidence: &'a Evidence<'_>) -> &'a [Said<Record>] {
        evidence.history.records.get(&self.record).map(Vec::as_slice).unwrap_or_default()
    }

    /// The intent under which it was written, as it stood then.
    pub fn intent<'a>(&self, evidence: &'a Evidence<'_>) -> Option<(usize, &'a Said<Record>)> {
        let history = self.history(evidence);
        let mut place = self.newest?;
        // Whoever noted something meanwhile built upon the intent.
        while history[place].is_syncing() && !history[place].is_intent() {
            place = place.checked_sub(1)?;
        }
        let said = &history[place];
        (said.is_intent() && *said.by == *self.done.by).then_some((place, said))
    }

    /// When its attempt began.
    pub fn first_intent<'a>(&self, evidence: &'a Evidence<'_>) -> Option<&'a Said<Record>> {
        let history = self.history(evidence);
        let (mut place, _) = self.intent(evidence)?;
        loop {
            let before = place.checked_sub(1).map(|before| &history[before]);
            if is_first_intent(before, &history[place]) {
                return Some(&history[place]);
            }
            place = place.checked_sub(1)?;
        }
    }

    /// When the worker last began a call of that kind about this item, before this write left.
    pub fn call(&self, evidence: &Evidence<'_>, is_write: bool) -> Option<Timestamp> {
        let begun = evidence.world.begun();
        let done = &self.done;
        let of_item = |look: &&Look| {
            look.is_write == is_write && look.by == done.by && look.kind == done.kind && look.item == done.item.key()
        };
        let times = evidence.looks.iter().rev().filter(of_item).filter(|look| look.vault == done.vault);
        times.map(|look| beginning().plus(look.at - begun)).find(|at| *at <= done.sent)
    }

    /// When this write's call began.
    fn begun(&self, evidence: &Evidence<'_>) -> Timestamp {
        self.call(evidence, true).unwrap_or(self.done.sent)
    }

    /// The config as the attempt knew it.
    pub fn config_then<'a>(&self, evidence: &'a Evidence<'_>) -> Option<&'a Config> {
        let (_, intent) = self.intent(evidence)?;
        let mut configs = evidence.history.configs.get(&self.record.config)?.iter();
        let said = configs.find(|said| said.sequence.0 == intent.record().revision.0)?;
        Some(&said.envelope.body)
    }

    fn creates(&self) -> bool {
        matches!(self.done.operation, Operation::WriteSecret | Operation::ImportCertificate)
    }

    pub fn say(&self, what: &str) -> Violation {
        let since = |at: Timestamp| at.since(beginning()).as_millis();
        let Done { by, operation, item, vault, sent, at, .. } = &self.done;
        let said =
            format!("{operation} of {item} in {vault} by {by}, sent {} done {}: {what}", since(*sent), since(*at));
        broken(said, &self.record)
    }
}

pub fn live(slot: Option<&Slot>) -> Option<&Version> {
    match slot? {
        Slot::Live { item, .. } => item.versions.last(),
        Slot::Deleted { .. } => None,
    }
}

pub fn under_intent(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for write in evidence.writes.iter().filter(|write| write.intent(evidence).is_none()) {
        violations.push(write.say("another message was the newest"));
    }
}

pub fn within_gate(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for write in &evidence.writes {
        let Some(first) = write.first_intent(evidence) else { continue };
        let age = write.done.sent.since(first.at);
        if age > WRITE_MAY_BEGIN_WITHIN {
            violations.push(write.say(&format!("{} ms after its intent", age.as_millis())));
        }
    }
}

pub fn stopped(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for write in &evidence.writes {
        let sent = write.done.sent;
        for window in evidence.world.windows.iter().filter(|window| *window.member == *write.done.by) {
            let from = if window.is_known { window.from } else { window.from.plus(STOPS_WITHIN) };
            if sent > from && window.until.is_none_or(|until| sent < until) {
                violations.push(write.say("NATS could not be reached"));
            }
        }
        let Some((_, intent)) = write.intent(evidence) else { continue };
        let edits = evidence.history.configs.get(&write.record.config).into_iter().flatten();
        let newer = edits
            .filter(|edit| edit.sequence.0 > intent.record().revision.0)
            .find(|edit| edit.at.plus(STOPS_WITHIN) < sent);
        if let Some(edit) = newer {
            violations.push(write.say(&format!("the config was edited at revision {}", edit.sequence)));
        }
    }
}

/// Writes over a version that no worker had left like that for that record, with that version and the intent.
fn over_foreign<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = (&'a Write, &'a Version, &'a Said<Record>)> {
    let mut own: Vec<(usize, &VersionId, &Attributes)> = Vec::new();
    evidence.writes.iter().filter_map(move |write| {
        let state = |version: &'a Version| (write.item, &version.id, &version.attributes);
        let foreign = live(write.done.before.as_ref()).filter(|before| !own.contains(&state(before)));
        own.extend(live(write.done.after.as_ref()).map(state));
        let (_, intent) = write.intent(evidence)?;
        Some((write, foreign?, intent))
    })
}

/// Whether a target is as a record's last success left it, or as drift was accepted.
pub fn is_as_left(left: &Baseline, target: &Version) -> bool {
    match &left.target.version {
        Some(version) => *version == target.id && left.target.attributes == target.attributes,
        // A listing names no version.
        None => left.target.updated == Some(target.updated),
    }
}

pub fn no_overwrite(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (write, before, intent) in over_foreign(evidence) {
        if intent.record().baseline.is_some() || write.done.operation == Operation::RestoreKey {
            continue;
        }
        let configs = || evidence.history.configs.get(&write.record.config).into_iter().flatten();
        let has_leave = |revision: u64| {
            configs().any(|said| said.sequence.0 == revision && said.envelope.body.spec.behaviour.overwrite_on_conflict)
        };
        // Read from the leader right before: an edit between that and the write is not to be seen.
        let revision = intent.record().revision.0;
        let begun = write.begun(evidence);
        let newest = configs().rev().find(|said| said.at.plus(UNSEEN) <= begun && said.sequence.0 >= revision);
        let is_allowed = has_leave(revision) && newest.is_none_or(|newest| has_leave(newest.sequence.0));
        let is_acknowledged = intent.record().leave.as_ref().is_some_and(|leave| {
            leave.kind == LeaveKind::Acknowledge && leave.target_version.as_ref() == Some(&before.id)
        });
        if !is_allowed && !is_acknowledged && !came_after_look(evidence, write) {
            violations.push(write.say("nobody allowed to overwrite what was there"));
        }
    }
}

/// Whether what was there came after the worker last looked: Azure has no compare-and-set.
fn came_after_look(evidence: &Evidence<'_>, write: &Write) -> bool {
    let Some(looked) = write.call(evidence, false) else { return false };
    let is_between = |at: Timestamp| at >= looked && at <= write.done.at;
    let mut touches = evidence.world.touches.iter();
    let by_owner = |touch: &Touch| touch.item == write.item && touch.side == Side::Target && is_between(touch.at);
    touches.any(by_owner) || by_rivals(evidence, write.item).any(is_between)
}

/// When other configs wrote to an item's target: one of them may have owned it and be gone, or its write came late.
pub fn by_rivals<'a>(evidence: &'a Evidence<'_>, item: usize) -> impl Iterator<Item = Timestamp> + 'a {
    let rivals: BTreeSet<usize> = evidence.world.scenario.rivals(item).collect();
    evidence.writes.iter().filter(move |write| rivals.contains(&write.item)).map(|write| write.done.at)
}

/// A target item belongs to the config that wrote or adopted it, for as long as that is there.
pub fn one_owner(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for write in &evidence.writes {
        let Some(first) = write.first_intent(evidence) else { continue };
        if evidence.world.scenario.rivals(write.item).any(|rival| owns(evidence, rival, first.at)) {
            violations.push(write.say("it is another config's"));
        }
    }
    let items = 0..evidence.world.scenario.items.len();
    let end = evidence.world.now();
    for item in items.filter(|&item| owns(evidence, item, end)) {
        if evidence.world.scenario.rivals(item).any(|rival| owns(evidence, rival, end)) {
            let record = record_of(evidence.world, evidence.configs, item);
            violations.push(broken("two configs say that it is theirs".to_owned(), &record));
        }
    }
}

/// Whether an item's config had written or adopted it by then, and was not deleted.
fn owns(evidence: &Evidence<'_>, item: usize, by: Timestamp) -> bool {
    let id = record_of(evidence.world, evidence.configs, item);
    let mut edits = evidence.history.configs.get(&id.config).into_iter().flatten();
    let is_deleted = edits.any(|edit| edit.envelope.body.deleted && edit.at <= by);
    let history = evidence.history.records.get(&id).map(Vec::as_slice).unwrap_or_default();
    let newest = history.iter().rev().find(|said| said.at <= by).map(Said::record);
    !is_deleted && newest.is_some_and(|record| record.baseline.is_some() && !record.removed)
}

/// Drift that somebody accepted is written over by what changes at the source afterwards, or by whoever corrects what
/// drifts there anew.
pub fn accepted_stays(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for write in evidence.writes.iter().filter(|write| write.done.operation != Operation::Delete) {
        let (Some(first), Some(before)) = (write.first_intent(evidence), live(write.done.before.as_ref())) else {
            continue;
        };
        if is_corrected(first.record()) {
            continue;
        }
        let history = write.history(evidence);
        let accepted = history.windows(2).rev().find(|pair| {
            let (was, is) = (pair[0].record(), pair[1].record());
            let is_decided = pair[1].envelope.cause.is_none() && was.target_seen.is_some();
            pair[1].at <= first.at && is_decided && (was.status, is.status) == (Status::Drifted, Status::Active)
        });
        let Some([seen, accepted]) = accepted else { continue };
        let is_left = accepted.record().baseline.as_ref().is_some_and(|left| is_as_left(left, before));
        if is_left && !has_changed_since(evidence, write, seen.record()) && !came_after_look(evidence, write) {
            violations.push(write.say("somebody had accepted what was there"));
        }
    }
}

fn is_corrected(intent: &Record) -> bool {
    intent.leave.as_ref().is_some_and(|leave| leave.kind == LeaveKind::Correct)
}

/// Whether the source changed after it was as the record saw it; of two changes in one second, Azure tells one.
fn has_changed_since(evidence: &Evidence<'_>, write: &Write, seen: &Record) -> bool {
    let Some(updated) = seen.source_seen.as_ref().and_then(|source| source.updated) else { return true };
    let touches = evidence.world.touches.iter().filter(|touch| {
        let is_of_source = touch.item == write.item && touch.side == Side::Source;
        is_of_source && touch.at.unix_seconds() >= updated.unix_seconds() && touch.at <= write.done.at
    });
    let later = touches.clone().any(|touch| touch.at.unix_seconds() > updated.unix_seconds());
    later || touches.count() > 1
}

/// What drifted is left to the config's policy, and to whoever corrects it.
pub fn no_drift_overwritten(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (write, before, intent) in over_foreign(evidence) {
        let is_write = write.done.operation != Operation::Delete;
        let Some(left) = intent.record().baseline.as_ref().filter(|_| is_write) else { continue };
        let is_allowed = match write.config_then(evidence).map(|config| config.spec.behaviour.drift_policy) {
            Some(DriftPolicy::Correct) | None => true,
            Some(DriftPolicy::Report) => evidence.world.touches.iter().any(|touch| {
                touch.item == write.item
                    && touch.side == Side::Source
                    && touch.at.plus(SAME_SECOND_MARGIN) >= left.read_at
            }),
            Some(DriftPolicy::Block) => false,
        };
        if !(is_as_left(left, before)
            || is_corrected(intent.record())
            || is_allowed
            || came_after_look(evidence, write))
        {
            violations.push(write.say("the target had drifted, and its policy leaves that to somebody"));
        }
    }
}

pub fn no_equal_write(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let mut own: Vec<(usize, &VersionId, &Attributes)> = Vec::new();
    for write in &evidence.writes {
        let (before, after) = (live(write.done.before.as_ref()), live(write.done.after.as_ref()));
        // What somebody had a hand in before it was known to be Keyferry's is theirs.
        let is_known = write.intent(evidence).is_some_and(|(_, intent)| intent.record().baseline.is_some());
        let is_own = before.is_some_and(|before| {
            own.iter().any(|(item, id, attributes)| {
                let is_version = *item == write.item && **id == before.id;
                is_version && (is_known || **attributes == before.attributes)
            })
        });
        let made = after.filter(|_| write.creates());
        own.extend(made.map(|version| (write.item, &version.id, &version.attributes)));
        let (Some(before), Some(after), true, true) = (before, after, is_own, write.creates()) else { continue };
        // What is switched off cannot be read, so that only the version tells what is in it; and of two that were made in
        // one second, Azure does not tell which one is the newest.
        let left = write.intent(evidence).and_then(|(_, intent)| intent.record().baseline.as_ref());
        let is_known = left.is_some_and(|left| left.target.version.as_ref() == Some(&before.id));
        let is_readable = before.attributes.enabled || (is_known && !has_twin(write.done.before.as_ref(), before));
        // A stop between the check and the send cannot be fenced.
        let is_late = write.done.at.since(write.done.sent) > CALL_MAY_TAKE + ATTEMPT_MARGIN;
        if is_late || !is_readable || is_overtaken(evidence, write) {
            continue;
        }
        if same_content(before, after) && !clears_a_time(write.done.kind, &before.attributes, &after.attributes) {
            let what = if attributes_equal(write.done.kind, &before.attributes, &after.attributes) {
                "a version equal to the one before"
            } else {
                "a version where attributes alone had changed"
            };
            violations.push(write.say(what));
        }
    }
}

/// Whether a write that came too late arrived after the worker last looked.
fn is_overtaken(evidence: &Evidence<'_>, write: &Write) -> bool {
    let looked = write.call(evidence, false).unwrap_or(write.done.sent);
    let mut others = evidence.writes.iter().filter(|other| other.item == write.item && other.done.by != write.done.by);
    others.any(|other| (looked..write.done.at).contains(&other.done.at))
}

/// Whether another version was made in the same second.
fn has_twin(slot: Option<&Slot>, version: &Version) -> bool {
    let versions = match slot {
        Some(Slot::Live { item, .. }) => item.versions.as_slice(),
        Some(Slot::Deleted { .. }) | None => &[],
    };
    let is_twin = |other: &&Version| other.created.unix_seconds() == version.created.unix_seconds();
    versions.iter().filter(is_twin).count() > 1
}

pub fn same_content(one: &Version, other: &Version) -> bool {
    match (&one.content, &other.content) {
        (Content::Secret(one), Content::Secret(other)) => one == other,
        (Content::Certificate { x5t: one, .. }, Content::Certificate { x5t: other, .. }) => one == other,
        (Content::Secret(_) | Content::Certificate { .. } | Content::Key { .. }, _) => false,
    }
}

pub fn bounded(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let mut creates: BTreeMap<usize, usize> = BTreeMap::new();
    evidence
        .writes
        .iter()
        .filter(|write| write.creates())
        .for_each(|write| *creates.entry(write.item).or_default() += 1);
    for (item, count) in creates {
        let record = record_of(evidence.world, evidence.configs, item);
        let changes = 1 + evidence.world.touches.iter().filter(|touch| touch.item == item).count();
        let history = evidence.history.records.get(&record).map(Vec::as_slice).unwrap_or_default();
        let is_unknown = |pair: &&[Said<Record>]| {
            let [before, said] = pair else { return false };
            let is_abandoned = before.is_syncing() && is_first_intent(Some(before), said);
            let attempt = said.record().last_attempt.as_ref().filter(|_| !said.is_syncing());
            is_abandoned || attempt.is_some_and(|attempt| attempt.outcome == OutcomeKind::Unknown)
        };
        let unknown = history.windows(2).filter(is_unknown).count();
        if count > changes + unknown {
            let said = format!("{count} versions for {changes} changes and {unknown} attempts of unknown outcome");
            violations.push(broken(said, &record));
        }
    }
}
