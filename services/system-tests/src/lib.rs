//! The whole system as real processes, for tests and for the load test.
//!
//! A [`Cluster`] starts nats-server, the emulator and every role as a process of its own, in a folder that goes with
//! it, so that each of them can be killed, stopped and continued as a machine would. Deliberately absent: anything that
//! knows how a role works inside; what is asked and checked goes through the REST API, the command line, the emulator's
//! admin listener and the vaults themselves.

mod api;
mod azure;
mod cluster;
mod emulator;
mod estate;
mod http;
mod line;
mod marker;
mod nats;
mod ports;
mod process;
mod tap;
mod tools;
mod wait;

pub use api::Api;
pub use azure::{AzureReader, ItemAttributes, SecretBundle};
pub use cluster::{Cluster, ClusterBuilder};
pub use emulator::{Counts, EmulatorAdmin};
pub use estate::{CLIENT_ID, CLIENT_SECRET, EstateBuilder, SUBSCRIPTION, TENANT};
pub use line::TcpLine;
pub use marker::Marker;
pub use nats::{NatsCluster, NatsServer};
pub use ports::{free as free_ports, free_pair};
pub use process::Process;
pub use tap::NatsTap;
pub use tools::{Tools, workspace};
pub use wait::{until, within};
