//! JetStream as the streams port.

use std::time::Duration;

use async_nats::{
    Request, RequestErrorKind,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull},
        message::StreamMessage,
        stream::{LastRawMessageErrorKind, Stream},
    },
};
use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use proto_msgs::{Sequence, Timestamp};
use serde::Deserialize;
use tokio_stream::wrappers::WatchStream;

use super::{
    client::{API_LIMIT, NatsClient},
    headers,
};
use crate::{
    error::{AppendError, ReadError},
    ports::{Append, Live, Select, Stored, Streams},
};

/// Messages asked for at once while loading.
const BATCH: usize = 5_000;
/// A consumer nobody pulls from goes after this.
const CONSUMER_STAYS: Duration = Duration::from_secs(30);
/// The server's code for a compare-and-set that does not hold.
const WRONG_LAST_SEQUENCE: u64 = 10_071;
/// Now and then given by a cluster to one that does hold; the same again after a moment is right.
const TRY_AGAIN: u64 = 10_164;
/// How often that is believed.
const TRIES: u32 = 5;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// What JetStream answers to an append.
#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    error: Option<AckError>,
}

#[derive(Deserialize)]
struct AckError {
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[async_trait]
impl Streams for NatsClient {
    async fn append(&self, append: Append) -> Result<Sequence, AppendError> {
        let mut tries = 1;
        loop {
            match self.append_once(&append).await {
                Err(AckFailure::TryAgain) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                // Nobody was beaten: whoever asks again in a moment may be right.
                Err(AckFailure::TryAgain) => return Err(AppendError::Unavailable),
                Err(AckFailure::Final(error)) => return Err(error),
                Ok(sequence) => return Ok(sequence),
            }
        }
    }

    async fn end(&self, stream: &str) -> Result<Sequence, ReadError> {
        match tokio::time::timeout(API_LIMIT, self.jetstream.get_stream(stream)).await {
            Ok(Ok(stream)) => Ok(Sequence(stream.cached_info().state.last_sequence)),
            Ok(Err(error)) => Err(ReadError::Unavailable(error.into())),
            Err(_) => Err(ReadError::Deadline),
        }
    }

    async fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, ReadError> {
        let asked =
            async { self.stream(stream).await?.get_last_raw_message_by_subject(subject).await.map_err(Asked::Last) };
        match tokio::time::timeout(API_LIMIT, asked).await {
            Ok(Ok(message)) => Ok(Some(stored(message))),
            Ok(Err(Asked::Last(error))) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Ok(Err(Asked::Last(error))) => Err(ReadError::Unavailable(error.into())),
            Ok(Err(Asked::Stream(error))) => Err(error),
            Err(_) => Err(ReadError::Deadline),
        }
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        select: Select,
    ) -> Result<BoxStream<'static, Result<Stored, ReadError>>, ReadError> {
        let config = pull::Config {
            filter_subject: filter.to_owned(),
            deliver_policy: match select {
                Select::NewestPerSubject => DeliverPolicy::LastPerSubject,
                Select::From(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence.0.max(1) },
            },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: CONSUMER_STAYS,
            memory_storage: true,
            num_replicas: 1,
            ..Default::default()
        };
        let making = async {
            self.stream(stream)
                .await
                .map_err(Asked::into_read)?
                .create_consumer(config)
                .await
                .map_err(|error| ReadError::Unavailable(error.into()))
        };
        let consumer = tokio::time::timeout(API_LIMIT, making).await.map_err(|_| ReadError::Deadline)?;
        let consumer = consumer?;
        let pending = usize::try_from(consumer.cached_info().num_pending).unwrap_or(usize::MAX);
        Ok(batches(self.jetstream.clone(), consumer, pending))
    }

