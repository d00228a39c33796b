//! Rules about attempts, read off the records' histories.

use std::{collections::BTreeMap, time::Duration};

use domain::timing::ATTEMPT_MAY_BE_REPEATED_AFTER;
use proto_msgs::{Record, RecordId, Status, Timestamp, record::OutcomeKind, vault::Side};

use super::{Evidence, Violation, broken, writes};
use crate::{
    history::{Said, short},
    scenario::{Blow, Event},
    story::{BEGINS_AFTER, record_of},
    world::beginning,
};

/// A listing is at most this old when its plan is written.
const LISTING_AGE: Duration = Duration::from_secs(180);

/// Until a worker has taken in an edit that it was told.
const FEED_TAKES: Duration = Duration::from_millis(100);

/// Two messages of a record, one after the other.
fn pairs<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = (&'a RecordId, &'a Said<Record>, &'a Said<Record>)> {
    evidence.history.records.iter().flat_map(|(id, said)| said.windows(2).map(move |pair| (id, &pair[0], &pair[1])))
}

/// The first message of an attempt: not the one with which it goes on after it settled older ones.
pub fn is_first_intent(before: Option<&Said<Record>>, said: &Said<Record>) -> bool {
    let goes_on = before.is_some_and(|before| before.is_syncing() && before.record().attempt == said.record().attempt);
    said.is_intent() && !goes_on
}

pub fn partial_runs(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for said in evidence.history.runs.values().flatten() {
        let run = &said.envelope.body;
        if run.counts.complete && !run.failures.is_empty() {
            violations.push(Violation { rule: "", said: format!("run {}", run.id), record: None });
        }
    }
}

pub fn one_outcome(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (id, before, said) in pairs(evidence) {
        let (was, is) = (before.record(), said.record());
        let mut wrong = |what: &str| violations.push(broken(format!("{what} at #{}", said.sequence), id));
        if is.removed || was.removed {
            continue;
        }
        let is_outcome = !said.is_syncing() && said.envelope.cause.is_some() && is.last_attempt != was.last_attempt;
        if is_outcome && !before.is_syncing() {
            wrong("an outcome without an open intent");
        }
        if is_outcome
            && is.last_attempt.as_ref().is_some_and(|attempt| attempt.outcome == OutcomeKind::Unknown)
            && is.unresolved.is_none()
        {
            wrong("an attempt of unknown outcome is not carried");
        }
        let Some(open) = &was.unresolved else { continue };
        if is.unresolved.as_ref().is_some_and(|still| still.operation == open.operation) {
            continue;
        }
        // Settled: by an attempt's success, by one that goes on after reading, or by its own end that wrote nothing.
        let is_own_end = is_outcome && said.envelope.cause == Some(open.operation);
        let has_succeeded = is_outcome && matches!(is.status, Status::Active | Status::Deleted);
        // What others noted meanwhile is not its attempt's own.
        let is_noted = before.envelope.cause.is_some();
        let goes_on = said.is_intent() && before.is_syncing() && (is_noted || said.by == before.by);
        if !(is_own_end || has_succeeded || goes_on) {
            wrong(&format!("the unresolved attempt {} is dropped", short(&open.operation)));
        }
    }
}

pub fn no_early_repeat(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (id, history) in &evidence.history.records {
        let mut open: Option<&Said<Record>> = None;
        for (number, said) in history.iter().enumerate() {
            let before = number.checked_sub(1).map(|before| &history[before]);
            if !said.is_syncing() {
                open = None;
            } else if is_first_intent(before, said) {
                if let Some(open) = open
                    && said.at.since(open.at) + jumps(evidence, open.at, said.at) < ATTEMPT_MAY_BE_REPEATED_AFTER
                {
                    violations.push(broken(format!("#{} after #{}", said.sequence, open.sequence), id));
                }
                open = Some(said);
            }
        }
    }
}

/// Whether something had happened to it by then.
fn was_struck(evidence: &Evidence<'_>, member: &str, by: Timestamp) -> bool {
    let (world, stalled) = (evidence.world, evidence.world.faults.stalled(member));
    let stalled = stalled.map(|at| beginning().plus(at - world.begun()));
    world.struck.get(member).copied().into_iter().chain(stalled).any(|at| at <= by)
}

