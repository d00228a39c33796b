//! How a worker is started.

use serde::Deserialize;

/// Attempts at once: with Azure at 20 ms a call and three calls each, this many keep a worker's core busy.
const ATTEMPTS: u32 = 256;

/// What can be set of a worker, besides NATS and Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Attempts under way at once; also bounds how many values are in memory.
    pub attempts: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { attempts: ATTEMPTS }
    }
}

impl WorkerSettings {
    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), String> {
        if (1..=10_000).contains(&self.attempts) { Ok(()) } else { Err("worker.attempts: give 1 to 10000".to_owned()) }
    }
}
