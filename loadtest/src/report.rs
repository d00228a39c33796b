//! What is printed: figures with their targets, and what they were measured on.

use std::{process::Command, time::Duration};

use anyhow::Result;

use crate::{
    failover::Failover,
    fairness::{Fairness, SMALL},
    figures::{Figures, Quantiles},
};

/// Records a second, without limits.
const SPEED_TARGET: f64 = 800.0;
/// One read of the source, one look at the target, one write.
const CALLS_TARGET: f64 = 3.0;
/// Above what the limits allow at best.
const FLOOR_TARGET_PERCENT: f64 = 5.0;
const THROTTLED_TARGET_PERCENT: f64 = 1.0;
/// After a kill: of records that nobody was attempting, and of those that somebody was.
const NEXT_OUTCOME_TARGET: Duration = Duration::from_secs(6);
const OPEN_TARGET: Duration = Duration::from_secs(35);
/// A small config's cycle beside a large one, in times of its cycle alone.
const FAIR_TARGET: f64 = 2.0;
/// Two configs of one weight that write to one vault: at least one in so many for the small one, its ramp included.
const SHARE_AT_LEAST: usize = 4;
/// Azure's limit: 300 creating writes in any ten seconds, so 300 at once and then 30 a second.
const BURST: usize = 300;
const RATE_PER_SECOND: f64 = 30.0;

