//! Rules about deletes at the target.

use std::{collections::BTreeMap, time::Duration};

use domain::timing::MISS_GAP_MIN;
use proto_msgs::{Record, RunId, Status, Timestamp, config::DeleteTrigger, record::Arrival, vault::Side};
use vault::Operation;

use super::{
    Evidence, Violation, broken,
    writes::{Write, live},
};
use crate::{
    history::Said,
    scenario::{Change, First},
};

/// Two coordinators' clocks may have jumped apart by this much.
const CLOCKS_APART: Duration = Duration::from_secs(90);
/// Deletes in a day that are never too many, those that always are, and which share of the records may go.
const ALWAYS_ALLOWED: usize = 3;
const NEVER_MORE: usize = 10;
const SHARE: usize = 4;

/// Where an item of the source was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Live,
    Deleted,
    Gone,
}

fn deletes<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = &'a Write> {
    evidence.writes.iter().filter(|write| write.done.operation == Operation::Delete)
}

/// Only what Keyferry wrote and nobody changed, and only where the config says so.
pub fn only_ours(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (number, write) in evidence.writes.iter().enumerate() {
        let Some((_, intent)) = write.intent(evidence).filter(|_| write.done.operation == Operation::Delete) else {
            continue;
        };
        let before = live(write.done.before.as_ref());
        let is_own = before.is_some_and(|before| {
            let older = evidence.writes[..number].iter().filter(|older| older.item == write.item);
            older.filter_map(|older| live(older.done.after.as_ref())).any(|version| version.id == before.id)
        });
        let left = intent.record().baseline.as_ref();
        let is_written = left.is_some_and(|left| left.how == Arrival::Written);
        let is_wanted = write.config_then(evidence).is_some_and(|config| config.spec.behaviour.propagate_deletes);
        let came_later = evidence.world.touches.iter().any(|touch| {
            let looked = write.call(evidence, false).unwrap_or_default();
            touch.item == write.item && touch.side == Side::Target && touch.at >= looked && touch.at <= write.done.at
        });
        if !is_wanted || intent.record().delete.is_none() {
            violations.push(write.say("the config does not propagate deletes, or this one was not planned"));
        } else if !(came_later || is_own && is_written) {
            violations.push(write.say("what was deleted is not what Keyferry wrote"));
        }
    }
}

/// Only what is gone, by two complete listings, and by a read right before.
pub fn only_gone(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for write in deletes(evidence) {
        let (Some((place, intent)), Some(first)) = (write.intent(evidence), write.first_intent(evidence)) else {
            continue;
        };
        let history = &write.history(evidence)[..place];
        let Some(trigger) = intent.record().delete else { continue };
        let may = |place: Where| match trigger {
            DeleteTrigger::Purged => place == Where::Gone,
            DeleteTrigger::Deleted => place != Where::Live,
        };
        if !source(evidence, write, first.at).into_iter().any(may) {
            violations.push(write.say("its source was there"));
        }
        let planned = history.iter().find(|said| said.record().delete.is_some() && !said.is_syncing());
        let Some(planned) = planned else { continue };
        if !has_two_misses(history, planned) {
            violations.push(write.say("it was not missing twice"));
        }
        if planned.record().run.is_some_and(|run| is_partial(evidence, write, run, planned.at)) {
            violations.push(write.say("the listing that did not show it had broken off"));
        }
    }
}

fn has_two_misses(history: &[Said<Record>], planned: &Said<Record>) -> bool {
    let misses = history.iter().filter_map(|said| said.record().miss.as_ref());
    let gap = MISS_GAP_MIN.saturating_sub(CLOCKS_APART);
    misses.into_iter().any(|miss| Some(miss.run) != planned.record().run && miss.at.plus(gap) <= planned.envelope.time)
}

/// Whether a run's listing had broken off by then; an owner that takes it over lists anew.
fn is_partial(evidence: &Evidence<'_>, write: &Write, run: RunId, by: Timestamp) -> bool {
    let runs = evidence.history.runs.get(&write.record.config).into_iter().flatten();
    let mut until = runs.filter(|said| said.envelope.body.id == run && said.at <= by);
    let mut failures = until.next_back().into_iter().flat_map(|said| &said.envelope.body.failures);
    failures.any(|failure| failure.side == Side::Source && failure.kind == write.record.kind)
}

/// Where the source item was, from a time on until the write.
fn source(evidence: &Evidence<'_>, write: &Write, from: Timestamp) -> Vec<Where> {
    let mut now = match evidence.world.scenario.items[write.item].at_source {
        First::Absent => Where::Gone,
        First::Deleted => Where::Deleted,
        First::Live | First::Disabled | First::Pending | First::NotExportable | First::Expired => Where::Live,
        First::Equal | First::Taken => Where::Live,
    };
    let mut seen = Vec::new();
    let touches = evidence.world.touches.iter();
    for touch in touches.filter(|touch| touch.item == write.item && touch.side == Side::Source) {
        if touch.at > write.done.sent {
            break;
        }
        if touch.at >= from {
            seen.push(now);
        }
        now = match touch.change {
            Change::Delete => Where::Deleted,
            Change::Purge => Where::Gone,
            Change::Set
            | Change::Retag
            | Change::Expire
            | Change::Disable
            | Change::Enable
            | Change::Recover
            | Change::Copy => Where::Live,
        };
    }
    seen.push(now);
    seen
}

/// What somebody released is not counted: how many go then is their business.
pub fn few(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let mut counts: BTreeMap<_, Vec<&Write>> = BTreeMap::new();
    let was_released = |write: &Write| evidence.world.releases.iter().any(|(record, _)| *record == write.record);
    let by_itself = deletes(evidence).filter(|write| !was_released(write));
    by_itself.for_each(|write| counts.entry(write.record.config).or_default().push(write));
    for (config, deleted) in counts {
        let records = evidence.history.records.keys().filter(|record| record.config == config).count();
        let most = ALWAYS_ALLOWED.max(NEVER_MORE.min(records.div_ceil(SHARE)));
        if deleted.len() > most {
            let names: Vec<_> =
                deleted.iter().map(|write| format!("{} at {}", write.record.name, write.done.at)).collect();
            let what = format!("{} deletes of {records} records: {}", deleted.len(), names.join(", "));
            violations.push(broken(what, &deleted[0].record));
        }
    }
}

/// A delete that goes on without a run goes on by a release, of exactly what was listed.
pub fn released(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (id, history) in &evidence.history.records {
        for pair in history.windows(2) {
            let [before, said] = pair else { continue };
            let is = said.record();
            let goes_on = before.record().status == Status::BlockedDeleteHeld
                && is.status == Status::Pending
                && is.delete.is_some()
                && is.run.is_none();
            if goes_on && !evidence.world.releases.contains(&(id.clone(), before.sequence)) {
                violations.push(broken(format!("#{} after #{}", said.sequence, before.sequence), id));
            }
        }
    }
}
