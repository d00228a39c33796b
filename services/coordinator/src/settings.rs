//! How a coordinator is started.

use domain::pacing;
use serde::Deserialize;

/// What can be set of a coordinator, besides NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoordinatorSettings {
    /// Creating writes (secret set, certificate import) per vault in any ten seconds; 0: no limit.
    pub creating_writes_per_10s: u32,
    /// Reads and listings per vault in any ten seconds; 0: no limit. The customer's own programs read there too.
    pub reads_per_10s: u32,
}

/// An attempt reads this often at most, that of a key; a budget below would let others pass it for ever.
const READS_LEAST: u32 = 3;

impl CoordinatorSettings {
    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), String> {
        match self.reads_per_10s {
            0 | READS_LEAST.. => Ok(()),
            _ => Err(format!("coordinator.reads_per_10s: give 0 for no limit, or at least {READS_LEAST}")),
        }
    }
}

impl Default for CoordinatorSettings {
    fn default() -> Self {
        Self { creating_writes_per_10s: pacing::CREATING_WRITES, reads_per_10s: pacing::READS }
    }
}
