//! A worker that freezes in the middle of an attempt, and wakes up when others have gone on without it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use proto_msgs::{ConfigId, ItemType, Status};
use serde_json::json;
use system_tests::{Cluster, ClusterBuilder, until};

use crate::fixtures::{LIMIT, SOURCE, TARGET, create, pair, with_logs};

const SECRETS: usize = 800;
/// Workers frozen at different moments; one more goes on.
const FROZEN: usize = 4;
/// Between one and the next: less than an attempt takes, so that each is caught at other steps.
const APART: Duration = Duration::from_millis(70);
/// How long a woken worker is watched: longer than any call it may still have open.
const WATCHED: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_does_not_write_what_others_have_written() -> Result<()> {
    let builder = ClusterBuilder::new(pair(SECRETS)).unlimited().workers(FROZEN + 1).latency(Duration::from_millis(60));
    let cluster = builder.start().await?;
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.api().active(&config, 40, LIMIT).await)?;
    for worker in &cluster.workers[..FROZEN] {
        worker.freeze()?;
        tokio::time::sleep(APART).await;
    }
    let held = held(&cluster, &config).await?;
    ensure!(!held.is_empty(), "no worker was frozen in the middle of an attempt");

    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    let before = cluster.admin().counts().await?.of(TARGET, "secrets.set");
    for worker in &cluster.workers[..FROZEN] {
        worker.thaw()?;
    }
    tokio::time::sleep(WATCHED).await;
    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;

    let late = cluster.admin().counts().await?.of(TARGET, "secrets.set") - before;
    let refused = refused(&cluster);
    ensure!(late <= refused as u64, "{late} late writes, of which {refused} were found and compared again");
    all_equal(&cluster, &config).await
}

/// The write that no fence can stop: it left the worker, which then froze, and reaches the vault much later.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_arrives_too_late_is_found_and_healed() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1)).unlimited().workers(2).start().await?;
    let late =
        json!([{ "operation": "secrets.set", "vault": TARGET, "count": 1, "then": { "delay": { "ms": 45_000 } } }]);
    cluster.admin().set_faults(late).await?;
    let config = create(&cluster).await?;
    let worker = until("the record to be attempted", LIMIT, || async {
        let Ok(view) = cluster.api().record(&config, ItemType::Secrets, "bulk-1").await else { return Ok(None) };
        Ok(view.record.unresolved.map(|attempt| attempt.worker.to_string()))
    })
    .await?;
    // The call is at the vault, held there; so is the answer it waits for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let frozen = cluster.workers.iter().find(|process| process.output().contains(&worker)).context("no such worker")?;
    frozen.freeze()?;

    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    reader.set_secret(SOURCE, "bulk-1", "newer").await?;
    cluster.api().sync_record(&config, ItemType::Secrets, "bulk-1").await?;
    let target = || async { anyhow::Ok(reader.secret(TARGET, "bulk-1").await?.map(|secret| secret.value)) };
    until("the newer value at the target", LIMIT, || async {
        Ok((target().await?.as_deref() == Some("newer")).then_some(()))
    })
    .await?;
    until("the late write to land", LIMIT, || async {
        Ok((target().await?.as_deref() != Some("newer")).then_some(()))
    })
    .await?;

    frozen.thaw()?;
    let healed = until("the target to be healed", LIMIT, || async {
        Ok((target().await?.as_deref() == Some("newer")).then_some(()))
    })
    .await;
    with_logs(&cluster, healed)?;
    ensure!(refused(&cluster) == 1, "the outcome was not refused");
    Ok(())
}

/// Records whose attempt a frozen worker holds.
async fn held(cluster: &Cluster, config: &ConfigId) -> Result<BTreeSet<String>> {
    let records = cluster.api().records(config).await?;
    let frozen: Vec<String> = cluster.workers[..FROZEN].iter().map(system_tests::Process::output).collect();
    let is_held = |worker: &str| frozen.iter().any(|output| output.contains(worker));
    Ok(records
        .into_iter()
        .filter(|view| view.record.unresolved.as_ref().is_some_and(|attempt| is_held(attempt.worker.as_str())))
        .map(|view| view.record.id.name.to_string())
        .collect())
}

/// Outcomes that were refused, as the coordinators say.
fn refused(cluster: &Cluster) -> usize {
    cluster.coordinators.iter().map(|process| process.output().matches("outcome was refused").count()).sum()
}

async fn all_equal(cluster: &Cluster, config: &ConfigId) -> Result<()> {
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    for view in cluster.api().records(config).await? {
        let name = view.record.id.name.as_str();
        ensure!(view.record.status == Status::Active, "{name} is {}", view.record.status);
        let (source, target) = tokio::try_join!(reader.secret(SOURCE, name), reader.secret(TARGET, name))?;
        let value = |secret: Option<system_tests::SecretBundle>| secret.map(|secret| secret.value);
        ensure!(value(source) == value(target), "{name} differs");
    }
    Ok(())
}
