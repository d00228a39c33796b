//! What a cycle over unchanged items costs.

use anyhow::{Result, ensure};
use proto_msgs::{Status, run::RunEnd};
use system_tests::ClusterBuilder;

use crate::fixtures::{LIMIT, SOURCE, TARGET, create, pair, with_logs};

const SECRETS: usize = 1_000;
/// At 25 a page.
const PAGES: u64 = 40;
const LISTINGS: [&str; 2] = ["secrets.list", "secrets.list_deleted"];

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_cycle_over_a_thousand_secrets_reads_no_value_and_lists_each_side_once() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(SECRETS)).unlimited().start().await?;
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    // Items written in the second of their first read count as changed once more: Key Vault's times have whole seconds.
    let second = cluster.api().sync(&config).await?.run;
    with_logs(&cluster, cluster.api().run_ended(&config, second, LIMIT).await)?;
    let before: Vec<_> = cluster.api().records(&config).await?.into_iter().map(|view| view.sequence).collect();
    cluster.admin().reset_counts().await?;

    let run = cluster.api().sync(&config).await?.run;
    let run = with_logs(&cluster, cluster.api().run_ended(&config, run, LIMIT).await)?;

    ensure!(run.end == Some(RunEnd::Completed) && run.counts.complete, "{run:?}");
    ensure!((run.counts.unchanged, run.counts.planned) == (SECRETS as u64, 0), "{run:?}");
    let counts = cluster.admin().counts().await?;
    for vault in [SOURCE, TARGET] {
        let listed = (counts.of(vault, "secrets.list"), counts.of(vault, "secrets.list_deleted"));
        ensure!(listed == (PAGES, 1), "{vault}: {listed:?} listings");
    }
    let others = counts.total(|operation| operation.starts_with("secrets.") && !LISTINGS.contains(&operation));
    ensure!(others == 0, "{others} calls that are no listing: {counts:?}");
    let after = cluster.api().records(&config).await?;
    ensure!(after.iter().all(|view| view.record.status == Status::Active), "not all are active");
    let after: Vec<_> = after.into_iter().map(|view| view.sequence).collect();
    ensure!(before == after, "unchanged records append nothing");
    Ok(())
}
