//! What is computed from the log: speed, latency, and how long listing took.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{Run, Status, Timestamp, api::RecordView};

/// What one part measured.
#[derive(Debug)]
pub struct Figures {
    pub times: Times,
    pub records: usize,
    /// Reads and writes on both vaults, listings excluded.
    pub calls: u64,
    pub throttled: u64,
    /// Peak memory of each process, in bytes.
    pub memory: Vec<(String, u64)>,
}

impl Figures {
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.times.syncing.as_secs_f64()
    }

    pub fn calls_per_record(&self) -> f64 {
        self.calls as f64 / self.records as f64
    }
}

/// Times of one run, from its records' histories.
///
/// A record is meant to be sent the moment it is appended as `pending`: everything is due at once, and what waits for a
/// permit or for room on a worker waits on the clock.
#[derive(Debug, PartialEq, Eq)]
pub struct Times {
    /// From the start of the run to the first record that is due: listing both vaults, and the plan.
    pub listing: Duration,
    /// From the first record that is due to the last outcome.
    pub syncing: Duration,
    /// From due to outcome, each record: mostly waiting, as all are due at once.
    pub sojourn: Quantiles,
    /// From intent to outcome, each record's last attempt.
    pub attempt: Quantiles,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Quantiles {
    pub p50: Duration,
    pub p99: Duration,
}

impl Times {
    pub fn of(run: &Run, stories: &[RecordView]) -> Result<Self> {
        let (mut sojourns, mut attempts) = (Vec::with_capacity(stories.len()), Vec::with_capacity(stories.len()));
        let (mut first, mut last): (Option<Timestamp>, Option<Timestamp>) = (None, None);
        for story in stories {
            let record = &story.record;
            ensure!(record.status == Status::Active, "{} is {}, not active", record.id, record.status);
            let is_due = |past: &&RecordView| past.record.status == Status::Pending && past.record.run == Some(run.id);
            let due = story.history.iter().rfind(is_due).with_context(|| format!("{} was never due", record.id))?.at;
            let attempt = record.last_attempt.as_ref().with_context(|| format!("{} was never attempted", record.id))?;
            sojourns.push(story.at.since(due));
            attempts.push(story.at.since(attempt.started));
            first = Some(first.map_or(due, |first| first.min(due)));
            last = last.max(Some(story.at));
        }
        let (first, last) = first.zip(last).context("there are no records")?;
        Ok(Self {
            listing: first.since(run.started),
            syncing: last.since(first),
            sojourn: Quantiles::of(sojourns),
            attempt: Quantiles::of(attempts),
        })
    }
}

impl Quantiles {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { p50: quantile(&durations, 0.50), p99: quantile(&durations, 0.99) }
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
