//! The event stream: what happens to a config, over a WebSocket, from a cursor on.
//!
//! A client that falls behind slows only its own stream: nothing is buffered here. Without a cursor, the states that
//! the log still has come first.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use broker::{EventCursor, LogError, LogEvent};
use futures::{Stream, StreamExt};
use proto_msgs::api::Event;
use serde::Deserialize;

use super::{Answer, Parts, find, query};
use crate::{caller::Caller, failure::Failure};

/// Proxies close connections that are silent for a minute.
const PING_EVERY: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    cursor: Option<String>,
}

pub async fn follow(
    parts: Parts,
    _: Caller,
    config: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Answer {
    let cursor = query::<Query>(&request)?.cursor.unwrap_or_default();
    let cursor: EventCursor = match cursor.as_str() {
        "" => EventCursor::default(),
        text => text
            .parse()
            .map_err(|error| Failure::invalid(format!("cursor: {error}"), "pass the last event's cursor, or none"))?,
    };
    let config = find(&parts, &config).await?.envelope.body.id;
    let events = parts.broker.log().events(&config, cursor).await?;
    let (response, session, incoming) = actix_ws::handle(&request, body).map_err(|error| {
        Failure::invalid(format!("this is a WebSocket: {error}"), "connect with a WebSocket client")
    })?;
    spawn(send(session, incoming, events, cursor));
    Ok(response)
}

/// Starts a task that ends with its connection.
#[expect(clippy::disallowed_methods, reason = "it ends with the connection, whose end is all there is to notice")]
fn spawn(task: impl Future<Output = ()> + 'static) {
    actix_web::rt::spawn(task);
}

async fn send(
    mut session: actix_ws::Session,
    mut incoming: actix_ws::MessageStream,
    mut events: impl Stream<Item = Result<LogEvent, LogError>> + Unpin,
    mut cursor: EventCursor,
) {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            biased;
            message = incoming.next() => match message {
                Some(Ok(actix_ws::Message::Ping(bytes))) => {
                    if session.pong(&bytes).await.is_err() {
                        return;
                    }
                }
                Some(Ok(actix_ws::Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            _ = ping.tick() => {
                if session.ping(b"").await.is_err() {
                    return;
                }
            }
            event = events.next() => {
                let (event, is_last) = match event {
                    Some(Ok(event)) => (written(event, &mut cursor), false),
                    Some(Err(error)) => (Event::Reset { reason: error.to_string() }, true),
                    None => (Event::Reset { reason: "the log ended".to_owned() }, true),
                };
                if session.text(serde_json::json!(event).to_string()).await.is_err() {
                    return;
                }
                if is_last {
                    break;
                }
            }
        }
    }
    // The client may be gone already.
    let _ = session.close(None).await;
}

fn written(event: LogEvent, cursor: &mut EventCursor) -> Event {
    match event {
        LogEvent::Record(entry) => {
            cursor.records = entry.sequence;
            Event::Record {
                cursor: cursor.to_string(),
                at: entry.envelope.time,
                correlation_id: entry.envelope.correlation_id,
                sequence: entry.sequence,
                record: Box::new(entry.envelope.body),
            }
        }
        LogEvent::Run(entry) => {
            cursor.runs = entry.sequence;
            Event::Run {
                cursor: cursor.to_string(),
                at: entry.envelope.time,
                correlation_id: entry.envelope.correlation_id,
                sequence: entry.sequence,
                run: Box::new(entry.envelope.body),
            }
        }
    }
}
