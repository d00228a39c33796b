//! The emulator's admin listener: what was called, and what shall go wrong.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// The admin listener of one emulator.
#[derive(Debug, Clone)]
pub struct EmulatorAdmin {
    http: reqwest::Client,
    base: String,
}

/// Calls by vault and operation, those Azure would count.
#[derive(Debug, Clone, Default)]
pub struct Counts(pub BTreeMap<(String, String), u64>);

impl Counts {
    /// Calls of one operation on one vault.
    pub fn of(&self, vault: &str, operation: &str) -> u64 {
        self.0.get(&(vault.to_owned(), operation.to_owned())).copied().unwrap_or(0)
    }

    /// Calls of every operation that `wanted` takes, on every vault.
    pub fn total(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|((_, operation), _)| wanted(operation)).map(|(_, count)| count).sum()
    }
}
