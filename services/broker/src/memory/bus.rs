//! The bus port in memory.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    client::{MemoryClient, answered},
    pattern::{Pattern, is_valid},
    post::{Body, Post, Subscribe},
    streams::Open,
    weather::What,
};
use crate::{
    error::BusError,
    nats::API_LIMIT,
    ports::{Bus, Incoming, Outgoing},
};

#[async_trait]
impl Bus for MemoryClient {
    async fn publish(&self, subject: &str, message: Outgoing) -> Result<(), BusError> {
        checked(subject)?;
        self.send(body(What::Publish, subject, message, None));
        Ok(())
    }

    async fn request(&self, subject: &str, message: Outgoing, deadline: Duration) -> Result<Incoming, BusError> {
        checked(subject)?;
        let (inbox, answer) = self.with(|state| {
            let inbox = state.new_id();
            (inbox, state.answers.open(inbox, self.id))
        });
        let _open = Open { client: self, inbox, close: |state, inbox| state.answers.close(inbox) };
        self.send(body(What::Request, subject, message, Some(inbox)));
        match tokio::time::timeout(deadline, answered(answer)).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(BusError::NoResponders { subject: subject.to_owned() }),
            Err(_) if !self.is_connected() => Err(BusError::Disconnected),
            Err(_) => Err(BusError::Deadline { subject: subject.to_owned() }),
        }
    }

    async fn subscribe(&self, subject: &str, group: Option<&str>) -> Result<BoxStream<'static, Incoming>, BusError> {
        checked(subject)?;
        let wanted = Subscribe { pattern: Pattern::new(subject), group: group.map(str::to_owned), follows: false };
        let posts = self.with(|state| state.subscribe(self.id, wanted));
        Ok(ReceiverStream::new(posts).filter_map(|post| std::future::ready(incoming(post))).boxed())
    }

    async fn respond(&self, to: &Incoming, message: Outgoing) -> Result<(), BusError> {
        if let Some(reply) = &to.reply {
            self.send(body(What::Reply, reply, message, None));
        }
        Ok(())
    }

    fn is_connected(&self) -> bool {
        self.with(|state| state.is_up(self.id))
    }

    async fn flush(&self) -> Result<(), BusError> {
        tokio::time::timeout(API_LIMIT, self.until_up()).await.map_err(|_| BusError::Disconnected)
    }
}

fn checked(subject: &str) -> Result<(), BusError> {
    if is_valid(subject) { Ok(()) } else { Err(BusError::Other("invalid subject".to_owned())) }
}

fn body(what: What, subject: &str, message: Outgoing, inbox: Option<u64>) -> Body {
    Body::Message { what, subject: subject.to_owned(), payload: message.payload, encoding: message.encoding, inbox }
}

fn incoming(post: Post) -> Option<Incoming> {
    match post {
        Post::Message(message) => Some(message),
        // A stored message reaches plain subscribers too.
        Post::Stored(stored) => {
            Some(Incoming { subject: stored.subject, payload: stored.payload, encoding: stored.encoding, reply: None })
        }
        Post::Gap => None,
    }
}
