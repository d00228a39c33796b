//! What an operator tells a running installation.

pub mod config;
pub mod explain;
pub mod nats;
pub mod records;
pub mod runs;
pub mod token;
pub mod watch;