    async fn follow(&self, subject: &str) -> Result<BoxStream<'static, Live>, ReadError> {
        let mut disturbances = self.disturbances.clone();
        // What happened before says nothing about this subscription.
        disturbances.mark_unchanged();
        let subscribed =
            self.client.subscribe(subject.to_owned()).await.map_err(|error| ReadError::Unavailable(error.into()))?;
        // It is on its way before whatever the caller reads next, and the server handles one connection in order.
        tokio::time::timeout(API_LIMIT, self.client.flush())
            .await
            .map_err(|_| ReadError::Deadline)?
            .map_err(|error| ReadError::Unavailable(error.into()))?;
        let messages = subscribed.filter_map(|message| std::future::ready(live(message).map(Live::Message)));
        let gaps = WatchStream::from_changes(disturbances).map(|_| Live::Gap);
        Ok(stream::select(messages, gaps).boxed())
    }

    async fn tail(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
    ) -> Result<BoxStream<'static, Result<Stored, ReadError>>, ReadError> {
        let config = pull::OrderedConfig {
            filter_subject: filter.to_owned(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.0.max(1) },
            replay_policy: ReplayPolicy::Instant,
            ..Default::default()
        };
        let making = async {
            let consumer = self.stream(stream).await.map_err(Asked::into_read)?.create_consumer(config).await;
            let consumer = consumer.map_err(|error| ReadError::Unavailable(error.into()))?;
            consumer.messages().await.map_err(|error| ReadError::Unavailable(error.into()))
        };
        let messages = tokio::time::timeout(API_LIMIT, making).await.map_err(|_| ReadError::Deadline)??;
        Ok(messages
            .map_err(|error| ReadError::Unavailable(error.into()))
            .and_then(|message| std::future::ready(delivered(&message)))
            .boxed())
    }
}

/// An append that was answered, and not with a sequence.
enum AckFailure {
    TryAgain,
    Final(AppendError),
}

/// Which of two calls failed.
enum Asked {
    Stream(ReadError),
    Last(jetstream::stream::LastRawMessageError),
}

impl Asked {
    fn into_read(self) -> ReadError {
        match self {
            Self::Stream(error) => error,
            Self::Last(error) => ReadError::Unavailable(error.into()),
        }
    }
}

impl From<ReadError> for Asked {
    fn from(error: ReadError) -> Self {
        Self::Stream(error)
    }
}

impl NatsClient {
    async fn append_once(&self, append: &Append) -> Result<Sequence, AckFailure> {
        let request =
            Request::new().headers(headers::of_append(append)).payload(append.payload.clone()).timeout(Some(API_LIMIT));
        let answer = match self.ask(&append.subject, request, API_LIMIT).await {
            Ok(Ok(answer)) => answer,
            // It may have come into the queue after all.
            Err(_) => return Err(AckFailure::Final(AppendError::Unknown)),
            Ok(Err(error)) => {
                return Err(AckFailure::Final(match error.kind() {
                    RequestErrorKind::NoResponders => AppendError::Unavailable,
                    RequestErrorKind::TimedOut => AppendError::Unknown,
                    RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                        AppendError::Rejected(error.to_string())
                    }
                    RequestErrorKind::Other => AppendError::Unknown,
                }));
            }
        };
        acknowledged(&answer.payload)
    }

    async fn stream(&self, name: &str) -> Result<Stream<()>, Asked> {
        self.jetstream
            .get_stream_no_info(name)
            .await
            .map_err(|error| Asked::Stream(ReadError::Unavailable(error.into())))
    }
}

fn acknowledged(payload: &[u8]) -> Result<Sequence, AckFailure> {
    let ack: Ack = serde_json::from_slice(payload)
        .map_err(|error| AckFailure::Final(AppendError::Rejected(format!("the answer cannot be read: {error}"))))?;
    match ack.error {
        None => Ok(Sequence(ack.seq)),
        Some(error) if error.err_code == WRONG_LAST_SEQUENCE => Err(AckFailure::Final(AppendError::Conflict)),
        Some(error) if error.err_code == TRY_AGAIN => Err(AckFailure::TryAgain),
        Some(error) => Err(AckFailure::Final(AppendError::Rejected(error.description))),
    }
}

