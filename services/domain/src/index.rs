//! What a coordinator keeps of each record in memory: about 200 bytes, enough to plan, count and answer questions.
//!
//! A cache of the log that may be thrown away. Whoever writes a record's next state reads the whole record first.

use std::collections::BTreeMap;

use proto_msgs::{
    ErrorCode, ItemName, Record, RecordKey, RunId, Sequence, Status, Timestamp, VersionId,
    config::DeleteTrigger,
    record::{Arrival, Baseline, LeaveKind, Miss},
    vault::CallCounts,
};

use crate::compare::print_of;

/// One record, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub sequence: Sequence,
    pub status: Status,
    pub code: Option<ErrorCode>,
    pub attempt: u32,
    pub next_attempt: Option<Timestamp>,
    /// An intent without outcome is carried: the next attempt reads the target first.
    pub is_unresolved: bool,
    /// An attempt came too late, or somebody asked for it: the next one compares both ends.
    pub is_doubtful: bool,
    pub leave: Option<LeaveKind>,
    pub miss: Option<Miss>,
    /// An attempt to delete may have done so, whatever was decided since.
    pub may_have_deleted: bool,
    /// The delete that is due, held or under way.
    pub delete: Option<DeleteTrigger>,
    pub deleted_at: Option<Timestamp>,
    pub baseline: Option<Prints>,
    /// Print of the source when the status was decided.
    pub source_seen: Option<u64>,
    /// Print of the target when the status was decided, and its version where one was read.
    pub target_seen: Option<u64>,
    pub target_version: Option<VersionId>,
    /// The run in which its state was written.
    pub run: Option<RunId>,
    /// When the last attempt that came to an end began.
    pub attempted: Option<Timestamp>,
    /// What that attempt called.
    pub calls: CallCounts,
}

/// A baseline, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prints {
    pub source: u64,
    pub target: u64,
    pub source_updated: Option<Timestamp>,
    pub read_at: Timestamp,
    pub target_updated: Option<Timestamp>,
    pub synced_at: Timestamp,
    pub how: Arrival,
}

impl Prints {
    pub(crate) fn of(baseline: &Baseline) -> Self {
        Self {
            source: print_of(&baseline.source),
            target: print_of(&baseline.target),
            source_updated: baseline.source.updated,
            read_at: baseline.read_at,
            target_updated: baseline.target.updated,
            synced_at: baseline.synced_at,
            how: baseline.how,
        }
    }
}

impl IndexEntry {
    pub fn of(record: &Record, sequence: Sequence) -> Self {
        Self {
            sequence,
            status: record.status,
            code: record.code,
            attempt: record.attempt,
            next_attempt: record.next_attempt,
            is_unresolved: record.unresolved.is_some(),
            is_doubtful: record.thorough || !record.late.is_empty(),
            leave: record.leave.as_ref().map(|leave| leave.kind),
            miss: record.miss,
            may_have_deleted: record.unresolved.iter().chain(&record.late).any(|attempt| attempt.deletes),
            delete: record.delete,
            deleted_at: record.deleted_at,
            baseline: record.baseline.as_ref().map(Prints::of),
            source_seen: record.source_seen.as_ref().map(print_of),
            target_seen: record.target_seen.as_ref().map(print_of),
            target_version: record.target_seen.as_ref().and_then(|seen| seen.version.clone()),
            run: record.run,
            attempted: record.last_attempt.as_ref().map(|report| report.started),
            calls: record.last_attempt.as_ref().map(|report| report.calls).unwrap_or_default(),
        }
    }

    /// Whether an attempt of that run, which began at `started`, came to an end here.
    pub fn was_attempted_in(&self, run: RunId, started: Timestamp) -> bool {
        let is_open = matches!(self.status, Status::Pending | Status::Syncing);
        self.run == Some(run) && !is_open && self.attempted.is_some_and(|attempted| attempted >= started)
    }
}

/// All records of a config, in order of type and name, counted by status and code.
#[derive(Debug, Clone, Default)]
pub struct Index {
    entries: BTreeMap<RecordKey, (ItemName, IndexEntry)>,
    by_status: BTreeMap<Status, u64>,
    by_code: BTreeMap<ErrorCode, u64>,
}

