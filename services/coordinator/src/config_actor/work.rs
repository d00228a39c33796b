//! The records that wait for something.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use broker::Entry;
use domain::{
    lifecycle,
    mutant::{self, Mutant},
    timing::{ATTEMPT_MARGIN, ATTEMPT_MAY_BE_REPEATED_AFTER, OUTCOME_TIMER},
};
use proto_msgs::{CorrelationId, MemberId, Record, RecordKey, RunId, Sequence, Status, Timestamp};
use runtime::BootTime;

use super::is_urgent;
use crate::vault_actor::{Need, Permit};

/// A record that waits, with its state as the log has it.
pub(super) struct Item {
    pub record: Record,
    pub sequence: Sequence,
    /// Under which it was last written.
    pub correlation: CorrelationId,
    pub stage: Stage,
    /// Ahead of bulk work: somebody asked for it.
    pub is_urgent: bool,
    /// Somebody may have written without saying so.
    pub outcome_unknown: bool,
    pub permits: Option<Permits>,
    /// The dispatch it was last handed to.
    pub job: u64,
}

/// The rights under which an attempt calls the two vaults.
pub(super) struct Permits {
    pub source: Permit,
    pub target: Permit,
}

impl Permits {
    /// No call was made.
    pub(super) fn give_back(self) {
        self.source.end(Need::default(), None);
        self.target.end(Need::default(), None);
    }
}

/// What a record waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its turn.
    Queued,
    /// A permit, or a worker's answer.
    Dispatching { job: u64 },
    /// Its intent, from a worker that accepted it.
    Accepted { worker: MemberId, since: BootTime },
    /// Its outcome, after its intent was seen.
    Open { worker: MemberId, since: BootTime },
    /// Its next attempt: at a time that a worker's clock said, and not before Azure has surely finished what is open.
    Retrying { until: Timestamp, not_before: BootTime },
}

impl Stage {
    /// Whether an attempt may be going on.
    pub(super) fn is_under_way(&self) -> bool {
        match self {
            Self::Dispatching { .. } | Self::Accepted { .. } | Self::Open { .. } => true,
            Self::Queued | Self::Retrying { .. } => false,
        }
    }

    /// The worker whose room an attempt takes.
    pub(super) fn worker(&self) -> Option<&MemberId> {
        match self {
            Self::Accepted { worker, .. } | Self::Open { worker, .. } => Some(worker),
            Self::Queued | Self::Dispatching { .. } | Self::Retrying { .. } => None,
        }
    }
}

/// What a timer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Its time has come.
    Retry(RecordKey),
    /// Its worker is silent and never began.
    Move(RecordKey),
    /// Nothing was heard of it for too long: read it from the leader.
    Read(RecordKey),
}

/// All work items of a config.
#[derive(Default)]
pub(super) struct Work {
    items: BTreeMap<RecordKey, Item>,
    /// Keys in stage `Queued`, urgent ones first.
    queue: BTreeSet<(bool, RecordKey)>,
}

impl Work {
    /// What a coordinator before left: attempts under way, and records that wait.
    pub(super) fn of(open: Vec<Entry<Record>>, now: BootTime) -> Self {
        let mut work = Self::default();
        for entry in open {
            work.put(entry.envelope.body.id.key(), Item::of(entry, now));
        }
        work
    }

    pub(super) fn put(&mut self, key: RecordKey, item: Item) {
        self.remove(&key);
        if item.stage == Stage::Queued {
            self.queue.insert((!item.is_urgent, key.clone()));
        }
        self.items.insert(key, item);
    }

