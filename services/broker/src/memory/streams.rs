//! The streams port in memory.

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use proto_msgs::Sequence;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    client::{MemoryClient, answered},
    pattern::{Pattern, is_valid},
    post::{Body, Post, Subscribe},
    state::State,
};
use crate::{
    error::{AppendError, ReadError},
    nats::API_LIMIT,
    ports::{Append, Live, Select, Stored, Streams},
};

/// Largest message a server takes by default.
const PAYLOAD_MAX: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
#[error("stream not found")]
struct NotFound;

#[derive(Debug, thiserror::Error)]
#[error("invalid subject")]
struct InvalidSubject;

#[async_trait]
impl Streams for MemoryClient {
    async fn append(&self, append: Append) -> Result<Sequence, AppendError> {
        if !is_valid(&append.subject) {
            return Err(AppendError::Rejected("invalid subject".to_owned()));
        }
        if append.payload.len() > PAYLOAD_MAX {
            return Err(AppendError::Rejected("max payload size exceeded".to_owned()));
        }
        let (inbox, ack) = self.with(|state| {
            let inbox = state.new_id();
            (inbox, state.acks.open(inbox, self.id))
        });
        let _open = Open { client: self, inbox, close: |state, inbox| state.acks.close(inbox) };
        self.send(Body::Append { append, inbox });
        tokio::time::timeout(API_LIMIT, answered(ack)).await.unwrap_or(Err(AppendError::Unknown))
    }

    async fn end(&self, stream: &str) -> Result<Sequence, ReadError> {
        let end = |state: &mut State| Ok(state.streams[known(state, stream)?].end());
        match self.look(stream, end).await? {
            (end, false) => end,
            (_, true) => unanswered().await,
        }
    }

    async fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, ReadError> {
        let pattern = Pattern::new(subject);
        let last = |state: &mut State| Ok(state.streams[known(state, stream)?].newest(&pattern));
        match self.look(subject, last).await? {
            (last, false) => last,
            (_, true) => unanswered().await,
        }
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        select: Select,
    ) -> Result<BoxStream<'static, Result<Stored, ReadError>>, ReadError> {
        let pattern = Pattern::new(filter);
        let read = |state: &mut State| Ok::<_, ReadError>(state.streams[known(state, stream)?].read(&pattern, select));
        let (messages, breaks_off) = self.look(filter, read).await?;
        let mut messages = messages?;
        if !breaks_off {
            return Ok(stream::iter(messages.into_iter().map(Ok)).boxed());
        }
        messages.truncate(messages.len() / 2);
        Ok(stream::iter(messages.into_iter().map(Ok)).chain(stream::once(unanswered())).boxed())
    }

    async fn follow(&self, subject: &str) -> Result<BoxStream<'static, Live>, ReadError> {
        if !is_valid(subject) {
            return Err(ReadError::Unavailable(InvalidSubject.into()));
        }
        let wanted = Subscribe { pattern: Pattern::new(subject), group: None, follows: true };
        let posts = match self.look(subject, |state| state.subscribe(self.id, wanted)).await? {
            (posts, false) => posts,
            (_, true) => return unanswered().await,
        };
        let live = ReceiverStream::new(posts).filter_map(|post| {
            std::future::ready(match post {
                Post::Stored(stored) => Some(Live::Message(stored)),
                Post::Gap => Some(Live::Gap),
                Post::Message(_) => None,
            })
        });
        Ok(live.boxed())
    }

    async fn tail(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
    ) -> Result<BoxStream<'static, Result<Stored, ReadError>>, ReadError> {
        let index = match self.look(filter, |state| known(state, stream)).await? {
            (index, false) => index?,
            (_, true) => return unanswered().await,
        };
        let (client, filter) = (self.clone(), Pattern::new(filter));
        Ok(stream::unfold(from, move |from| {
            let (client, filter) = (client.clone(), filter.clone());
            async move {
                let stored = next(&client, index, &filter, from).await;
                let from = Sequence(stored.sequence.0 + 1);
                Some((Ok(stored), from))
            }
        })
        .boxed())
    }
}

/// The next message of a tail, however long that takes. A line that was cut loses nothing here: the reader asks again.
async fn next(client: &MemoryClient, stream: usize, filter: &Pattern, mut from: Sequence) -> Stored {
    loop {
        client.until_up().await;
        let (next, stored) = client.with(|state| {
            let stream = &state.streams[stream];
            (stream.next(filter, from), stream.watch())
        });
        match next {
            Ok(message) => return message,
            Err(later) => from = later,
        }
        stored.await;
    }
}

fn known(state: &State, stream: &str) -> Result<usize, ReadError> {
    state.stream(stream).ok_or_else(|| ReadError::Unavailable(NotFound.into()))
}

async fn unanswered<T>() -> Result<T, ReadError> {
    tokio::time::sleep(API_LIMIT).await;
    Err(ReadError::Deadline)
}

/// Closes an inbox when nobody waits any more.
pub(super) struct Open<'a> {
    pub(super) client: &'a MemoryClient,
    pub(super) inbox: u64,
    pub(super) close: fn(&mut State, u64),
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.client.with(|state| (self.close)(state, self.inbox));
    }
}
