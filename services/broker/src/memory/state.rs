//! What the server knows: its streams, and what has yet to happen.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use proto_msgs::{Sequence, Timestamp, subject::Subjects};
use tokio::{sync::Notify, time::Instant};

use super::{
    post::{Command, Inboxes, Post, Subscription},
    stream::MemoryStream,
    weather::{Crossing, Fate, Weather, What},
};
use crate::{
    error::AppendError,
    nats,
    ports::{Append, Incoming, Stored},
};

/// One message that was ever stored, as the simulation looks at it afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub stream: Arc<str>,
    /// The client that wrote it; none: the server itself, in place of what expired.
    pub by: Option<Arc<str>>,
    pub message: Stored,
}

/// Something that happens at its time.
type Effect = Box<dyn FnOnce(&mut State) + Send>;

pub(super) type ClientId = usize;

/// One member's connection.
pub(super) struct Client {
    pub(super) name: Arc<str>,
    pub(super) line: Line,
    /// Tells whoever waits that the line is up. No `watch`: that wakes in an order of its own chance.
    pub(super) up: Arc<Notify>,
    /// Sent while it was cut.
    pub(super) waiting: VecDeque<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Up,
    Cut,
    /// Its process is gone.
    Removed,
}

pub(super) struct State {
    now: Instant,
    started: Instant,
    /// The time of day when it started.
    origin: Timestamp,
    pub(super) streams: Vec<MemoryStream>,
    pub(super) clients: Vec<Client>,
    pub(super) subscriptions: BTreeMap<u64, Subscription>,
    pub(super) acks: Inboxes<Result<Sequence, AppendError>>,
    /// None: nobody listens.
    pub(super) answers: Inboxes<Option<Incoming>>,
    /// Rises with each choice of a queue group's member.
    pub(super) turn: usize,
    written: Vec<Written>,
    weather: Weather,
    timers: BTreeMap<(Instant, u64), Effect>,
    newest_id: u64,
}

impl State {
    pub(super) fn new(subjects: &Subjects, origin: Timestamp, now: Instant) -> Self {
        Self {
            now,
            started: now,
            origin,
            streams: nats::definitions::streams(subjects, 1).into_iter().map(MemoryStream::new).collect(),
            clients: Vec::new(),
            subscriptions: BTreeMap::new(),
            acks: Inboxes::default(),
            answers: Inboxes::default(),
            turn: 0,
            written: Vec::new(),
            weather: Box::new(|_| Fate::Fine),
            timers: BTreeMap::new(),
            newest_id: 0,
        }
    }

    pub(super) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    pub(super) fn fate(&mut self, client: ClientId, what: What, subject: &str, payload: &[u8]) -> Fate {
        (self.weather)(&Crossing { client: &self.clients[client].name, what, subject, payload })
    }

    pub(super) fn written(&self) -> &[Written] {
        &self.written
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.newest_id += 1;
        self.newest_id
    }

    // Time.

    /// Lets everything happen whose time has come.
    pub(super) fn catch_up(&mut self, now: Instant) {
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= now) {
            let ((due, _), effect) = timer.remove_entry();
            self.now = due;
            effect(self);
        }
        self.now = now;
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn later(&mut self, after: Duration, effect: impl FnOnce(&mut Self) + Send + 'static) {
        let key = (self.now + after, self.new_id());
        self.timers.insert(key, Box::new(effect));
    }

    // Streams.

    pub(super) fn stream(&self, name: &str) -> Option<usize> {
        self.streams.iter().position(|stream| &*stream.name == name)
    }

    /// Stores a message of a client, if it may be.
    pub(super) fn append(&mut self, client: ClientId, append: Append) -> Result<Sequence, AppendError> {
        let holder = self.streams.iter().position(|stream| stream.holds(&append.subject));
        let stream = holder.ok_or(AppendError::Unavailable)?;
        let ttl = self.streams[stream].admit(&append)?;
        let message = Stored {
            subject: append.subject,
            sequence: Sequence(0),
            payload: append.payload,
            encoding: append.encoding,
            time: self.time(),
            deleted: false,
        };
        let by = self.clients[client].name.clone();
        Ok(self.store(stream, message, append.rollup, ttl, Some(by)))
    }

    fn store(
        &mut self,
        stream: usize,
        mut message: Stored,
        rollup: bool,
        ttl: Option<Duration>,
        by: Option<Arc<str>>,
    ) -> Sequence {
        message.sequence = self.streams[stream].store(message.clone(), rollup);
        let sequence = message.sequence;
        if let Some(ttl) = ttl {
            self.later(ttl, move |state| state.expire(stream, sequence));
        }
        let name = self.streams[stream].name.clone();
        for copy in self.streams.iter_mut().filter(|other| other.sources.iter().any(|source| **source == *name)) {
            copy.store(message.clone(), false);
        }
        let live = self.streams[stream].republish.as_ref().and_then(|republish| republish.apply(&message.subject));
        if let Some(subject) = live {
            let live = Stored { subject, ..message.clone() };
            self.route(&Post::Stored(live));
        }
        self.written.push(Written { stream: name, by, message });
        sequence
    }

    fn expire(&mut self, stream: usize, sequence: Sequence) {
        let gone = self.streams[stream].expire(sequence).filter(|gone| !gone.deleted);
        if let (Some(gone), Some(stays)) = (gone, self.streams[stream].marker_stays) {
            let marker = Stored {
                payload: Default::default(),
                encoding: Default::default(),
                time: self.time(),
                deleted: true,
                ..gone
            };
            self.store(stream, marker, true, Some(stays), None);
        }
    }

    fn time(&self) -> Timestamp {
        self.origin.plus(self.now - self.started)
    }
}
