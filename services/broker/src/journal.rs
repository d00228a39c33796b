//! Typed messages in a stream: what [`crate::Log`], [`crate::Configs`], [`crate::Leases`] and [`crate::Tokens`] share.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use proto_msgs::{Encoding, Envelope, Message, MessageId, Sequence, Timestamp};
use serde::Deserialize;

use crate::{
    error::{AppendError, LogError, ReadError},
    ports::{Append, Live, Select, Stored, Streams},
};

/// How often the leader is asked what became of an append whose answer was lost.
const SETTLE_TRIES: u32 = 4;
/// Between two of those: a leader that is being elected takes a second or more.
const SETTLE_EVERY: Duration = Duration::from_millis(500);

/// A message of the log, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    pub envelope: Envelope<T>,
    pub sequence: Sequence,
    /// When it was stored, by the server's clock.
    pub time: Timestamp,
}

/// What a follower of the log hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEntry<T> {
    Entry(Entry<T>),
    /// Something may have been missed: read the state again.
    Gap,
}

/// Where a message goes.
pub(crate) struct Place {
    pub stream: String,
    pub subject: String,
    pub expected_end: Option<Sequence>,
    pub ttl: Option<Duration>,
    pub rollup: bool,
}

impl Place {
    pub(crate) fn new(stream: String, subject: String) -> Self {
        Self { stream, subject, expected_end: None, ttl: None, rollup: false }
    }

    pub(crate) fn at(self, end: Sequence) -> Self {
        Self { expected_end: Some(end), ..self }
    }

    pub(crate) fn ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    pub(crate) fn rollup(self) -> Self {
        Self { rollup: true, ..self }
    }
}

#[derive(Clone)]
pub(crate) struct Journal {
    streams: Arc<dyn Streams>,
}

/// Enough of any message to know one's own again.
#[derive(Deserialize)]
struct Own {
    id: MessageId,
}

impl Journal {
    pub(crate) fn new(streams: Arc<dyn Streams>) -> Self {
        Self { streams }
    }

    /// Appends; where the answer was lost, finds out what became of it.
    pub(crate) async fn append<T: Message>(
        &self,
        place: Place,
        envelope: &Envelope<T>,
        expected: Sequence,
    ) -> Result<Sequence, LogError> {
        let encoding = Encoding::default();
        let append = Append {
            stream: place.stream.clone(),
            subject: place.subject.clone(),
            payload: envelope.encode(encoding).map_err(LogError::Encode)?.into(),
            encoding,
            correlation: envelope.correlation_id,
            expected: Some(expected),
            expected_end: place.expected_end,
            ttl: place.ttl,
            rollup: place.rollup,
        };
        match self.streams.append(append).await {
            Ok(sequence) => Ok(sequence),
            // A repeat inside the client may have been refused because the first try was stored: look before believing it.
            Err(AppendError::Conflict) => match self.fate(&place, envelope.id, expected).await? {
                Fate::Stored(sequence) => Ok(sequence),
                Fate::Beaten | Fate::Open => Err(LogError::Conflict),
            },
            Err(AppendError::Unknown) => self.settle(&place, envelope.id, expected).await,
            Err(error @ (AppendError::Unavailable | AppendError::Rejected(_))) => {
                Err(LogError::Unavailable(error.into()))
            }
        }
    }

    /// Leaves a marker in place of what is there.
    pub(crate) async fn delete(
        &self,
        place: Place,
        correlation: proto_msgs::CorrelationId,
        expected: Sequence,
        ttl: Duration,
    ) -> Result<(), LogError> {
        let append = Append {
            stream: place.stream,
            subject: place.subject,
            payload: Default::default(),
            encoding: Encoding::default(),
            correlation,
            expected: Some(expected),
            expected_end: None,
            ttl: Some(ttl),
            rollup: true,
        };
        match self.streams.append(append).await {
            Ok(_) => Ok(()),
            Err(AppendError::Conflict) => Err(LogError::Conflict),
            Err(AppendError::Unknown) => Err(LogError::Unknown),
            Err(error @ (AppendError::Unavailable | AppendError::Rejected(_))) => {
                Err(LogError::Unavailable(error.into()))
            }
        }
    }

