//! A worker that dies without a word, in the middle of a run.

use anyhow::Result;
use proto_msgs::{ItemType, Status, record::OutcomeKind};
use system_tests::ClusterBuilder;

use crate::fixtures::{LIMIT, SOURCE, TARGET, create, pair, with_logs};

const SECRETS: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_without_help_when_a_worker_is_killed() -> Result<()> {
    let latency = std::time::Duration::from_millis(20);
    let mut cluster = ClusterBuilder::new(pair(SECRETS)).unlimited().latency(latency).start().await?;
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.api().active(&config, SECRETS as u64 / 4, LIMIT).await)?;
    cluster.workers[0].kill()?;
    let killed_at = cluster.api().config(&config).await?.summary.map(|summary| summary.by_status);
    assert!(
        killed_at.is_some_and(|counts| counts.keys().any(|status| !status.is_settled())),
        "the run was over already"
    );

    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;

    let records = cluster.api().records(&config).await?;
    assert_eq!(records.len(), SECRETS);
    assert!(records.iter().all(|view| view.record.status == Status::Active));
    // The attempts that were open at the death are the ones whose outcome was unknown.
    let mut unknown = Vec::new();
    for view in &records {
        let name = view.record.id.name.as_str();
        let told = cluster.api().record(&config, ItemType::Secrets, name).await?;
        let intents = told.history.iter().chain([&told]).filter(|entry| entry.record.status == Status::Syncing).count();
        if intents > 1 {
            unknown.push(name.to_owned());
        }
    }
    assert!(!unknown.is_empty(), "the worker died between attempts: nothing was shown");
    let writes = cluster.admin().counts().await?.applied(TARGET, "secrets.set");
    assert!(writes <= (SECRETS + unknown.len()) as u64, "{writes} writes, {} unknown outcomes", unknown.len());
    tells_what_happened(&cluster, &config, &unknown[0]).await
}

async fn tells_what_happened(cluster: &system_tests::Cluster, config: &proto_msgs::ConfigId, name: &str) -> Result<()> {
    let told = cluster.api().record(config, ItemType::Secrets, name).await?;
    let last = told.record.last_attempt.as_ref().map(|attempt| attempt.outcome);
    assert!(matches!(last, Some(OutcomeKind::Written | OutcomeKind::Settled | OutcomeKind::Equal)), "{last:?}");
    let workers: std::collections::BTreeSet<_> = told
        .history
        .iter()
        .filter_map(|entry| entry.record.unresolved.as_ref().map(|attempt| attempt.worker.to_string()))
        .collect();
    assert!(!workers.is_empty(), "the history of {name} names no worker");
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let (source, target) = (reader.secret(SOURCE, name).await?, reader.secret(TARGET, name).await?);
    assert_eq!(source.map(|secret| secret.value), target.map(|secret| secret.value));
    Ok(())
}
