//! The load test: how fast a vault is filled, what it costs in calls and memory, and that every item arrived.
//!
//! Two parts. *Free*: many secrets, an emulator that takes its time over each call and refuses none; shows what
//! Keyferry itself can do. *Limits*: Azure's own limits; shows how close to what they allow it comes, and how seldom it
//! is refused. Every figure comes from the log and from the emulator's own counts, never from a role's opinion of
//! itself; a run whose items are not all equal on both sides, written once each, has no figures; and a missed target is
//! a failure.

mod figures;
mod parts;
mod report;

use anyhow::{Context, Result, ensure};
use clap::Parser;

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

impl Args {
    /// Enough for every step to happen, a second page and a second window among them.
    const SMOKE: (usize, usize) = (200, 320);

    fn sizes(&self) -> (usize, usize) {
        if self.smoke { Self::SMOKE } else { (self.free, self.limited) }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    report::header(&args.sizes(), args.latency_ms, args.workers)?;
    let (free, limited) = args.sizes();
    let mut report = Report::new(!args.smoke);
    for (part, secrets) in [(Part::Free, free), (Part::Limits, limited)] {
        if args.only.is_none_or(|only| only == part) {
            let figures = parts::run(part, secrets, args.latency_ms, args.workers)
                .await
                .with_context(|| format!("the part {part:?} of {secrets} secrets"))?;
            report.part(part, &figures);
        }
    }
    ensure!(report.missed().is_empty(), "targets missed: {}", report.missed().join(", "));
    Ok(())
}
