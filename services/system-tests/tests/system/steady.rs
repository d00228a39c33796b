//! What a cycle over unchanged items costs.

use anyhow::Result;
use proto_msgs::Status;
use system_tests::ClusterBuilder;

use crate::fixtures::{LIMIT, SOURCE, TARGET, create, pair, with_logs};

/// 1,000 items at 25 a page.
const PAGES: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_cycle_over_a_thousand_secrets_reads_no_value_and_lists_each_side_once() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1_000)).unlimited().start().await?;
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    // Items written in the second of their first read count as changed once more: Key Vault's times have whole seconds.
    let second = cluster.api().sync(&config).await?.run;
    with_logs(&cluster, cluster.api().run_ended(&config, second, LIMIT).await)?;
    let before: Vec<_> = cluster.api().records(&config).await?.into_iter().map(|view| view.sequence).collect();
    cluster.admin().reset_counts().await?;

    let run = cluster.api().sync(&config).await?.run;
    with_logs(&cluster, cluster.api().run_ended(&config, run, LIMIT).await)?;

    let counts = cluster.admin().counts().await?;
    for vault in [SOURCE, TARGET] {
        let listed = counts.of(vault, "secrets.list");
        assert!(listed <= PAGES, "{vault}: {listed} listings");
        for operation in ["secrets.get", "secrets.set", "secrets.update", "secrets.list_versions"] {
            assert_eq!(counts.of(vault, operation), 0, "{vault}: {operation}");
        }
    }
    let after = cluster.api().records(&config).await?;
    assert!(after.iter().all(|view| view.record.status == Status::Active));
    let after: Vec<_> = after.into_iter().map(|view| view.sequence).collect();
    assert_eq!(before, after, "unchanged records append nothing");
    Ok(())
}
