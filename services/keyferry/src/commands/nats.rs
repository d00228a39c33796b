//! Preparing NATS.

use crate::{cli::Nats, failure::Failure, settings::Settings};

pub async fn run(command: Nats) -> Result<(), Failure> {
    let Nats::Provision { settings, nats, replicas } = command;
    let settings = Settings::load(settings.as_deref(), nats.as_deref())?;
    broker::nats::provision(&settings.nats, usize::from(replicas)).await?;
    eprintln!("streams are ready at {}", settings.nats.url);
    Ok(())
}
