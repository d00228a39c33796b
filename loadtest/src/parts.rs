//! The two parts: start a system, create a config, wait, check, measure.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use system_tests::{AzureReader, Cluster, ClusterBuilder, EstateBuilder};

use crate::figures::{Figures, Times};

const SOURCE: &str = "load-source-kv";
const TARGET: &str = "load-target-kv";
/// Longest a part may take: ten times what the largest one should.
const LIMIT: Duration = Duration::from_secs(1_200);
/// Reads under way at once while the copies are checked.
const CHECKS_AT_ONCE: usize = 64;

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

    let records = cluster.api().records(&config.config.id).await?;
    ensure!(records.len() == secrets, "{} records, not {secrets}", records.len());
    let runs = cluster.api().runs(&config.config.id).await?;
    let first = runs.last().context("there is no run")?;
    let times = Times::of(first, &records)?;
    check(&cluster, secrets).await?;
    Ok(Figures {
        listing: times.listing,
        syncing: times.syncing,
        records: records.len(),
        calls: counts.total(|operation| operation.starts_with("secrets.") && !operation.starts_with("secrets.list")),
        throttled: counts.throttled(),
        p50: times.p50,
        p99: times.p99,
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

/// Reads every item on both sides, without any of Keyferry's code.
async fn check(cluster: &Cluster, secrets: usize) -> Result<()> {
    cluster.admin().limits_off().await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    stream::iter(1..=secrets)
        .map(|n| equal(&reader, format!("bulk-{n}")))
        .buffer_unordered(CHECKS_AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn equal(reader: &AzureReader, name: String) -> Result<()> {
    let (source, target) = tokio::try_join!(reader.secret(SOURCE, &name), reader.secret(TARGET, &name))?;
    let (source, target) = (source.with_context(|| format!("{name} is gone from the source"))?, target);
    let target = target.with_context(|| format!("{name} is not at the target"))?;
    let is_equal =
        source.value == target.value && source.tags == target.tags && source.content_type == target.content_type;
    ensure!(is_equal, "{name} differs between the vaults");
    Ok(())
}
