//! The log: records and runs.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use proto_msgs::{ConfigId, Envelope, Record, RecordId, Run, RunId, Sequence, subject::Subjects};

use crate::{
    error::LogError,
    journal::{Entry, Journal, LiveEntry, Place},
    ports::{Select, Streams},
};

/// The last message of a record whose config is deleted stays this long, for whoever asks what became of it.
const REMOVED_STAYS: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most messages a history shows: an operator reads the newest.
const HISTORY_MAX: usize = 200;

/// The log of this installation.
#[derive(Clone)]
pub struct Log {
    journal: Journal,
    subjects: Subjects,
}

/// How far a reader of a config's events has come. Text outside, so that a client hands it back as it got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventCursor {
    /// Last seen of the config's record stream.
    pub records: Sequence,
    /// Last seen of the run stream.
    pub runs: Sequence,
}

/// A cursor that nobody here made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this event stream: pass the one that came with the last event, or none")]
pub struct InvalidCursor;

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.records, self.runs)
    }
}

impl FromStr for EventCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (records, runs) = text.split_once('-').ok_or(InvalidCursor)?;
        let number = |text: &str| text.parse().map(Sequence).map_err(|_| InvalidCursor);
        Ok(Self { records: number(records)?, runs: number(runs)? })
    }
}

/// Something that happened to a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    Record(Box<Entry<Record>>),
    Run(Box<Entry<Run>>),
}

impl Log {
    pub(crate) fn new(streams: Arc<dyn Streams>, subjects: Subjects) -> Self {
        Self { journal: Journal::new(streams), subjects }
    }

    /// Appends a record's next state, if `expected` is still its newest.
    pub async fn append_record(&self, envelope: &Envelope<Record>, expected: Sequence) -> Result<Sequence, LogError> {
        self.journal.append(self.record_place(&envelope.body.id), envelope, expected).await
    }

    /// Appends a record's last message: what came before goes at once, and the message itself after 30 days.
    pub async fn remove_record(&self, envelope: &Envelope<Record>, expected: Sequence) -> Result<Sequence, LogError> {
        let place = self.record_place(&envelope.body.id).rollup().ttl(REMOVED_STAYS);
        self.journal.append(place, envelope, expected).await
    }

    /// A record's state, from the leader.
    pub async fn record(&self, id: &RecordId) -> Result<Option<Entry<Record>>, LogError> {
        self.journal.head(&self.subjects.record_stream_of(&id.config), &self.subjects.record(id)).await
    }

    /// The state of every record of a config.
    pub async fn records(
        &self,
        config: &ConfigId,
    ) -> Result<BoxStream<'static, Result<Entry<Record>, LogError>>, LogError> {
        let stream = self.subjects.record_stream_of(config);
        self.journal.read(&stream, &self.subjects.records_of(config), Select::NewestPerSubject).await
    }

    /// What happened to a record, oldest first: the newest 200 messages the audit stream has of it.
    pub async fn record_history(&self, id: &RecordId) -> Result<Vec<Entry<Record>>, LogError> {
        let entries = self
            .journal
            .read(&self.subjects.audit_stream(), &self.subjects.record(id), Select::From(Sequence(1)))
            .await?;
        let mut entries: Vec<_> = entries.try_collect().await?;
        entries.drain(..entries.len().saturating_sub(HISTORY_MAX));
        Ok(entries)
    }

    pub async fn follow_records(&self, config: &ConfigId) -> Result<BoxStream<'static, LiveEntry<Record>>, LogError> {
        self.journal.follow(&self.subjects.live_records_of(config)).await
    }

    /// Appends a run's next state. The first of a run is the run lock.
    pub async fn append_run(&self, envelope: &Envelope<Run>, expected: Sequence) -> Result<Sequence, LogError> {
        let place = Place::new(self.subjects.runs_stream(), self.subjects.run(&envelope.body.config));
        self.journal.append(place, envelope, expected).await
    }

    /// The newest run, from the leader.
    pub async fn run(&self, config: &ConfigId) -> Result<Option<Entry<Run>>, LogError> {
        self.journal.head(&self.subjects.runs_stream(), &self.subjects.run(config)).await
    }

    /// The newest state of each run, newest run first.
    pub async fn runs(&self, config: &ConfigId) -> Result<Vec<Entry<Run>>, LogError> {
        let all = self
            .journal
            .read::<Run>(&self.subjects.runs_stream(), &self.subjects.run(config), Select::From(Sequence(1)))
            .await?;
        let newest: BTreeMap<RunId, Entry<Run>> = all
            .try_fold(BTreeMap::new(), |mut newest, entry| async move {
                newest.insert(entry.envelope.body.id, entry);
                Ok(newest)
            })
            .await?;
        let mut runs: Vec<_> = newest.into_values().collect();
        runs.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
        Ok(runs)
    }

    pub async fn follow_run(&self, config: &ConfigId) -> Result<BoxStream<'static, LiveEntry<Run>>, LogError> {
        self.journal.follow(&self.subjects.live_run(config)).await
    }

    /// What happened to a config after `after`, and then what happens. Of each record, at least the newest state is
    /// among it; older ones may have gone already.
    pub async fn events(
        &self,
        config: &ConfigId,
        after: EventCursor,
    ) -> Result<BoxStream<'static, Result<LogEvent, LogError>>, LogError> {
        let next = |sequence: Sequence| Sequence(sequence.0 + 1);
        let stream = self.subjects.record_stream_of(config);
        let records = self.journal.tail(&stream, &self.subjects.records_of(config), next(after.records)).await?;
        let runs =
            self.journal.tail(&self.subjects.runs_stream(), &self.subjects.run(config), next(after.runs)).await?;
        let records = records.map_ok(|entry| LogEvent::Record(Box::new(entry)));
        let runs = runs.map_ok(|entry| LogEvent::Run(Box::new(entry)));
        Ok(futures::stream::select(records, runs).boxed())
    }

    fn record_place(&self, id: &RecordId) -> Place {
        Place::new(self.subjects.record_stream_of(&id.config), self.subjects.record(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_anything_else_refused() {
        let cursor = EventCursor { records: Sequence(7), runs: Sequence(0) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "7", "-", "a-b", "7-", "-1-2", "1-2-3"] {
            assert!(bad.parse::<EventCursor>().is_err(), "{bad}");
        }
    }
}