/// By how much the clocks of coordinators jumped meanwhile: to them, that much more time went by.
fn jumps(evidence: &Evidence<'_>, from: Timestamp, until: Timestamp) -> Duration {
    let scenario = &evidence.world.scenario;
    let jump = |(at, event): &(Duration, Event)| {
        let Event::Member(member, Blow::Jump(by)) = event else { return None };
        let is_meanwhile = (from..=until).contains(&beginning().plus(BEGINS_AFTER + *at));
        (is_meanwhile && *member < scenario.coordinators).then_some(*by)
    };
    scenario.events.iter().filter_map(jump).sum()
}

pub fn fences(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let mut intents: BTreeMap<_, Vec<&Said<Record>>> = BTreeMap::new();
    for (id, history) in &evidence.history.records {
        let own = history.iter().filter(|said| {
            said.is_intent() && said.record().unresolved.as_ref().is_some_and(|open| open.operation == said.envelope.id)
        });
        own.for_each(|said| intents.entry((id.config, said.by.clone())).or_default().push(said));
    }
    for said in intents.values().flatten().filter(|said| !was_struck(evidence, &said.by, said.envelope.time)) {
        // The configs' feed tells a worker to whom nothing happened at once.
        let edits = evidence.history.configs.get(&said.record().id.config).into_iter().flatten();
        let mut newer = edits.filter(|edit| edit.sequence.0 > said.record().revision.0);
        if let Some(edit) = newer.find(|edit| edit.at.plus(FEED_TAKES) < said.envelope.time) {
            violations.push(broken(format!("#{} after the edit {}", said.sequence, edit.sequence), &said.record().id));
        }
    }
    for of_worker in intents.values_mut() {
        of_worker.sort_by_key(|said| said.envelope.time);
        for (number, said) in of_worker.iter().enumerate() {
            let fence = |said: &Said<Record>| {
                (said.record().unresolved.as_ref().map(|open| open.epoch), said.record().revision)
            };
            let (epoch, revision) = fence(said);
            let older = &of_worker[..number];
            let newer = older.iter().rev().find(|older| {
                let of_older = fence(older);
                older.envelope.time < said.envelope.time && (of_older.0 > epoch || of_older.1 > revision)
            });
            if let Some(newer) = newer {
                violations.push(broken(format!("#{} after #{}", said.sequence, newer.sequence), &said.record().id));
            }
        }
    }
}

/// A conflict that was found stays one until an end of it changes or somebody gives leave: planning it again means that
/// a listing was believed to be complete which was not.
pub fn no_idle_attempt(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let items: BTreeMap<RecordId, usize> = (0..evidence.world.scenario.items.len())
        .map(|item| (record_of(evidence.world, evidence.configs, item), item))
        .collect();
    for (id, before, said) in pairs(evidence) {
        let (was, is) = (before.record(), said.record());
        let is_idle = matches!(was.status, Status::BlockedTargetConflict | Status::BlockedTargetKeyExists)
            && is.status == Status::Pending
            && !is.thorough
            && !was.thorough;
        let Some(item) = items.get(id).filter(|_| is_idle) else { continue };
        let was_touched = evidence.world.touches.iter().any(|touch| {
            touch.item == *item
                && touch.at.plus(LISTING_AGE) >= before.at
                && (touch.at <= said.at || touch.side == Side::Target)
        });
        let mut by_rivals = writes::by_rivals(evidence, *item);
        let was_touched = was_touched || by_rivals.any(|at| at.plus(LISTING_AGE) >= before.at && at <= said.at);
        let has_leave = evidence.history.configs.get(&id.config).into_iter().flatten().any(|config| {
            config.sequence.0 == is.revision.0 && config.envelope.body.spec.behaviour.overwrite_on_conflict
        });
        if !was_touched && !has_leave {
            violations.push(broken(format!("#{} is planned for nothing", said.sequence), id));
        }
    }
}

/// Under a revision that is paused, nothing begins.
pub fn no_attempt_paused(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    for (id, history) in &evidence.history.records {
        for said in history.iter().filter(|said| said.is_intent()) {
            let mut configs = evidence.history.configs.get(&id.config).into_iter().flatten();
            let config = configs.find(|config| config.sequence.0 == said.record().revision.0);
            if config.is_some_and(|config| config.envelope.body.spec.paused) {
                violations.push(broken(format!("#{}", said.sequence), id));
            }
        }
    }
}
