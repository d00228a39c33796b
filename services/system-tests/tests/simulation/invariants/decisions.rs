//! Rules about what operators decide, and about which records there are.

use std::collections::BTreeSet;

use proto_msgs::{ErrorCode, Record, RecordId, Status, record::UnresolvedAttempt};

use vault::memory::Done;

use super::{Evidence, Violation, broken};
use crate::{history::Said, scenario::Ask, story::record_of};

/// Leave stands only where somebody named the very state that it was given for.
pub fn leave_for_what_was_seen(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let given = |id: &RecordId, before: &Said<Record>| {
        let seen = before.record().target_seen.as_ref().and_then(|seen| seen.version.clone());
        let mut leaves = evidence.world.leaves.iter().filter(|(record, _)| record == id);
        leaves.any(|(_, leave)| leave.sequence == before.sequence && leave.target_version == seen)
    };
    for (id, history) in &evidence.history.records {
        for pair in history.windows(2) {
            let [before, said] = pair else { continue };
            let is_new = said.record().leave.is_some() && said.record().leave != before.record().leave;
            if is_new && !given(id, before) {
                violations.push(broken(format!("nobody gave it for #{}: #{}", before.sequence, said.sequence), id));
            }
        }
    }
}

pub fn stays_disabled(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let is_off = |said: &Said<Record>| said.record().code == Some(ErrorCode::OperatorDisabled);
    for (item, id) in items(evidence) {
        let history = evidence.history.records.get(&id).map(Vec::as_slice).unwrap_or_default();
        for pair in history.windows(2) {
            let [before, said] = pair else { continue };
            if !is_off(before) || is_off(said) || said.record().removed {
                continue;
            }
            let was_asked = evidence
                .world
                .decisions
                .iter()
                .any(|(at, ask)| matches!(ask, Ask::Enable(asked, true) if *asked == item) && *at <= said.at);
            if !was_asked {
                violations.push(broken(format!("#{} after #{}", said.sequence, before.sequence), &id));
            }
        }
    }
}

pub fn only_items(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let known: BTreeSet<RecordId> = items(evidence).map(|(_, id)| id).collect();
    for (id, history) in evidence.history.records.iter().filter(|(id, _)| !known.contains(id)) {
        violations.push(broken(format!("it is {}", history[0].record().status), id));
    }
}

/// A write whose attempt is not the record's newest when it ends is carried by whoever went on, or noted; not by who was
/// killed while it was on its way.
pub fn late_is_noted(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let was_heard = |done: &Done| evidence.world.killed.get(&*done.by).is_none_or(|killed| *killed > done.at);
    for write in evidence.writes.iter().filter(|write| was_heard(&write.done)) {
        let Some((place, intent)) = write.intent(evidence) else { continue };
        let Some(open) = intent.record().unresolved.as_ref() else { continue };
        let after = &write.history(evidence)[place + 1..];
        let is = |known: &UnresolvedAttempt| known.operation == open.operation;
        let is_told = |said: &Said<Record>| {
            let record = said.record();
            let is_own = said.envelope.cause == Some(open.operation);
            let is_carried = record.unresolved.as_ref().is_some_and(is);
            let is_after = said.at >= write.done.at && (is_own || is_carried);
            is_after || record.late.iter().any(is)
        };
        // What is carried to the end is still to be compared; nobody compares what leaves with its config.
        let is_left = after.last().is_some_and(|last| last.record().removed || last.record().unresolved.iter().any(is));
        let is_over = after.iter().any(|said| said.record().status != Status::Syncing);
        if is_over && !is_left && !after.iter().any(is_told) {
            violations.push(write.say("nobody was told"));
        }
    }
}

fn items<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = (usize, RecordId)> + 'a {
    let count = evidence.world.scenario.items.len();
    (0..count).map(|item| (item, record_of(evidence.world, evidence.configs, item)))
}
