//! What an operator tells a running installation: one file for each noun, with what can be written and what it does.

mod choice;
pub mod config;
pub mod control;
pub mod deletes;
pub mod drift;
mod edit;
pub mod explain;
pub mod nats;
pub mod plan;
pub mod records;
pub mod runs;
pub mod token;
pub mod watch;
