//! What is computed from the log: speed, latency, and how long listing took.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{Run, Status, Timestamp, api::RecordView};

/// What one part measured.
#[derive(Debug)]
pub struct Figures {
    /// From the start of the run to the first dispatched record: listing both vaults, and the plan.
    pub listing: Duration,
    /// From the first intent to the last outcome.
    pub syncing: Duration,
    pub records: usize,
    /// Reads and writes on both vaults, listings excluded.
    pub calls: u64,
    pub throttled: u64,
    pub p50: Duration,
    pub p99: Duration,
    /// Peak memory of each process, in bytes.
    pub memory: Vec<(String, u64)>,
}

impl Figures {
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.syncing.as_secs_f64()
    }

    pub fn calls_per_record(&self) -> f64 {
        self.calls as f64 / self.records as f64
    }
}

/// Times of one run, from what its records say of their last attempts.
#[derive(Debug)]
pub struct Times {
    pub listing: Duration,
    pub syncing: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

impl Times {
    pub fn of(run: &Run, records: &[RecordView]) -> Result<Self> {
        let mut durations = Vec::with_capacity(records.len());
        let (mut first, mut last): (Option<Timestamp>, Option<Timestamp>) = (None, None);
        for view in records {
            let record = &view.record;
            ensure!(record.status == Status::Active, "{} is {}, not active", record.id, record.status);
            let attempt = record.last_attempt.as_ref().with_context(|| format!("{} was never attempted", record.id))?;
            durations.push(Duration::from_millis(attempt.duration_ms));
            first = Some(first.map_or(attempt.started, |first| first.min(attempt.started)));
            last = last.max(Some(view.at));
        }
        durations.sort_unstable();
        let (first, last) = first.zip(last).context("there are no records")?;
        Ok(Self {
            listing: first.since(run.started),
            syncing: last.since(first),
            p50: quantile(&durations, 0.50),
            p99: quantile(&durations, 0.99),
        })
    }
}

/// The value at or below which a share of `sorted` lies (nearest rank).
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let hundred: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(quantile(&hundred, 0.50), Duration::from_millis(50));
        assert_eq!(quantile(&hundred, 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&hundred[..1], 0.99), Duration::from_millis(1));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
