//! The event stream: what happens to a config, over a WebSocket, from a cursor on.
//!
//! A client that falls behind slows only its own stream: nothing is buffered here. Without a cursor, events begin now;
//! a header of the answer says where that is, so that a stream that breaks off before its first event is resumed too.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
    web,
};
use broker::{EventCursor, Log, LogError, LogEvent};
use futures::{Stream, StreamExt, TryStreamExt};
use proto_msgs::{ConfigId, Sequence, api::Event};
use serde::Deserialize;

use super::{Answer, Parts, find};
use crate::{
    caller::{Caller, query},
    failure::Failure,
};

/// Proxies close connections that are silent for a minute.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Where the stream begins.
const BEGINNING: HeaderName = HeaderName::from_static("x-event-cursor");

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
    let given = query::<Query>(&request)?.cursor;
    let given: Option<EventCursor> = given.map(|text| text.parse()).transpose().map_err(|error| {
        Failure::invalid(
            format!("cursor: {error}"),
            "pass the last event's cursor, `0-0` for all, or none for new ones",
        )
    })?;
    let config = find(&parts, &config).await?.envelope.body.id;
    let log = parts.broker.log();
    let cursor = match given {
        Some(cursor) => cursor,
        None => newest(&log, &config).await?,
    };
    let events = log.events(&config, cursor).await?;
    let (mut response, session, incoming) = actix_ws::handle(&request, body).map_err(|error| {
        Failure::invalid(format!("this is a WebSocket: {error}"), "connect with a WebSocket client")
    })?;
    if let Ok(value) = HeaderValue::from_str(&cursor.to_string()) {
        response.headers_mut().insert(BEGINNING, value);
    }
    spawn(send(session, incoming, events, cursor));
    Ok(response)
}

/// Behind everything that has happened so far.
async fn newest(log: &Log, config: &ConfigId) -> Result<EventCursor, LogError> {
    let runs = log.run(config).await?.map_or(Sequence(0), |entry| entry.sequence);
    let records = log.records(config).await?;
    let records = records.try_fold(Sequence(0), |newest, entry| std::future::ready(Ok(newest.max(entry.sequence))));
    Ok(EventCursor { records: records.await?, runs })
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
