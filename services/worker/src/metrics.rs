//! What a worker counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one worker, handed in so that tests can read them.
#[derive(Debug, Default)]
pub struct Metrics {
    pub attempts_started_total: AtomicU64,
    pub intents_refused_total: AtomicU64,
    pub outcomes_refused_total: AtomicU64,
    pub commands_stale_total: AtomicU64,
    pub commands_busy_total: AtomicU64,
}

impl Metrics {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
