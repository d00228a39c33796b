//! What is printed: figures with their targets, and what they were measured on.

use std::{process::Command, time::Duration};

use anyhow::Result;

use crate::{figures::Figures, parts::Part};

/// Records a second, without limits.
const SPEED_TARGET: f64 = 800.0;
/// One read of the source, one look at the target, one write.
const CALLS_TARGET: f64 = 3.0;
/// Above what the limits allow at best.
const FLOOR_TARGET_PERCENT: f64 = 5.0;
const THROTTLED_TARGET_PERCENT: f64 = 1.0;
/// Azure's limit: 300 creating writes in any ten seconds, so 300 at once and then 30 a second.
const BURST: usize = 300;
const RATE_PER_SECOND: f64 = 30.0;

pub fn header(sizes: &(usize, usize), latency_ms: u64, workers: usize) -> Result<()> {
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
    println!("sizes: {} secrets without limits, {} with Azure's", sizes.0, sizes.1);
    Ok(())
}

pub fn print(part: Part, secrets: usize, figures: &Figures) -> Result<()> {
    match part {
        Part::Free => println!("\n{secrets} secrets, limits off"),
        Part::Limits => println!("\n{secrets} secrets, Azure's limits"),
    }
    line("listing and plan", &seconds(figures.listing), None);
    line("first intent to last outcome", &seconds(figures.syncing), None);
    match part {
        Part::Free => {
            let speed = figures.records_per_second();
            line("records per second", &format!("{speed:.0}"), Some((speed >= SPEED_TARGET, ">= 800")));
        }
        Part::Limits => limits(secrets, figures),
    }
    let calls = figures.calls_per_record();
    line("calls per record", &format!("{calls:.3}"), Some((calls <= CALLS_TARGET, "<= 3")));
    line("per record, p50 / p99", &format!("{} / {}", millis(figures.p50), millis(figures.p99)), None);
    for (name, bytes) in &figures.memory {
        line(&format!("peak memory, {name}"), &format!("{:.0} MB", *bytes as f64 / 1e6), None);
    }
    line("items equal on both sides", &format!("{} of {secrets}", figures.records), None);
    Ok(())
}

fn limits(secrets: usize, figures: &Figures) {
    let floor = secrets.saturating_sub(BURST) as f64 / RATE_PER_SECOND;
    let above = (figures.syncing.as_secs_f64() / floor - 1.0) * 100.0;
    line("above the floor", &format!("{above:.1} % of {floor:.1} s"), Some((above <= FLOOR_TARGET_PERCENT, "<= 5 %")));
    let share = figures.throttled as f64 / figures.calls as f64 * 100.0;
    line(
        "429s",
        &format!("{} ({share:.2} % of calls)", figures.throttled),
        Some((share < THROTTLED_TARGET_PERCENT, "< 1 %")),
    );
}

fn line(what: &str, value: &str, target: Option<(bool, &str)>) {
    let verdict = target
        .map_or_else(String::new, |(met, target)| format!("  target {target}: {}", if met { "met" } else { "MISSED" }));
    println!("  {what:<30} {value:>22}{verdict}");
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
