//! The log and the bus, behind two small ports.
//!
//! [`Streams`] is what JetStream is to Keyferry: appends with compare-and-set, the newest message of a subject, reads in
//! order, and the live feed of what was stored. [`Bus`] is request and reply. [`nats`] is the real thing, [`memory`] its
//! twin, and [`contract`] what both keep. Over the ports lies one typed layer ([`Log`], [`Configs`], [`Leases`],
//! [`Tokens`]), written once, so that a role never sees a subject, a header or a byte.
//!
//! Invariants: every append says what it expects; an answer that did not come is *unknown*, never a failure, and is
//! settled by reading the leader's newest message and comparing the writer's own message id.

pub mod contract;
pub mod memory;
pub mod nats;

mod ask;
mod configs;
mod error;
mod journal;
mod leases;
mod log;
mod ports;
mod tokens;

use std::sync::Arc;

use proto_msgs::subject::Subjects;

pub use ask::{answer, ask, read, tell};
pub use configs::Configs;
pub use error::{AppendError, BusError, ConnectError, LogError, ReadError};
pub use journal::{Entry, LiveEntry};
pub use leases::{LeaseHead, Leases};
pub use log::{EventCursor, Log, LogEvent};
pub use ports::{Append, Bus, Incoming, Live, Outgoing, Select, Stored, Streams};
pub use tokens::Tokens;

/// What a role is given: both ports and the names of this installation. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    pub streams: Arc<dyn Streams>,
    pub bus: Arc<dyn Bus>,
    pub subjects: Subjects,
}

impl Broker {
    /// Connects to NATS.
    pub async fn connect(settings: &nats::NatsSettings) -> Result<Self, ConnectError> {
        let client = Arc::new(nats::NatsClient::connect(settings).await?);
        Ok(Self { streams: client.clone(), bus: client, subjects: settings.subjects()? })
    }

    pub fn log(&self) -> Log {
        Log::new(self.streams.clone(), self.subjects.clone())
    }

    pub fn configs(&self) -> Configs {
        Configs::new(self.streams.clone(), self.subjects.clone())
    }

    pub fn leases(&self) -> Leases {
        Leases::new(self.streams.clone(), self.subjects.clone())
    }

    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.streams.clone(), self.subjects.clone())
    }
}
