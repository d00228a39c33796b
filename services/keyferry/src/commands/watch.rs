//! The event stream, line by line, reconnecting where it broke off.

use std::time::Duration;

use futures::StreamExt;
use proto_msgs::{RequestCode, api::Event};
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};

use crate::{
    cli::{Output, Server},
    client::{Client, segment},
    failure::Failure,
    output::{self, or_dash},
};

/// Between a break and the next try.
const PAUSE: Duration = Duration::from_secs(2);

pub async fn run(server: &Server, output: Output, config: &str, cursor: Option<&str>) -> Result<(), Failure> {
    let client = Client::new(server)?;
    // A wrong name or token is told by a problem, which a WebSocket's refusal would hide.
    let view: proto_msgs::api::ConfigView = client.get(&format!("/api/v1/configs/{}", segment(config))).await?;
    let mut cursor = cursor.map(str::to_owned);
    loop {
        let query = cursor.as_ref().map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        let (address, token) = client.socket(&format!("/api/v1/configs/{}/events{query}", view.config.id));
        match follow(&address, token, output, &mut cursor).await {
            Ok(()) => {}
            Err(Broken::Refused(status)) => {
                let detail = format!("the event stream was refused with {status}");
                return Err(Failure::input(detail, "pass the cursor of an event, or none"));
            }
            Err(Broken::Output(failure)) => return Err(failure),
            Err(Broken::Connection(error)) => {
                eprintln!("keyferry: the stream broke off ({error}); it goes on in a moment")
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

enum Broken {
    Refused(u16),
    Connection(String),
    Output(Failure),
}

async fn follow(address: &str, token: &str, output: Output, cursor: &mut Option<String>) -> Result<(), Broken> {
    let broken = |error: tungstenite::Error| {
        if let tungstenite::Error::Http(response) = &error
            && response.status().is_client_error()
        {
            return Broken::Refused(response.status().as_u16());
        }
        Broken::Connection(error.to_string())
    };
    let uri = address.parse().map_err(|_| Broken::Connection(format!("{address} is not an address")))?;
    let request = ClientRequestBuilder::new(uri).with_header("Authorization", format!("Bearer {token}"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.map_err(broken)?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.map_err(broken)? else { continue };
        let event: Event = serde_json::from_str(text.as_str()).map_err(|error| {
            Broken::Output(Failure::of(RequestCode::Unavailable, &error, "run one version on both sides"))
        })?;
        match &event {
            Event::Record { cursor: at, .. } | Event::Run { cursor: at, .. } => *cursor = Some(at.clone()),
            Event::Reset { .. } => {}
        }
        print(output, &event).map_err(Broken::Output)?;
    }
    Ok(())
}

fn print(output: Output, event: &Event) -> Result<(), Failure> {
    // One object a line, so that a pipe can read it as it comes.
    if output == Output::Json {
        println!("{}", serde_json::json!(event));
        return Ok(());
    }
    output::print(output, event, || line(event))
}

fn line(event: &Event) -> String {
    match event {
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
