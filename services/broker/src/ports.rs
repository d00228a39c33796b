//! The two ports.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use proto_msgs::{CorrelationId, Encoding, Sequence, Timestamp};

use crate::error::{AppendError, BusError, ReadError};

/// Streams of messages, stored in order.
#[async_trait]
pub trait Streams: Send + Sync + 'static {
    /// Stores a message. Its answer gives the sequence it was stored under.
    async fn append(&self, append: Append) -> Result<Sequence, AppendError>;

    /// Sequence of the newest message that a stream ever stored, from its leader; 0: it never stored one.
    async fn end(&self, stream: &str) -> Result<Sequence, ReadError>;

    /// The newest message on a subject, which may have wildcards, from the stream's leader.
    async fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, ReadError>;

    /// Messages that match `filter`, in order; ends with what was there when it began.
    async fn read(
        &self,
        stream: &str,
        filter: &str,
        select: Select,
    ) -> Result<BoxStream<'static, Result<Stored, ReadError>>, ReadError>;

    /// Stored messages as the server republishes them. Whoever follows first and reads then hears of everything that the
    /// read did not show yet. Hints: the newest message of a subject may be lost.
    async fn follow(&self, subject: &str) -> Result<BoxStream<'static, Live>, ReadError>;

    /// Messages from a sequence on, and then as they are stored, for ever.
    async fn tail(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
    ) -> Result<BoxStream<'static, Result<Stored, ReadError>>, ReadError>;
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct Append {
    pub stream: String,
    pub subject: String,
    pub payload: Bytes,
    pub encoding: Encoding,
    pub correlation: CorrelationId,
    /// Sequence of the subject's newest message, 0 for none; the append is refused if it is another.
    pub expected: Option<Sequence>,
    /// As [`Streams::end`] gave it; the append is refused if anything was stored in the stream since.
    pub expected_end: Option<Sequence>,
    /// The message goes by itself after this.
    pub ttl: Option<Duration>,
    /// Takes every earlier message of the subject away.
    pub rollup: bool,
}

/// A message as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub subject: String,
    pub sequence: Sequence,
    pub payload: Bytes,
    pub encoding: Encoding,
    pub time: Timestamp,
    /// A marker: what was here was deleted, or its time ran out.
    pub deleted: bool,
}

/// Which messages of a filter to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    NewestPerSubject,
    /// From this sequence on.
    From(Sequence),
}

/// What a follower hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    Message(Stored),
    /// Something may have been missed: read the state again.
    Gap,
}

/// Messages between members.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    async fn publish(&self, subject: &str, message: Outgoing) -> Result<(), BusError>;

    /// Asks, and waits for one answer, no longer than `deadline`.
    async fn request(&self, subject: &str, message: Outgoing, deadline: Duration) -> Result<Incoming, BusError>;

    /// Messages on a subject; in a queue group, each goes to one member of it.
    async fn subscribe(&self, subject: &str, group: Option<&str>) -> Result<BoxStream<'static, Incoming>, BusError>;

    /// Answers a request. Does nothing where no answer is waited for.
    async fn respond(&self, to: &Incoming, message: Outgoing) -> Result<(), BusError>;

    fn is_connected(&self) -> bool;

    /// Waits until what was published has left this process.
    async fn flush(&self) -> Result<(), BusError>;
}

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub payload: Bytes,
    pub encoding: Encoding,
    pub correlation: Option<CorrelationId>,
}

/// A message that came in.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub subject: String,
    pub payload: Bytes,
    pub encoding: Encoding,
    /// Where the answer goes.
    pub reply: Option<String>,
}