    pub(super) fn get(&self, key: &RecordKey) -> Option<&Item> {
        self.items.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &RecordKey) -> Option<&mut Item> {
        self.items.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<Item> {
        let item = self.items.remove(key)?;
        self.queue.remove(&(!item.is_urgent, key.clone()));
        Some(item)
    }

    /// Changes an item's stage.
    pub(super) fn set(&mut self, key: &RecordKey, stage: Stage) {
        if let Some(mut item) = self.remove(key) {
            if let Stage::Dispatching { job } = stage {
                item.job = job;
            }
            item.stage = stage;
            self.put(key.clone(), item);
        }
    }

    /// Whether the record waits for exactly this dispatch.
    pub(super) fn is_job(&self, key: &RecordKey, number: u64) -> bool {
        self.get(key).is_some_and(|item| item.stage == Stage::Dispatching { job: number })
    }

    /// The next record whose turn it is, and whether somebody asked for it.
    pub(super) fn next_queued(&self) -> Option<(RecordKey, bool)> {
        self.queue.first().map(|(is_bulk, key)| (key.clone(), !is_bulk))
    }

    /// Of the queued records nobody asked for, the one that was tried least. Where one decides for all, it shall not be the
    /// one that fails for reasons of its own.
    pub(super) fn least_tried(&self) -> Option<RecordKey> {
        let bulk = self.queue.iter().filter(|(is_bulk, _)| *is_bulk).map(|(_, key)| key);
        bulk.min_by_key(|key| self.get(key).map_or(0, |item| item.record.attempt)).cloned()
    }

    /// Forgets what was decided and not begun, as far as it is chosen; gives how many. A plan finds those again. What waits
    /// for another attempt, or to be compared, no plan decides about: it stays.
    pub(super) fn drop_pending(&mut self, is_chosen: impl Fn(&Record) -> bool) -> usize {
        let is_pending = |item: &Item| {
            item.record.status == Status::Pending && !item.stage.is_under_way() && is_chosen(&item.record)
        };
        let pending = self.items.iter().filter(|(_, item)| is_pending(item));
        let pending: Vec<_> = pending.map(|(key, _)| key.clone()).collect();
        pending.iter().for_each(|key| drop(self.remove(key)));
        pending.len()
    }

    /// Whether an attempt of any record may be under way.
    pub(super) fn has_attempts(&self) -> bool {
        self.items.values().any(|item| item.stage.is_under_way())
    }

    /// Records that were planned in that run, and did not come to an end.
    pub(super) fn due_in(&self, run: RunId) -> impl Iterator<Item = &RecordKey> {
        let is_due = |item: &Item| item.stage.is_under_way() || item.record.status == Status::Pending;
        let own = self.items.iter().filter(move |(_, item)| item.record.run == Some(run) && is_due(item));
        own.map(|(key, _)| key)
    }

    /// Whom the timers name now.
    pub(super) fn due(&self, now: Timestamp, boot: BootTime, is_alive: impl Fn(&MemberId) -> bool) -> Vec<Due> {
        let least = if mutant::is(Mutant::RepeatAtOnce) { Duration::ZERO } else { ATTEMPT_MAY_BE_REPEATED_AFTER };
        let silent_or_late =
            |worker: &MemberId, waited: Duration| waited >= OUTCOME_TIMER || (waited >= least && !is_alive(worker));
        self.items
            .iter()
            .filter_map(|(key, item)| match &item.stage {
                Stage::Retrying { until, not_before } => {
                    (*until <= now && *not_before <= boot).then(|| Due::Retry(key.clone()))
                }
                Stage::Accepted { worker, .. } if !is_alive(worker) => Some(Due::Move(key.clone())),
                Stage::Accepted { since, .. } => (boot - *since >= OUTCOME_TIMER).then(|| Due::Read(key.clone())),
                Stage::Open { worker, since } => silent_or_late(worker, boot - *since).then(|| Due::Read(key.clone())),
                Stage::Queued | Stage::Dispatching { .. } => None,
            })
            .collect()
    }
}

impl Item {
    pub(super) fn new(entry: Entry<Record>, stage: Stage) -> Self {
        let (correlation, record) = (entry.envelope.correlation_id, entry.envelope.body);
        Self {
            is_urgent: is_urgent(&record),
            outcome_unknown: record.unresolved.is_some() || !record.late.is_empty(),
            sequence: entry.sequence,
            correlation,
            record,
            stage,
            permits: None,
            job: 0,
        }
    }

    /// In the stage that its state in the log says.
    pub(super) fn of(entry: Entry<Record>, now: BootTime) -> Self {
        let record = &entry.envelope.body;
        // The clocks of two machines may be apart by more than this, so that it is counted by this one's as well. Whoever
        // notes that it wrote too late may have stopped right before it sent.
        let is_open = record.unresolved.is_some() || !record.late.is_empty();
        let not_before = if is_open { now.plus(ATTEMPT_MARGIN) } else { now };
        let named = record.unresolved.as_ref().map(|unresolved| unresolved.worker.clone());
        let stage = match (record.status, named) {
            (Status::Syncing, Some(worker)) => Stage::Open { worker, since: now },
            (Status::Retrying, _) => Stage::Retrying { until: record.next_attempt.unwrap_or_default(), not_before },
            _ if !record.late.is_empty() => Stage::Retrying { until: Timestamp::default(), not_before },
            (_, _) => Stage::Queued,
        };
        Self::new(entry, stage)
    }

    /// Whether the next attempt reads both ends.
    pub(super) fn is_thorough(&self) -> bool {
        self.record.thorough || lifecycle::is_doubtful(&self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, entry, key, record, unresolved};

    #[test]
    fn what_was_written_too_late_is_compared_once_it_has_surely_arrived() {
        let waits = |status, late| {
            let doubted = Record { thorough: true, late, ..record(1, "a", status) };
            let mut work = Work::default();
            work.put(key("a"), Item::of(entry(doubted, 1), BootTime::default()));
            [Duration::ZERO, ATTEMPT_MARGIN]
                .map(|wait| work.due(at(0), BootTime::default().plus(wait), |_| true).is_empty())
        };
        for status in [Status::Active, Status::Pending] {
            assert_eq!(waits(status, vec![unresolved()]), [true, false]);
        }
    }

    #[test]
    fn a_probe_is_the_record_that_was_tried_least_and_in_their_order_otherwise() {
        let mut work = Work::default();
        for (name, attempt) in [("a", 3), ("b", 0), ("c", 0)] {
            let run = Some(RunId::from_random(1));
            let tried = Record { attempt, run, ..record(1, name, Status::Pending) };
            work.put(key(name), Item::of(entry(tried, 1), BootTime::default()));
        }
        assert_eq!(work.next_queued(), Some((key("a"), false)));
        assert_eq!(work.least_tried(), Some(key("b")));
    }

    #[test]
    fn what_may_have_written_is_not_retried_early_because_two_clocks_are_apart() {
        let due = |unresolved| {
            let failed = Record { next_attempt: Some(at(5)), unresolved, ..record(1, "a", Status::Retrying) };
            let mut work = Work::default();
            work.put(key("a"), Item::of(entry(failed, 1), BootTime::default()));
            // By this clock, the worker's time has come long ago.
            let after = |wait| !work.due(at(60), BootTime::default().plus(wait), |_| true).is_empty();
            [Duration::ZERO, ATTEMPT_MARGIN].map(after)
        };
        assert_eq!(due(Some(unresolved())), [false, true]);
        assert_eq!(due(None), [true, true]);
    }
}