/// Pulls what is pending, and not what comes later. A reader that leaves early leaves a consumer that goes by itself.
fn batches(
    jetstream: jetstream::Context,
    consumer: jetstream::consumer::Consumer<pull::Config>,
    pending: usize,
) -> BoxStream<'static, Result<Stored, ReadError>> {
    stream::try_unfold((jetstream, consumer, pending), |(jetstream, consumer, pending)| async move {
        if pending == 0 {
            let info = consumer.cached_info();
            // One that stays goes by itself, but thousands of readers a second would make the server crawl.
            if let Err(error) = jetstream.delete_consumer_from_stream(&info.name, &info.stream_name).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a consumer stays until it expires");
            }
            return Ok(None);
        }
        let wanted = pending.min(BATCH);
        let batch = consumer.fetch().max_messages(wanted).expires(API_LIMIT).messages().await;
        let batch = batch.map_err(|error| ReadError::Unavailable(error.into()))?;
        let messages: Vec<_> = batch.map_err(ReadError::Unavailable).try_collect().await?;
        if messages.is_empty() {
            // Fewer came than were pending: removed meanwhile, or the server went away. Only the first is an end.
            return Err(ReadError::Deadline);
        }
        let left = messages.last().and_then(|message| message.info().ok()).map_or(0, |info| info.pending);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(pending.saturating_sub(messages.len()));
        let stored: Vec<_> = messages.iter().map(delivered).collect();
        Ok(Some((stream::iter(stored), (jetstream, consumer, left))))
    })
    .try_flatten()
    .boxed()
}

fn delivered(message: &jetstream::Message) -> Result<Stored, ReadError> {
    let info = message.info().map_err(ReadError::Unavailable)?;
    Ok(Stored {
        subject: message.subject.to_string(),
        sequence: Sequence(info.stream_sequence),
        time: timestamp(info.published),
        encoding: headers::encoding(message.headers.as_ref()),
        deleted: headers::is_marker(message.headers.as_ref()),
        payload: message.payload.clone(),
    })
}

fn stored(message: StreamMessage) -> Stored {
    Stored {
        subject: message.subject.to_string(),
        sequence: Sequence(message.sequence),
        time: timestamp(message.time),
        encoding: headers::encoding(Some(&message.headers)),
        deleted: headers::is_marker(Some(&message.headers)),
        payload: message.payload,
    }
}

/// A republished message; none if it is not one.
fn live(message: async_nats::Message) -> Option<Stored> {
    let headers = message.headers.as_ref()?;
    let sequence = headers.get("Nats-Sequence")?.as_str().parse().ok()?;
    let time = headers.get("Nats-Time-Stamp").and_then(|text| text.as_str().parse().ok()).unwrap_or_default();
    Some(Stored {
        subject: message.subject.to_string(),
        sequence: Sequence(sequence),
        time,
        encoding: headers::encoding(Some(headers)),
        deleted: headers::is_marker(Some(headers)),
        payload: message.payload,
    })
}

fn timestamp(time: time::OffsetDateTime) -> Timestamp {
    Timestamp::from_unix_millis(i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64) -> Vec<u8> {
        format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"why"}},"stream":"KF_RUNS","seq":0}}"#).into()
    }

    #[test]
    fn an_acknowledgement_gives_the_sequence() {
        assert!(matches!(acknowledged(br#"{"stream":"KF_RUNS","seq":7}"#), Ok(Sequence(7))));
    }

    #[test]
    fn only_a_true_mismatch_is_a_conflict() {
        assert!(matches!(acknowledged(&refused(10_071)), Err(AckFailure::Final(AppendError::Conflict))));
    }

    #[test]
    fn a_cluster_that_refuses_what_holds_is_asked_again() {
        assert!(matches!(acknowledged(&refused(10_164)), Err(AckFailure::TryAgain)));
    }

    #[test]
    fn any_other_refusal_says_why() {
        let refusal = acknowledged(&refused(10_166));
        assert!(matches!(refusal, Err(AckFailure::Final(AppendError::Rejected(why))) if why == "why"));
        assert!(matches!(acknowledged(b"?"), Err(AckFailure::Final(AppendError::Rejected(_)))));
    }
}