pub fn header(latency_ms: u64, workers: usize) -> Result<()> {
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = commit
        .ok()
        .filter(|out| out.status.success())
        .map_or_else(|| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    println!(
        "commit {commit}; {cores} cores of {model}; latency {latency_ms} ms; {workers} workers; seed: none, the estate is fixed"
    );
    println!("due: appended as pending, which is when a record is meant to be sent; all are due at once");
    Ok(())
}

/// Figures as they are printed, and which of them missed their targets.
pub struct Report {
    has_verdicts: bool,
    missed: Vec<String>,
}

impl Report {
    /// Without verdicts for sizes that say nothing about speed.
    pub fn new(has_verdicts: bool) -> Self {
        Self { has_verdicts, missed: Vec::new() }
    }

    /// Names of the figures that missed their targets.
    pub fn missed(&self) -> &[String] {
        &self.missed
    }

    pub fn free(&mut self, figures: &Figures) {
        println!("\n{} secrets, limits off", figures.records);
        self.filled(figures);
        let speed = figures.records_per_second();
        self.judged("records per second", &format!("{speed:.0}"), speed >= SPEED_TARGET, ">= 800");
    }

    pub fn limits(&mut self, figures: &Figures) {
        println!("\n{} secrets, Azure's limits", figures.records);
        self.filled(figures);
        match above_floor(figures.records, figures.times.syncing) {
            Some((above, floor)) => {
                let value = format!("{above:.1} % of {floor:.1} s");
                self.judged("above the floor", &value, above <= FLOOR_TARGET_PERCENT, "<= 5 %");
            }
            None => plain("above the floor", "all fit into one window"),
        }
        let share = figures.throttled as f64 / figures.calls as f64 * 100.0;
        let value = format!("{} ({share:.2} % of calls)", figures.throttled);
        self.judged("429s", &value, share < THROTTLED_TARGET_PERCENT, "< 1 %");
    }

    fn filled(&mut self, figures: &Figures) {
        let (secrets, times) = (figures.records, &figures.times);
        plain("listing and plan", &seconds(times.listing));
        plain("first due to last outcome", &seconds(times.syncing));
        let calls = figures.calls_per_record();
        self.judged("calls per record", &format!("{calls:.3}"), calls <= CALLS_TARGET, "<= 3");
        plain("due to outcome, p50 / p99", &quantiles(&times.sojourn));
        plain("intent to outcome, p50 / p99", &quantiles(&times.attempt));
        for (name, bytes) in &figures.memory {
            plain(&format!("peak memory, {name}"), &format!("{:.0} MB", *bytes as f64 / 1e6));
        }
        plain("equal on both sides, once each", &format!("{secrets} of {secrets}"));
    }

    pub fn failover(&mut self, role: &str, failover: &Failover) {
        println!("\nkill -9 of a {role}");
        let next = failover.next;
        self.judged("to the next outcome", &seconds(next), next < NEXT_OUTCOME_TARGET, "< 6 s");
        match failover.open {
            Some((last, count)) => {
                let value = format!("{} ({count} open)", seconds(last));
                self.judged("to the last of those open", &value, last <= OPEN_TARGET, "<= 35 s");
            }
            None => plain("to the last of those open", "none was open"),
        }
    }

    pub fn fairness(&mut self, large: usize, fairness: &Fairness) {
        println!("\n{SMALL} secrets beside {large} that are being filled, Azure's limits");
        let (alone, beside) = (&fairness.alone, &fairness.beside);
        plain(&format!("their cycle, alone, median of {}", alone.len()), &spread(alone));
        plain("on vaults of their own", &spread(beside));
        let ratio = median(beside).as_secs_f64() / median(alone).as_secs_f64();
        self.judged("longer than alone, by", &format!("{ratio:.2} times"), ratio <= FAIR_TARGET, "<= 2 times");
        plain("into the same target vault", &seconds(fairness.shared));
        let (small, large) = (fairness.small_meanwhile, fairness.large_meanwhile);
        let has_share = large > 0 && small * SHARE_AT_LEAST >= large;
        self.judged("written meanwhile, small / large", &format!("{small} / {large}"), has_share, "1 to 4 at least");
    }

    fn judged(&mut self, what: &str, value: &str, is_met: bool, target: &str) {
        if !self.has_verdicts {
            return plain(what, value);
        }
        println!("  {what:<32} {value:>22}  target {target}: {}", if is_met { "met" } else { "MISSED" });
        if !is_met {
            self.missed.push(what.to_owned());
        }
    }
}

/// By how many per cent it took longer than the limits allow at best, and what they allow in seconds; none where nobody
/// has to wait.
fn above_floor(secrets: usize, taken: Duration) -> Option<(f64, f64)> {
    let waiting = secrets.checked_sub(BURST).filter(|waiting| *waiting > 0)?;
    let floor = waiting as f64 / RATE_PER_SECOND;
    Some(((taken.as_secs_f64() / floor - 1.0) * 100.0, floor))
}

/// The one in the middle, of any that are sorted.
fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn spread(sorted: &[Duration]) -> String {
    let ends =
        sorted.first().zip(sorted.last()).map(|(least, most)| format!(" ({}-{})", seconds(*least), seconds(*most)));
    format!("{}{}", seconds(median(sorted)), ends.unwrap_or_default())
}

fn plain(what: &str, value: &str) {
    println!("  {what:<32} {value:>22}");
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn quantiles(quantiles: &Quantiles) -> String {
    format!("{} / {} ms", quantiles.p50.as_millis(), quantiles.p99.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_one_window_has_no_floor() {
        assert_eq!(above_floor(0, Duration::ZERO), None);
        assert_eq!(above_floor(300, Duration::from_secs(1)), None);
        assert_eq!(above_floor(3_000, Duration::from_secs(180)), Some((100.0, 90.0)));
    }

    #[test]
    fn of_several_cycles_the_middle_one_counts_and_the_ends_are_told() {
        let seconds = [1, 2, 9].map(Duration::from_secs);
        assert_eq!(spread(&seconds), "2.00 s (1.00 s-9.00 s)");
    }

    #[test]
    fn a_smoke_run_misses_nothing_and_a_full_one_tells() {
        for (has_verdicts, missed) in [(false, 0), (true, 1)] {
            let mut report = Report::new(has_verdicts);
            report.judged("speed", "7", false, ">= 8");
            report.judged("calls", "3", true, "<= 3");
            assert_eq!(report.missed().len(), missed);
        }
    }
}
