//! Changes at the source of what was synced before: attributes alone make no new version.

use anyhow::{Context, Result, ensure};
use proto_msgs::{ConfigId, ItemType};
use serde_json::json;
use system_tests::{AzureReader, Cluster, ClusterBuilder};

use crate::fixtures::{SOURCE, TARGET, all_active, between, pair, records, replicate, run_again};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_switched_off_and_on_again_at_the_source_ends_on_at_the_target() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let (config, _) = replicate(&cluster, between("pair", SOURCE, TARGET)).await?;

    for enabled in [false, true, false, true] {
        reader.enable_secret(SOURCE, "bulk-1", enabled).await?;
        run_again(&cluster, &config).await?;
        follows(&cluster, &reader, &config, enabled).await.with_context(|| format!("enabled: {enabled}"))?;
    }
    let copies = reader.compare(SOURCE, TARGET, (1..=3).map(|n| format!("bulk-{n}"))).await?;
    ensure!(copies.values().all(|versions| *versions == 1), "{copies:?}");
    // Its value was new to nobody: only the first write was one.
    let writes = cluster.admin().counts().await?.of(TARGET, "secrets.set");
    ensure!(writes == 3, "{writes} writes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_type_is_cleared_where_there_is_one_and_left_out_where_there_is_none() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1)).unlimited().start().await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    reader.set_secret(SOURCE, "untyped", "x").await?;
    let (config, _) = replicate(&cluster, between("pair", SOURCE, TARGET)).await?;

    reader.update_secret(SOURCE, "bulk-1", &json!({ "contentType": "" })).await?;
    reader.update_secret(SOURCE, "untyped", &json!({ "tags": { "a": "b" } })).await?;
    run_again(&cluster, &config).await?;

    for name in ["bulk-1", "untyped"] {
        let (source, target) = (reader.secret(SOURCE, name).await?, reader.secret(TARGET, name).await?);
        ensure!(source == target, "{name}: {source:?} {target:?}");
        ensure!(reader.secret_versions(TARGET, name).await? == 1, "{name} got a version too many");
    }
    all_active(&records(&cluster, &config).await?, 2)
}

/// The target is on or off as the source is, and every record is active.
async fn follows(cluster: &Cluster, reader: &AzureReader, config: &ConfigId, enabled: bool) -> Result<()> {
    let target = reader.listed(TARGET, ItemType::Secrets).await?;
    ensure!(target["bulk-1"].enabled == enabled, "{target:?}");
    ensure!(target.len() == 3 && target["bulk-2"].enabled && target["bulk-3"].enabled, "{target:?}");
    all_active(&records(cluster, config).await?, 3)
}
