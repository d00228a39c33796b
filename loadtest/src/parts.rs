//! What the parts are, and filling a vault: start a system, create a config, wait, check, measure.

use std::time::Duration;

use anyhow::{Result, ensure};
use proto_msgs::run::RunEnd;
use serde_json::{Value, json};
use system_tests::{Cluster, ClusterBuilder, Counts, EstateBuilder};

use crate::figures::{Figures, Times};

pub const SOURCE: &str = "load-source-kv";
pub const TARGET: &str = "load-target-kv";
/// Longest a part may take: ten times what the largest one should.
pub const LIMIT: Duration = Duration::from_secs(1_200);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// No limits but Keyferry's own.
    Free,
    /// Azure's limits.
    Limits,
    /// A worker, and then a coordinator, that is killed.
    Failover,
    /// Small configs beside a large one, under Azure's limits.
    Fairness,
}

/// Fills a vault, with Azure's limits or without any.
pub async fn fill(has_limits: bool, secrets: usize, latency: Duration, workers: usize) -> Result<Figures> {
    let cluster = start(has_limits, secrets, latency, workers).await?;
    let config = cluster.api().create(spec()).await?;
    cluster.api().settled(&config.config.id, LIMIT).await?;
    // Before anything else is called: these are the run's own calls.
    let counts = cluster.admin().counts().await?;
    let memory = cluster.peak_memory()?;

    let runs = cluster.api().runs(&config.config.id).await?;
    ensure!(runs.len() == 1 && runs[0].end == Some(RunEnd::Completed), "not one run that completed: {runs:?}");
    check(&cluster, secrets, &counts).await?;
    let stories = cluster.api().stories(&config.config.id).await?;
    ensure!(stories.len() == secrets, "{} records, not {secrets}", stories.len());
    Ok(Figures {
        times: Times::of(&runs[0], &stories)?,
        records: secrets,
        calls: counts.total(|operation| operation.starts_with("secrets.") && !operation.starts_with("secrets.list")),
        throttled: counts.throttled(),
        memory,
    })
}

async fn start(has_limits: bool, secrets: usize, latency: Duration, workers: usize) -> Result<Cluster> {
    let estate = EstateBuilder::new().vault(SOURCE, "westeurope", secrets).vault(TARGET, "northeurope", 0);
    let builder = ClusterBuilder::new(estate).workers(workers).latency(latency);
    if has_limits { builder.azure_limits() } else { builder.unlimited() }.start().await
}

pub fn spec() -> Value {
    named("load", SOURCE, TARGET)
}

/// A config of all secrets of a vault.
pub fn named(name: &str, source: &str, target: &str) -> Value {
    json!({
        "name": name,
        "source": { "vault": source },
        "target": { "vault": target },
        "item_types": ["secrets"],
        "rule": { "kind": "all" },
    })
}

/// Reads every item on both sides, without any of Keyferry's code: each is there, the same, and was written once.
async fn check(cluster: &Cluster, secrets: usize, counts: &Counts) -> Result<()> {
    let writes = counts.applied(TARGET, "secrets.set");
    ensure!(writes == secrets as u64, "{writes} writes of {secrets} secrets");
    cluster.admin().limits_off().await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let names = (1..=secrets).map(|n| format!("bulk-{n}"));
    for (name, versions) in reader.compare(SOURCE, TARGET, names).await? {
        ensure!(versions == 1, "{name} has {versions} versions");
    }
    Ok(())
}
