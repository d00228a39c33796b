//! The worker: hosts record actors, and answers what only a process with an Azure identity can.
//!
//! Invariants: a value lives in the future that syncs one record and nowhere else; nothing is written to a vault without
//! an intent in the log, nor while NATS is not heard; nothing is kept between attempts but fences. Any number of workers
//! run side by side and know nothing of each other. Deliberately absent: deciding what to sync, retries and pacing (the
//! coordinator's), disk.

mod actor;
mod attempt;
mod error;
mod feeds;
mod fences;
mod metrics;
mod pulse;
mod queries;
mod serve;
mod settings;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod stage;

use std::sync::Arc;

use broker::Broker;
use runtime::{Origin, Shutdown};
use vault::Vaults;

pub use error::{RecordError, WorkerError};
pub use metrics::Metrics;
pub use settings::WorkerSettings;

/// What a worker works with.
#[derive(Clone)]
pub struct WorkerParts {
    pub broker: Broker,
    pub vaults: Arc<dyn Vaults>,
    pub origin: Origin,
    pub metrics: Arc<Metrics>,
}

/// Serves until told to drain or stop. Runs inside an actix system.
pub async fn run(settings: WorkerSettings, parts: WorkerParts, shutdown: Shutdown) -> Result<(), WorkerError> {
    serve::run(settings, parts, shutdown).await
}
