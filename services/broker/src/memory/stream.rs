//! One stream: its messages, by sequence and by subject. Knows no clock, no network and no other stream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use proto_msgs::Sequence;
use tokio::sync::{Notify, futures::OwnedNotified};

use super::pattern::{Pattern, Transform};
use crate::{
    error::AppendError,
    ports::{Append, Select, Stored},
};

pub(super) struct MemoryStream {
    pub(super) name: Arc<str>,
    /// Streams whose messages are stored here too.
    pub(super) sources: Vec<String>,
    pub(super) republish: Option<Transform>,
    /// How long a marker of what expired stays; none: nothing is left behind.
    pub(super) marker_stays: Option<Duration>,
    subjects: Vec<Pattern>,
    /// Messages kept of one subject.
    per_subject: Option<usize>,
    allows_rollup: bool,
    allows_ttl: bool,
    messages: BTreeMap<u64, Stored>,
    by_subject: BTreeMap<String, VecDeque<u64>>,
    newest: u64,
    stored: Arc<Notify>,
}

impl MemoryStream {
    /// An empty stream. Panics where the definition has a setting that this twin would not honour.
    pub(super) fn new(config: Config) -> Self {
        let honoured = Config {
            name: config.name.clone(),
            subjects: config.subjects.clone(),
            sources: config.sources.clone(),
            republish: config.republish.clone(),
            max_messages_per_subject: config.max_messages_per_subject,
            allow_rollup: config.allow_rollup,
            allow_message_ttl: config.allow_message_ttl,
            subject_delete_marker_ttl: config.subject_delete_marker_ttl,
            // These make no difference to the ports.
            num_replicas: config.num_replicas,
            duplicate_window: config.duplicate_window,
            allow_direct: config.allow_direct,
            deny_delete: config.deny_delete,
            deny_purge: config.deny_purge,
            // These are how every stream here is.
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            max_messages: -1,
            max_bytes: -1,
            max_consumers: -1,
            ..Config::default()
        };
        assert_eq!(honoured, config, "the twin does not know a setting of this stream");
        Self {
            name: config.name.into(),
            sources: config.sources.unwrap_or_default().into_iter().map(|source| source.name).collect(),
            republish: config.republish.map(|of| Transform::new(&of.source, &of.destination)),
            marker_stays: config.subject_delete_marker_ttl,
            subjects: config.subjects.iter().map(|subject| Pattern::new(subject)).collect(),
            per_subject: usize::try_from(config.max_messages_per_subject).ok(),
            allows_rollup: config.allow_rollup,
            allows_ttl: config.allow_message_ttl,
            messages: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            newest: 0,
            stored: Arc::default(),
        }
    }

    pub(super) fn holds(&self, subject: &str) -> bool {
        self.subjects.iter().any(|pattern| pattern.matches(subject))
    }

    /// Whether the append may be stored, and how long it will stay.
    pub(super) fn admit(&self, append: &Append) -> Result<Option<Duration>, AppendError> {
        if append.ttl.is_some() && !self.allows_ttl {
            return Err(AppendError::Rejected("per-message TTL is disabled".to_owned()));
        }
        if append.rollup && !self.allows_rollup {
            return Err(AppendError::Rejected("rollup not permitted".to_owned()));
        }
        let newest = self.last(&append.subject).map_or(Sequence(0), |stored| stored.sequence);
        let is_beaten = append.expected.is_some_and(|expected| expected != newest);
        if is_beaten || append.expected_end.is_some_and(|end| end != self.end()) {
            return Err(AppendError::Conflict);
        }
        // Whole seconds, as in the header; and where older messages stay below it, as long as a marker would.
        let whole =
            |ttl: Duration| Duration::from_secs(u64::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(0).max(1));
        let shortest = self.marker_stays.filter(|_| self.per_subject != Some(1)).unwrap_or_default();
        Ok(append.ttl.map(|ttl| whole(ttl).max(shortest)))
    }

    /// Stores a message under the next sequence, and lets go what the limits say.
    pub(super) fn store(&mut self, mut message: Stored, rollup: bool) -> Sequence {
        self.newest += 1;
        message.sequence = Sequence(self.newest);
        if !self.by_subject.contains_key(&message.subject) {
            self.by_subject.insert(message.subject.clone(), VecDeque::new());
        }
        let limit = if rollup { Some(1) } else { self.per_subject };
        if let Some(sequences) = self.by_subject.get_mut(&message.subject) {
            sequences.push_back(self.newest);
            while limit.is_some_and(|limit| sequences.len() > limit) {
                if let Some(oldest) = sequences.pop_front() {
                    self.messages.remove(&oldest);
                }
            }
        }
        self.messages.insert(self.newest, message);
        self.stored.notify_waiters();
        Sequence(self.newest)
    }

    /// Takes a message away whose time is over. Given back if it was the last of its subject.
    pub(super) fn expire(&mut self, sequence: Sequence) -> Option<Stored> {
        let gone = self.messages.remove(&sequence.0)?;
        let sequences = self.by_subject.get_mut(&gone.subject)?;
        sequences.retain(|other| *other != sequence.0);
        if !sequences.is_empty() {
            return None;
        }
        self.by_subject.remove(&gone.subject);
        Some(gone)
    }

    pub(super) fn end(&self) -> Sequence {
        Sequence(self.newest)
    }

    /// The newest message that matches.
    pub(super) fn newest(&self, pattern: &Pattern) -> Option<Stored> {
        match pattern {
            Pattern::Exact(subject) => self.last(subject).cloned(),
            Pattern::Under(_) | Pattern::Tokens(_) => self.read(pattern, Select::NewestPerSubject).pop(),
        }
    }

    pub(super) fn last(&self, subject: &str) -> Option<&Stored> {
        let newest = self.by_subject.get(subject)?.back()?;
        self.messages.get(newest)
    }

    /// What matches now, in order.
    pub(super) fn read(&self, filter: &Pattern, select: Select) -> Vec<Stored> {
        let start = filter.start();
        let from_start =
            self.by_subject.range::<str, _>((std::ops::Bound::Included(start), std::ops::Bound::Unbounded));
        let mut sequences = Vec::new();
        for (subject, of_subject) in from_start.take_while(|(subject, _)| subject.starts_with(start)) {
            if filter.matches(subject) {
                match select {
                    Select::NewestPerSubject => sequences.extend(of_subject.back()),
                    Select::From(from) => sequences.extend(of_subject.iter().filter(|sequence| **sequence >= from.0)),
                }
            }
        }
        sequences.sort_unstable();
        sequences.iter().filter_map(|sequence| self.messages.get(sequence)).cloned().collect()
    }

    /// The first message that matches at `from` or after it; else the sequence to go on from.
    pub(super) fn next(&self, filter: &Pattern, from: Sequence) -> Result<Stored, Sequence> {
        let mut rest = self.messages.range(from.0..).map(|(_, stored)| stored);
        rest.find(|stored| filter.matches(&stored.subject)).cloned().ok_or(Sequence(from.0.max(self.newest + 1)))
    }

    /// Tells of the next message that is stored.
    pub(super) fn watch(&self) -> OwnedNotified {
        self.stored.clone().notified_owned()
    }
}
