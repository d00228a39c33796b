//! Makes the streams: under an identity of its own, never a role's.
//!
//! Repeatable: what exists is brought to the definitions, where NATS allows it. The audit stream comes last and is waited
//! for: a server that does not find a source at once looks again only after ten seconds, and what the source's limits
//! drop until then would be missing from the audit silently.

use std::time::Duration;

use async_nats::jetstream::{Context, context::CreateStreamErrorKind, stream::Config};

use super::{client::NatsClient, definitions, settings::NatsSettings};
use crate::error::ConnectError;

/// How often a server is asked that does not answer in time, five seconds each: a cluster that has just started elects a
/// leader for each stream first.
const ANSWERS_AWAITED: u32 = 6;
/// Longest until a stream hears of all its sources: the server's second try, and some.
const SOURCES_LIMIT: Duration = Duration::from_secs(30);
/// How often that is looked at; it usually takes a fifth of a second.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Makes every stream and bucket, or brings it up to date.
pub async fn provision(settings: &NatsSettings, replicas: usize) -> Result<(), ConnectError> {
    let subjects = settings.subjects()?;
    let client = NatsClient::connect(settings).await?;
    for config in definitions::streams(&subjects, replicas) {
        let (stream, sources) = (config.name.clone(), config.sources.as_ref().map_or(0, Vec::len));
        let failed = |message: String| ConnectError::Provision { stream: stream.clone(), message };
        make(&client.jetstream, config).await.map_err(failed)?;
        sources_are_heard(&client.jetstream, &stream, sources).await.map_err(failed)?;
    }
    Ok(())
}

async fn make(jetstream: &Context, config: Config) -> Result<(), String> {
    let mut asked = 0;
    loop {
        asked += 1;
        match jetstream.create_or_update_stream(config.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == CreateStreamErrorKind::TimedOut && asked < ANSWERS_AWAITED => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn sources_are_heard(jetstream: &Context, stream: &str, wanted: usize) -> Result<(), String> {
    if wanted == 0 {
        return Ok(());
    }
    let looking = async {
        loop {
            let found = jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
            let heard = found.cached_info().sources.iter().filter(|source| source.active.is_some()).count();
            if heard >= wanted {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(SOURCES_LIMIT, looking).await {
        Ok(heard) => heard,
        Err(_) => Err(format!("some of its sources were not heard within {} s", SOURCES_LIMIT.as_secs())),
    }
}
