//! What a small config has to wait for while a large one is being filled, under Azure's limits.
//!
//! Small configs alike: some alone, some beside the large one on vaults of their own, one after the other, and one into
//! the large one's own target vault. Of each kind the median counts, since a single cycle is short: what else the
//! machine does just then moves it by a multiple.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{ConfigId, Run, Status, Timestamp, run::RunEnd};
use serde_json::Value;
use system_tests::{Cluster, ClusterBuilder, EstateBuilder};

use crate::parts::{LIMIT, SOURCE, TARGET, named};

/// Secrets of each small config.
pub const SMALL: usize = 50;
/// So many of the large one's are done when the others begin: more than fit into the first window.
const BEGUN: u64 = 330;
/// Small configs on vaults of their own of each kind; odd, so that one is in the middle.
const CYCLES: usize = 5;

#[derive(Debug)]
pub struct Fairness {
    /// Cycles of small configs, the shortest first: alone, and beside the large one on other vaults.
    pub alone: Vec<Duration>,
    pub beside: Vec<Duration>,
    /// One into the large one's target: from its first record that is due to its last outcome, and what was written of
    /// either meanwhile.
    pub shared: Duration,
    pub small_meanwhile: usize,
    pub large_meanwhile: usize,
}

pub async fn run(large: usize, latency: Duration) -> Result<Fairness> {
    let cluster = start(large, latency).await?;
    let alone = cycles(&cluster, "alone").await?;

    let big = cluster.api().create(named("large", SOURCE, TARGET)).await?.config.id;
    cluster.api().active(&big, BEGUN, LIMIT).await?;
    let beside = cycles(&cluster, "beside").await?;
    let (small, run) = fill(&cluster, "shared", TARGET).await?;
    let until = run.ended.context("it did not end")?;

    let view = cluster.api().config(&big).await?;
    let left = view.summary.context("no coordinator answers")?.by_status.get(&Status::Pending).copied();
    ensure!(left.unwrap_or(0) > 0, "the large config was filled before the small ones were");
    let own = done(&cluster, &small, run.started, until).await?;
    let from = own.iter().min().copied().context("nothing was done")?;
    Ok(Fairness {
        alone,
        beside,
        shared: until.since(run.started),
        small_meanwhile: own.len(),
        large_meanwhile: done(&cluster, &big, from, until).await?.len(),
    })
}

async fn start(large: usize, latency: Duration) -> Result<Cluster> {
    let mut estate = EstateBuilder::new().vault(SOURCE, "westeurope", large).vault(TARGET, "northeurope", 0);
    let own = ["alone", "beside"].into_iter().flat_map(names);
    for name in own.chain(["shared".to_owned()]) {
        let items = format!("        items: {{ secrets: [{{ name: \"{name}-{{n}}\", count: {SMALL} }}] }}\n");
        estate = estate.vault_with(&source(&name), "westeurope", &items).vault(&target(&name), "northeurope", 0);
    }
    ClusterBuilder::new(estate).latency(latency).azure_limits().start().await
}

fn names(kind: &str) -> impl Iterator<Item = String> {
    (1..=CYCLES).map(move |number| format!("{kind}-{number}"))
}

fn source(name: &str) -> String {
    format!("{name}-source-kv")
}

fn target(name: &str) -> String {
    format!("{name}-target-kv")
}

async fn cycles(cluster: &Cluster, kind: &str) -> Result<Vec<Duration>> {
    let mut cycles = Vec::with_capacity(CYCLES);
    for name in names(kind) {
        let run = fill(cluster, &name, &target(&name)).await?.1;
        cycles.push(run.ended.context("it did not end")?.since(run.started));
    }
    cycles.sort_unstable();
    Ok(cycles)
}

async fn fill(cluster: &Cluster, name: &str, target: &str) -> Result<(ConfigId, Run)> {
    let spec: Value = named(name, &source(name), target);
    let config = cluster.api().create(spec).await?.config.id;
    let run = cluster.api().run_ended(&config, None, LIMIT).await?;
    ensure!(run.end == Some(RunEnd::Completed) && run.counts.planned == SMALL as u64, "{name}: {run:?}");
    Ok((config, run))
}

/// When records of a config came to their outcome within a time.
async fn done(cluster: &Cluster, config: &ConfigId, from: Timestamp, until: Timestamp) -> Result<Vec<Timestamp>> {
    let records = cluster.api().records(config).await?;
    let active = records.iter().filter(|view| view.record.status == Status::Active).map(|view| view.at);
    Ok(active.filter(|at| (from..=until).contains(at)).collect())
}