    /// The newest message on a subject, from the leader. An empty one and a marker count as none.
    pub(crate) async fn head<T: Message>(&self, stream: &str, subject: &str) -> Result<Option<Entry<T>>, LogError> {
        match self.streams.last(stream, subject).await? {
            Some(stored) if !is_blank(&stored) => decode(&stored).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// The newest message on a subject whatever it is: its sequence is what an append must expect.
    pub(crate) async fn head_or_marker<T: Message>(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<(Option<Entry<T>>, Sequence), LogError> {
        match self.streams.last(stream, subject).await? {
            Some(stored) if is_blank(&stored) => Ok((None, stored.sequence)),
            Some(stored) => Ok((Some(decode(&stored)?), stored.sequence)),
            None => Ok((None, Sequence(0))),
        }
    }

    pub(crate) async fn read<T: Message + Send + 'static>(
        &self,
        stream: &str,
        filter: &str,
        select: Select,
    ) -> Result<BoxStream<'static, Result<Entry<T>, LogError>>, LogError> {
        Ok(self
            .streams
            .read(stream, filter, select)
            .await?
            .filter_map(|stored| std::future::ready(typed(stored)))
            .boxed())
    }

    /// The newest message of each subject, and the stream's end before they were read.
    pub(crate) async fn survey<T: Message>(
        &self,
        stream: &str,
        filter: &str,
    ) -> Result<(Vec<Entry<T>>, Sequence), LogError> {
        for _ in 0..SETTLE_TRIES {
            let end = self.streams.end(stream).await?;
            let newest = self.streams.last(stream, filter).await?.map(|stored| stored.sequence);
            let reading = self.streams.read(stream, filter, Select::NewestPerSubject).await?;
            let all: Vec<Stored> = reading.try_collect().await?;
            // Else it was read from a server that is behind the leader.
            if newest.is_none_or(|newest| all.iter().any(|stored| stored.sequence >= newest)) {
                let entries = all.iter().filter(|stored| !is_blank(stored)).map(decode).collect::<Result<_, _>>()?;
                return Ok((entries, end));
            }
            tokio::time::sleep(SETTLE_EVERY).await;
        }
        Err(ReadError::Deadline.into())
    }

    pub(crate) async fn follow<T: Message + Send + 'static>(
        &self,
        subject: &str,
    ) -> Result<BoxStream<'static, LiveEntry<T>>, LogError> {
        let live = self.streams.follow(subject).await?;
        Ok(live
            .filter_map(|live| {
                std::future::ready(match live {
                    Live::Gap => Some(LiveEntry::Gap),
                    Live::Message(stored) if is_blank(&stored) => None,
                    // Unreadable here is unreadable on a reload too, where it is an error that names the subject.
                    Live::Message(stored) => Some(decode(&stored).map_or(LiveEntry::Gap, LiveEntry::Entry)),
                })
            })
            .boxed())
    }

    pub(crate) async fn tail<T: Message + Send + 'static>(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
    ) -> Result<BoxStream<'static, Result<Entry<T>, LogError>>, LogError> {
        Ok(self
            .streams
            .tail(stream, filter, from)
            .await?
            .filter_map(|stored| std::future::ready(typed(stored)))
            .boxed())
    }

    async fn settle(&self, place: &Place, own: MessageId, expected: Sequence) -> Result<Sequence, LogError> {
        for _ in 0..SETTLE_TRIES {
            match self.fate(place, own, expected).await {
                Ok(Fate::Stored(sequence)) => return Ok(sequence),
                Ok(Fate::Beaten) => return Err(LogError::Conflict),
                Ok(Fate::Open) | Err(_) => tokio::time::sleep(SETTLE_EVERY).await,
            }
        }
        Err(LogError::Unknown)
    }

    async fn fate(&self, place: &Place, own: MessageId, expected: Sequence) -> Result<Fate, LogError> {
        let newest = self.streams.last(&place.stream, &place.subject).await?;
        Ok(match newest {
            Some(stored) if id_of(&stored) == Some(own) => Fate::Stored(stored.sequence),
            Some(stored) if stored.sequence != expected => Fate::Beaten,
            Some(_) | None => Fate::Open,
        })
    }
}

/// What became of an append whose answer was lost.
enum Fate {
    Stored(Sequence),
    /// Another message is there: this one was not stored and never will be.
    Beaten,
    /// What was expected is still the newest: it may yet arrive.
    Open,
}

fn typed<T: Message>(stored: Result<Stored, ReadError>) -> Option<Result<Entry<T>, LogError>> {
    match stored {
        Ok(stored) if is_blank(&stored) => None,
        Ok(stored) => Some(decode(&stored)),
        Err(error) => Some(Err(error.into())),
    }
}

fn is_blank(stored: &Stored) -> bool {
    stored.deleted || stored.payload.is_empty()
}

fn id_of(stored: &Stored) -> Option<MessageId> {
    let own: Option<Own> = match stored.encoding {
        Encoding::Json => serde_json::from_slice(&stored.payload).ok(),
        Encoding::MessagePack => rmp_serde::from_slice(&stored.payload).ok(),
    };
    own.map(|own| own.id)
}

fn decode<T: Message>(stored: &Stored) -> Result<Entry<T>, LogError> {
    let envelope = Envelope::decode(&stored.payload, stored.encoding)
        .map_err(|source| LogError::Corrupt { subject: stored.subject.clone(), source })?;
    Ok(Entry { envelope, sequence: stored.sequence, time: stored.time })
}