impl Index {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a record's state in. False: it is no newer than what is known, and was ignored.
    pub fn upsert(&mut self, record: &Record, sequence: Sequence) -> bool {
        let key = record.id.key();
        if self.get(&key).is_some_and(|known| known.sequence >= sequence) {
            return false;
        }
        self.remove(&key);
        if !record.removed {
            *self.by_status.entry(record.status).or_default() += 1;
            if let Some(code) = record.code {
                *self.by_code.entry(code).or_default() += 1;
            }
            self.entries.insert(key, (record.id.name.clone(), IndexEntry::of(record, sequence)));
        }
        true
    }

    pub fn remove(&mut self, key: &RecordKey) {
        if let Some((_, entry)) = self.entries.remove(key) {
            decrement(&mut self.by_status, entry.status);
            if let Some(code) = entry.code {
                decrement(&mut self.by_code, code);
            }
        }
    }

    pub fn get(&self, key: &RecordKey) -> Option<&IndexEntry> {
        self.entries.get(key).map(|(_, entry)| entry)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&RecordKey, &IndexEntry)> {
        self.entries.iter().map(|(key, (_, entry))| (key, entry))
    }

    /// Entries behind `key`, in order; all of them if there is none.
    pub fn after<'a>(&'a self, key: Option<&'a RecordKey>) -> impl Iterator<Item = (&'a RecordKey, &'a IndexEntry)> {
        use std::ops::Bound;
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range::<RecordKey, _>((from, Bound::Unbounded)).map(|(key, (_, entry))| (key, entry))
    }

    pub fn by_status(&self) -> &BTreeMap<Status, u64> {
        &self.by_status
    }

    pub fn by_code(&self) -> &BTreeMap<ErrorCode, u64> {
        &self.by_code
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn decrement<K: Ord + Copy>(counts: &mut BTreeMap<K, u64>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{record, report};
    use proto_msgs::{ItemType, record::OutcomeKind};

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let mut index = Index::new();
        assert!(index.upsert(&record(ItemType::Secrets, "a", Status::Active), Sequence(7)));
        assert!(!index.upsert(&record(ItemType::Secrets, "A", Status::Pending), Sequence(7)));
        assert!(!index.upsert(&record(ItemType::Secrets, "A", Status::Pending), Sequence(6)));
        assert_eq!(index.by_status(), &BTreeMap::from([(Status::Active, 1)]));
    }

    #[test]
    fn an_attempt_belongs_to_the_run_in_which_it_ended() {
        let (run, other) = (RunId::from_random(1), RunId::from_random(2));
        let mut ended = record(ItemType::Secrets, "a", Status::Active);
        (ended.run, ended.last_attempt) = (Some(run), Some(report(OutcomeKind::Written)));
        let begun = report(OutcomeKind::Written).started;
        let entry = |record: &Record| IndexEntry::of(record, Sequence(1));
        assert!(entry(&ended).was_attempted_in(run, begun));
        assert!(!entry(&ended).was_attempted_in(other, begun));
        // Its last attempt is older than the run: the plan alone wrote its state.
        assert!(!entry(&ended).was_attempted_in(run, begun.plus(std::time::Duration::from_secs(1))));
        ended.status = Status::Pending;
        assert!(!entry(&ended).was_attempted_in(run, begun));
    }

    #[test]
    fn counts_follow_every_change() {
        let mut index = Index::new();
        let mut failed = record(ItemType::Keys, "k", Status::Failed);
        failed.code = Some(ErrorCode::Unknown);
        index.upsert(&failed, Sequence(1));
        assert_eq!(index.by_code(), &BTreeMap::from([(ErrorCode::Unknown, 1)]));
        index.upsert(&record(ItemType::Keys, "k", Status::Active), Sequence(2));
        assert!(index.by_code().is_empty());
        let removed = Record { removed: true, ..record(ItemType::Keys, "k", Status::Active) };
        index.upsert(&removed, Sequence(3));
        assert!(index.is_empty() && index.by_status().is_empty());
    }
}
