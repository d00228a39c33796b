//! The steps of a run: names and times each, keeps count, and prints the table at the end.
//!
//! Invariants: the first failure stops what follows unless told otherwise, and what did not run is listed as such;
//! the line of counts never says "0 failed" after a failure. Deliberately absent: what the steps do.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::counts::Counts;

pub struct Report {
    keep_going: bool,
    entries: Vec<Entry>,
    clock: Stopwatch,
}

struct Entry {
    name: String,
    verdict: Verdict,
    took: Duration,
    counts: Counts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed,
    NotRun,
}

impl Report {
    pub fn new(keep_going: bool) -> Self {
        Self { keep_going, entries: Vec::new(), clock: Stopwatch::start() }
    }

    /// Runs one step, unless an earlier one failed. What it counts is kept even when it fails half way.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce(&mut Counts) -> Result<T>) -> Option<T> {
        if self.failed() && !self.keep_going {
            self.skip(name);
            return None;
        }
        println!("\n==> {name}");
        let clock = Stopwatch::start();
        let mut counts = Counts::default();
        let result = work(&mut counts);
        let took = clock.elapsed();
        let verdict = if result.is_ok() { Verdict::Ok } else { Verdict::Failed };
        self.entries.push(Entry { name: name.to_owned(), verdict, took, counts });
        match result {
            Ok(value) => {
                println!("<== {name}: ok, {}", spell(took));
                Some(value)
            }
            Err(error) => {
                println!("<== {name}: FAILED, {}: {error:#}", spell(took));
                None
            }
        }
    }

    /// Lists a step that cannot run because one before it failed.
    pub fn skip(&mut self, name: &str) {
        let (took, counts) = (Duration::ZERO, Counts::default());
        self.entries.push(Entry { name: name.to_owned(), verdict: Verdict::NotRun, took, counts });
    }

    pub fn failed(&self) -> bool {
        self.entries.iter().any(|entry| entry.verdict == Verdict::Failed)
    }

    /// Prints the table and, last, the line of counts where tests were asked for: then none at all is a failure.
    pub fn finish(mut self, with_counts: bool) -> ExitCode {
        if with_counts && !self.failed() && self.counts().passed == 0 {
            self.step("any test at all", |_| bail!("no test was run: is the filter right?") as Result<()>);
        }
        println!("\n{}", self.table());
        if with_counts {
            println!("{}", self.counts());
        }
        if self.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn table(&self) -> String {
        let width = self.entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0).max("total".len());
        let mut table = String::new();
        for entry in &self.entries {
            let verdict = match entry.verdict {
                Verdict::Ok => "ok",
                Verdict::Failed => "FAILED",
                Verdict::NotRun => "not run",
            };
            let tests = if entry.counts.is_empty() { String::new() } else { entry.counts.to_string() };
            let line = format!("{:width$}  {verdict:7}  {:>12}  {tests}", entry.name, spell(entry.took));
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table.push_str(&format!("{:width$}  {:7}  {:>12}\n", "total", "", spell(self.clock.elapsed())));
        table
    }

    /// The sum over all steps. A step that failed without naming a failed test (a lint, a build, a crash) counts
    /// as one failure, because a reader of this line alone must not take the run for a good one.
    fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for entry in &self.entries {
            sum.add(entry.counts);
            if entry.verdict == Verdict::Failed && entry.counts.failed == 0 {
                sum.failed += 1;
            }
        }
        sum
    }
}

/// Wall time for people to read.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "durations are shown to a person; nothing is decided by them")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn spell(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stops_what_follows_and_the_rest_is_listed() {
        let mut report = Report::new(false);
        report.step("first", |_| bail!("broken") as Result<()>);

        assert!(report.step("second", |_| Ok(())).is_none());

        assert!(report.table().contains("second  not run"), "{}", report.table());
    }

    #[test]
    fn keep_going_runs_what_follows_a_failure() {
        let mut report = Report::new(true);
        report.step("first", |_| bail!("broken") as Result<()>);

        assert!(report.step("second", |_| Ok(())).is_some());
        assert!(report.failed());
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts_as_one_failure() {
        let mut report = Report::new(true);
        report.step("lint", |_| bail!("broken") as Result<()>);
        report.step("unit", |counts| {
            counts.add(Counts { passed: 3, failed: 2, skipped: 0 });
            bail!("2 tests failed") as Result<()>
        });

        assert_eq!(report.counts(), Counts { passed: 3, failed: 3, skipped: 0 });
    }

    #[test]
    fn a_run_without_a_single_test_is_no_success() {
        let mut report = Report::new(false);
        report.step("unit", |_| Ok(()));

        assert_eq!(report.finish(true), ExitCode::FAILURE);
    }

    #[test]
    fn a_run_that_was_not_to_test_needs_no_tests() {
        let mut report = Report::new(false);
        report.step("lint", |_| Ok(()));

        assert_eq!(report.finish(false), ExitCode::SUCCESS);
    }

    #[test]
    fn durations_read_well_on_both_sides_of_a_minute() {
        assert_eq!(spell(Duration::from_millis(4_250)), "4.2 s");
        assert_eq!(spell(Duration::from_secs(61)), "1 min 01 s");
    }
}
