//! The connection, and the bus over it.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event, Request, RequestError, RequestErrorKind, connection::State, jetstream,
};
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::watch;

use super::{headers, settings::NatsSettings};
use crate::{
    error::{BusError, ConnectError},
    ports::{Bus, Incoming, Outgoing},
};

/// A hung server is noticed within two of these; the client's default is a minute.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Longest a first connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest a JetStream API call may take; it also bounds how long a consumer is being re-created.
pub(crate) const API_LIMIT: Duration = Duration::from_secs(3);
/// Longest that a message may wait for a place in the client's own queue.
const QUEUE_LIMIT: Duration = Duration::from_secs(1);
/// Messages a subscriber may fall behind by before some are lost, which it is then told.
pub(crate) const SUBSCRIPTION_CAPACITY: usize = 65_536;
/// Appends of TTL and the sourcing of headers came with it.
const OLDEST_SERVER: (u32, u32) = (2, 12);

/// One connection to NATS, shared by everything in the process.
pub struct NatsClient {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    /// Counts events after which something may have been missed: reconnects, slow consumers.
    pub(super) disturbances: watch::Receiver<u64>,
}

impl NatsClient {
    pub async fn connect(settings: &NatsSettings) -> Result<Self, ConnectError> {
        let (sender, mut disturbances) = watch::channel(0);
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::Unreachable {
            url: settings.url.clone(),
            source,
        };
        let connecting = options(settings, sender).await?.connect(urls(settings));
        let client = match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(unreachable(error.into())),
            Err(elapsed) => return Err(unreachable(elapsed.into())),
        };
        check_version(&client)?;
        // The connection's own first event is reported a moment later, and is no disturbance to a follower.
        if tokio::time::timeout(API_LIMIT, disturbances.changed()).await.is_err() {
            tracing::debug!("the client did not report its connection");
        }
        let jetstream = jetstream::context::ContextBuilder::new().timeout(API_LIMIT).build(client.clone());
        Ok(Self { client, jetstream, disturbances })
    }
}

async fn options(settings: &NatsSettings, disturbances: watch::Sender<u64>) -> Result<ConnectOptions, ConnectError> {
    let disturbances = Arc::new(disturbances);
    let mut options = ConnectOptions::new()
        .name("keyferry")
        .ping_interval(PING_EVERY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .request_timeout(Some(API_LIMIT))
        .event_callback(move |event| {
            report(&event, &disturbances);
            std::future::ready(())
        });
    if let Some(file) = &settings.credentials_file {
        options = options.credentials_file(file).await.map_err(|error| ConnectError::Settings {
            name: "credentials_file",
            message: format!("{} cannot be read: {error}", file.display()),
        })?;
    }
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    Ok(options)
}

fn report(event: &Event, disturbances: &watch::Sender<u64>) {
    match event {
        Event::Connected | Event::SlowConsumer(_) => {
            tracing::info!(event = %event, "nats connection changed");
            disturbances.send_modify(|count| *count += 1);
        }
        // Permission denials show up only here; the call itself just times out.
        Event::ServerError(_) | Event::ClientError(_) => tracing::warn!(event = %event, "nats reported an error"),
        Event::Disconnected | Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::warn!(event = %event, "nats connection changed");
        }
    }
}

impl NatsClient {
    /// Sends a request, and waits for its answer no longer than its own deadline: while the connection is away, the client
    /// queues what is sent, and once that queue is full it waits without one.
    pub(super) async fn ask(
        &self,
        subject: &str,
        request: Request,
        deadline: Duration,
    ) -> Result<Result<async_nats::Message, RequestError>, BusError> {
        let asking = self.client.send_request(subject.to_owned(), request);
        tokio::time::timeout(deadline + QUEUE_LIMIT, asking).await.map_err(|_| BusError::Disconnected)
    }
}

fn urls(settings: &NatsSettings) -> Vec<String> {
    settings.url.split(',').map(|url| url.trim().to_owned()).collect()
}

fn check_version(client: &Client) -> Result<(), ConnectError> {
    let found = client.server_info().version;
    let mut numbers = found.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST_SERVER { Err(ConnectError::TooOld { found }) } else { Ok(()) }
}

#[async_trait]
impl Bus for NatsClient {
    async fn publish(&self, subject: &str, message: Outgoing) -> Result<(), BusError> {
        let headers = headers::of_outgoing(&message);
        let publishing = self.client.publish_with_headers(subject.to_owned(), headers, message.payload);
        match tokio::time::timeout(API_LIMIT, publishing).await {
            Ok(published) => published.map_err(|error| BusError::Other(error.to_string())),
            Err(_) => Err(BusError::Disconnected),
        }
    }

    async fn request(&self, subject: &str, message: Outgoing, deadline: Duration) -> Result<Incoming, BusError> {
        let request =
            Request::new().headers(headers::of_outgoing(&message)).payload(message.payload).timeout(Some(deadline));
        match self.ask(subject, request, deadline).await? {
            Ok(message) => Ok(incoming(message)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => BusError::NoResponders { subject: subject.to_owned() },
                RequestErrorKind::TimedOut if !self.is_connected() => BusError::Disconnected,
                RequestErrorKind::TimedOut => BusError::Deadline { subject: subject.to_owned() },
                RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
                    BusError::Other(error.to_string())
                }
            }),
        }
    }

    async fn subscribe(&self, subject: &str, group: Option<&str>) -> Result<BoxStream<'static, Incoming>, BusError> {
        let subscribed = match group {
            Some(group) => self.client.queue_subscribe(subject.to_owned(), group.to_owned()).await,
            None => self.client.subscribe(subject.to_owned()).await,
        };
        Ok(subscribed.map_err(|error| BusError::Other(error.to_string()))?.map(incoming).boxed())
    }

    async fn respond(&self, to: &Incoming, message: Outgoing) -> Result<(), BusError> {
        match &to.reply {
            Some(reply) => self.publish(reply, message).await,
            None => Ok(()),
        }
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    async fn flush(&self) -> Result<(), BusError> {
        match tokio::time::timeout(API_LIMIT, self.client.flush()).await {
            Ok(flushed) => flushed.map_err(|error| BusError::Other(error.to_string())),
            Err(_) => Err(BusError::Disconnected),
        }
    }
}

fn incoming(message: async_nats::Message) -> Incoming {
    Incoming {
        subject: message.subject.to_string(),
        encoding: headers::encoding(message.headers.as_ref()),
        payload: message.payload,
        reply: message.reply.map(|reply| reply.to_string()),
    }
}
