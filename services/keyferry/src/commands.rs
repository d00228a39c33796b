//! What an operator tells a running installation: one file for each noun, with what can be written and what it does.

pub mod config;
pub mod explain;
pub mod nats;
pub mod records;
pub mod runs;
pub mod token;
pub mod watch;
