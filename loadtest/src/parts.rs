//! The two parts: start a system, create a config, wait, check, measure.

use std::time::Duration;

use anyhow::{Result, ensure};
use proto_msgs::run::RunEnd;
use serde_json::json;
use system_tests::{Cluster, ClusterBuilder, Counts, EstateBuilder};

use crate::figures::{Figures, Times};

const SOURCE: &str = "load-source-kv";
const TARGET: &str = "load-target-kv";
/// Longest a part may take: ten times what the largest one should.
const LIMIT: Duration = Duration::from_secs(1_200);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// No limits but Keyferry's own.
    Free,
    /// Azure's limits.
    Limits,
}

pub async fn run(part: Part, secrets: usize, latency_ms: u64, workers: usize) -> Result<Figures> {
    let cluster = start(part, secrets, latency_ms, workers).await?;
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

async fn start(part: Part, secrets: usize, latency_ms: u64, workers: usize) -> Result<Cluster> {
    let estate = EstateBuilder::new().vault(SOURCE, "westeurope", secrets).vault(TARGET, "northeurope", 0);
    let builder = ClusterBuilder::new(estate).workers(workers).latency(Duration::from_millis(latency_ms));
    match part {
        Part::Free => builder.unlimited(),
        Part::Limits => builder.azure_limits(),
    }
    .start()
    .await
}

fn spec() -> serde_json::Value {
    json!({
        "name": "load",
        "source": { "vault": SOURCE },
        "target": { "vault": TARGET },
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
