//! The load test: how fast a vault is filled, what it costs in calls and memory, and that every item arrived.
//!
//! Four parts. *Free*: many secrets, an emulator that takes its time over each call and refuses none; shows what
//! Keyferry itself can do. *Limits*: Azure's own limits; shows how close to what they allow it comes, and how seldom it
//! is refused. *Failover*: how long records wait when the role that had them is killed. *Fairness*: how long a small
//! config waits for a large one. Every figure comes from the log and from the emulator's own counts, never from a role's opinion of
//! itself; a run whose items are not all equal on both sides, written once each, has no figures; and a missed target is
//! a failure.

mod failover;
mod fairness;
mod figures;
mod parts;
mod report;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::{parts::Part, report::Report};

/// What is loaded, and how much of it.
#[derive(Debug, Parser)]
#[command(about = "Fill a vault and measure it")]
struct Args {
    /// Sizes that take seconds; the figures say nothing about speed.
    #[arg(long)]
    smoke: bool,
    /// Secrets of the part without limits.
    #[arg(long, default_value_t = 10_000)]
    free: usize,
    /// Secrets of the part with Azure's limits.
    #[arg(long, default_value_t = 3_000)]
    limited: usize,
    /// Secrets while roles are killed.
    #[arg(long, default_value_t = 4_000)]
    failover: usize,
    /// Secrets of the large config beside small ones.
    #[arg(long, default_value_t = 20_000)]
    fairness: usize,
    /// Milliseconds the emulator takes over each call.
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// Workers to start.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Run only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// Secrets of each part.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    free: usize,
    limited: usize,
    failover: usize,
    fairness: usize,
}

impl Args {
    /// Enough for every step to happen, a second page and a second window among them.
    const SMOKE: Sizes = Sizes { free: 200, limited: 320, failover: 1_200, fairness: 1_500 };

    fn sizes(&self) -> Sizes {
        let Self { free, limited, failover, fairness, .. } = *self;
        if self.smoke { Self::SMOKE } else { Sizes { free, limited, failover, fairness } }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    let sizes = args.sizes();
    report::header(args.latency_ms, args.workers)?;
    let mut report = Report::new(!args.smoke);
    for part in Part::value_variants() {
        if args.only.is_none_or(|only| only == *part) {
            run(*part, &sizes, &args, &mut report).await.with_context(|| format!("the part {part:?} of {sizes:?}"))?;
        }
    }
    ensure!(report.missed().is_empty(), "targets missed: {}", report.missed().join(", "));
    Ok(())
}

async fn run(part: Part, sizes: &Sizes, args: &Args, report: &mut Report) -> Result<()> {
    let latency = Duration::from_millis(args.latency_ms);
    match part {
        Part::Free => report.free(&parts::fill(false, sizes.free, latency, args.workers).await?),
        Part::Limits => report.limits(&parts::fill(true, sizes.limited, latency, args.workers).await?),
        Part::Failover => {
            // Slow enough for many attempts to be open when it dies.
            let latency = latency * 5;
            report.failover("worker", &failover::worker(sizes.failover, latency).await?);
            report.failover("coordinator", &failover::coordinator(sizes.failover, latency).await?);
        }
        Part::Fairness => report.fairness(sizes.fairness, &fairness::run(sizes.fairness, latency).await?),
    }
    Ok(())
}
