//! The event stream, line by line, reconnecting where it broke off, until the config is removed.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use proto_msgs::{
    RequestCode,
    api::{ConfigView, Event},
};
use reqwest::StatusCode;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};

use crate::{
    client::{Client, path, query},
    failure::Failure,
    invocation::{ConfigArg, Invocation},
    output::{self, Output, or_dash, tell},
};

/// Between a break and the next try.
const PAUSE: Duration = Duration::from_secs(2);
/// Where a stream begins of which no event was seen yet.
const BEGINNING: &str = "x-event-cursor";

#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    config: ConfigArg,
    /// Go on after this event; `0-0`: with the oldest that is kept. Without it, what happens from now on is shown.
    #[arg(long)]
    cursor: Option<String>,
}

impl Watch {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let client = invocation.client()?;
        let view: ConfigView = client.get(&path(&["configs", &self.config.config])).await?;
        let config = path(&["configs", &view.config.id.to_string()]);
        let mut cursor = self.cursor;
        // Without a cursor nothing may come for long, and that must not look like a failure.
        let mut greeting = cursor.is_none().then(|| format!("following {}; Ctrl-C ends it", view.config.spec.name));
        loop {
            match follow(&client, &config, invocation.output, &mut cursor, &mut greeting).await {
                Ok(()) => {}
                Err(Broken::Removed) => {
                    tell("the config was removed");
                    return Ok(());
                }
                Err(Broken::Ended(failure)) => return Err(failure),
                Err(Broken::Connection(error)) => {
                    tell(format_args!("keyferry: the stream broke off ({error}); it goes on in a moment"));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why a stream is over.
enum Broken {
    /// It is worth another try.
    Connection(String),
    /// There is nothing to follow any more.
    Removed,
    Ended(Failure),
}

async fn follow(
    client: &Client,
    config: &str,
    output: Output,
    cursor: &mut Option<String>,
    greeting: &mut Option<String>,
) -> Result<(), Broken> {
    let connection = |error: tungstenite::Error| Broken::Connection(error.to_string());
    let (address, headers) = client.socket(&format!("{config}/events?{}", query(&[("cursor", cursor.as_deref())])));
    let uri = address.parse().map_err(|_| Broken::Connection(format!("{address} is not an address")))?;
    let request = headers
        .into_iter()
        .fold(ClientRequestBuilder::new(uri), |request, (name, value)| request.with_header(name, value));
    let (mut socket, response) = match tokio_tungstenite::connect_async(request).await {
        Ok(connected) => connected,
        Err(tungstenite::Error::Http(response)) if response.status().is_client_error() => {
            let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_REQUEST);
            return Err(Broken::Ended(client.refused(status, response.body().as_deref().unwrap_or_default())));
        }
        Err(error) => return Err(connection(error)),
    };
    if cursor.is_none() {
        *cursor = response.headers().get(BEGINNING).and_then(|value| value.to_str().ok()).map(str::to_owned);
    }
    if let Some(greeting) = greeting.take() {
        tell(greeting);
    }
    let mut is_leaving = false;
    loop {
        let Ok(message) = tokio::time::timeout(PAUSE, socket.next()).await else {
            if is_leaving && is_gone(client, config).await {
                return Err(Broken::Removed);
            }
            continue;
        };
        let Some(message) = message else { return Ok(()) };
        let Message::Text(text) = message.map_err(connection)? else { continue };
        let event: Event = serde_json::from_str(text.as_str()).map_err(|error| {
            Broken::Ended(Failure::of(RequestCode::Unavailable, &error, "run one version on both sides"))
        })?;
        match &event {
            Event::Record { cursor: at, record, .. } => {
                *cursor = Some(at.clone());
                is_leaving |= record.removed;
            }
            Event::Run { cursor: at, .. } => *cursor = Some(at.clone()),
            Event::Reset { .. } => {}
        }
        output::print_next(output, &event, || line(&event)).map_err(Broken::Ended)?;
    }
}

async fn is_gone(client: &Client, config: &str) -> bool {
    let found = client.get::<ConfigView>(config).await;
    found.is_err_and(|failure| failure.code() == Some(RequestCode::NotFound))
}

fn line(event: &Event) -> String {
    match event {
        Event::Record { at, record, .. } if record.removed => {
            format!("{at}  {} {}  removed with the config", record.id.kind, record.id.name)
        }
        Event::Record { at, record, .. } => {
            format!("{at}  {} {}  {}  {}", record.id.kind, record.id.name, record.status, or_dash(record.code))
        }
        Event::Run { at, run, .. } => {
            let counts = &run.counts;
            let phase = if run.is_open() { "under way" } else { "ended" };
            format!("{at}  run {}  {phase}  {}/{}", run.id, counts.attempted, counts.planned)
        }
        Event::Reset { reason } => format!("events may have been missed: {reason}"),
    }
}
