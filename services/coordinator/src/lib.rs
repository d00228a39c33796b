//! The coordinator: decides, for the slots it owns, what every record of every config needs, and when.
//!
//! One actor per config, one per vault, and one loop that holds the leases and hears the fleet. Invariants: nothing is
//! decided for a slot whose lease may have lapsed; every append is by compare-and-set and every command carries the
//! epoch, so that an owner too many does no harm; events are hints, and whatever must not be missed has a timer and a
//! read from the log's leader. Deliberately absent: an Azure identity, and values.

mod brake;
mod claims;
mod config_actor;
mod error;
#[cfg(test)]
mod fixtures;
mod fleet;
mod membership;
mod service;
mod settings;
mod slots;
mod tenure;
mod vault_actor;

use broker::{Broker, Entry, LogError};
use proto_msgs::{CorrelationId, Record, Sequence};
use runtime::{Origin, Shutdown};

pub use error::CoordinatorError;
pub use settings::CoordinatorSettings;

/// What a coordinator works with. Cheap to clone.
#[derive(Clone)]
pub struct CoordinatorParts {
    pub broker: Broker,
    pub origin: Origin,
}

impl CoordinatorParts {
    /// Appends a record's next state, if `expected` is still its newest; gives it as the log has it.
    async fn append(
        &self,
        correlation: CorrelationId,
        record: Record,
        expected: Sequence,
    ) -> Result<Entry<Record>, LogError> {
        let envelope = self.origin.envelope(correlation, record);
        let sequence = self.broker.log().append_record(&envelope, expected).await?;
        Ok(Entry { time: envelope.time, envelope, sequence })
    }
}

/// Coordinates until told to leave. Runs inside an actix system.
pub async fn run(
    settings: CoordinatorSettings,
    parts: CoordinatorParts,
    shutdown: Shutdown,
) -> Result<(), CoordinatorError> {
    service::run(settings, parts, shutdown).await
}

#[cfg(test)]
mod tests;
