//! The records that wait for something.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::timing::{ATTEMPT_MAY_BE_REPEATED_AFTER, OUTCOME_TIMER};
use proto_msgs::{CorrelationId, MemberId, Record, RecordKey, Sequence, Status, Timestamp, vault::ItemMeta};
use runtime::BootTime;

use crate::vault_actor::{Need, Permit};

/// A record that waits, with its state as the log has it.
pub(super) struct Item {
    pub record: Record,
    pub sequence: Sequence,
    pub stage: Stage,
    /// The source item as the plan saw it.
    pub listed: Option<ItemMeta>,
    /// Ahead of bulk work: somebody asked for it.
    pub is_urgent: bool,
    pub is_thorough: bool,
    /// Somebody may have written without saying so.
    pub outcome_unknown: bool,
    pub permits: Option<Permits>,
    /// The dispatch it was last handed to.
    pub job: u64,
    /// Of the request that asked for it; none: the run's.
    pub correlation: Option<CorrelationId>,
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
    /// Its next attempt.
    Retrying { until: Timestamp },
    /// The leader's word on what became of it.
    Reading,
}

impl Stage {
    /// Whether an attempt may be going on.
    pub(super) fn is_under_way(&self) -> bool {
        match self {
            Self::Dispatching { .. } | Self::Accepted { .. } | Self::Open { .. } | Self::Reading => true,
            Self::Queued | Self::Retrying { .. } => false,
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
    pub(super) fn of(open: Vec<(Record, Sequence)>, now: BootTime) -> Self {
        let mut work = Self::default();
        for (record, sequence) in open {
            let named = record.unresolved.as_ref().map(|unresolved| unresolved.worker.clone());
            let stage = match (record.status, named) {
                (Status::Pending, _) => Stage::Queued,
                (Status::Syncing, Some(worker)) => Stage::Open { worker, since: now },
                // Anything else that is not settled is tried again at its time.
                (_, _) => Stage::Retrying { until: record.next_attempt.unwrap_or_default() },
            };
            work.put(record.id.key(), Item::new(record, sequence, stage));
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

    /// Adds an item, unless the record is being attempted.
    pub(super) fn put_unless_under_way(&mut self, key: RecordKey, item: Item) {
        if self.get(&key).is_none_or(|known| !known.stage.is_under_way()) {
            self.put(key, item);
        }
    }

    /// Whether the record waits for exactly this dispatch.
    pub(super) fn is_job(&self, key: &RecordKey, number: u64) -> bool {
        self.get(key).is_some_and(|item| item.stage == Stage::Dispatching { job: number })
    }

    pub(super) fn give_permits(&mut self, key: &RecordKey, permits: Permits) {
        if let Some(item) = self.items.get_mut(key) {
            item.permits = Some(permits);
        }
    }

    /// The next record whose turn it is.
    pub(super) fn next_queued(&self) -> Option<RecordKey> {
        self.queue.first().map(|(_, key)| key.clone())
    }

    /// Forgets what was decided and not begun.
    pub(super) fn drop_queued(&mut self) {
        let queued: Vec<_> = std::mem::take(&mut self.queue).into_iter().map(|(_, key)| key).collect();
        for key in queued {
            self.items.remove(&key);
        }
    }

    /// Whether an attempt of any record may be under way.
    pub(super) fn has_attempts(&self) -> bool {
        self.items.values().any(|item| item.stage.is_under_way())
    }

    /// Whom the timers name now.
    pub(super) fn due(&self, now: Timestamp, boot: BootTime, is_alive: impl Fn(&MemberId) -> bool) -> Vec<Due> {
        let silent_or_late = |worker: &MemberId, waited: Duration| {
            waited >= OUTCOME_TIMER || (waited >= ATTEMPT_MAY_BE_REPEATED_AFTER && !is_alive(worker))
        };
        self.items
            .iter()
            .filter_map(|(key, item)| match &item.stage {
                Stage::Retrying { until } => (*until <= now).then(|| Due::Retry(key.clone())),
                Stage::Accepted { worker, .. } if !is_alive(worker) => Some(Due::Move(key.clone())),
                Stage::Accepted { since, .. } => (boot - *since >= OUTCOME_TIMER).then(|| Due::Read(key.clone())),
                Stage::Open { worker, since } => silent_or_late(worker, boot - *since).then(|| Due::Read(key.clone())),
                Stage::Queued | Stage::Dispatching { .. } | Stage::Reading => None,
            })
            .collect()
    }
}

impl Item {
    pub(super) fn new(record: Record, sequence: Sequence, stage: Stage) -> Self {
        let outcome_unknown = record.unresolved.is_some();
        Self {
            record,
            sequence,
            stage,
            listed: None,
            is_urgent: false,
            is_thorough: false,
            outcome_unknown,
            permits: None,
            job: 0,
            correlation: None,
        }
    }

    /// To be looked at on both ends, ahead of bulk work.
    pub(super) fn recheck(record: Record, sequence: Sequence) -> Self {
        Self { is_urgent: true, is_thorough: true, ..Self::new(record, sequence, Stage::Queued) }
    }
}
