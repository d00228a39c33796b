//! One identity for the source and another for the target, each with the fewest rights its side needs.

use anyhow::{Context, Result, ensure};
use proto_msgs::{ErrorCode, run::RunEnd};
use serde_json::json;
use system_tests::{Cluster, ClusterBuilder, EstateBuilder};

use crate::fixtures::{LIMIT, SOURCE, TARGET, all_active, between, records, replicate, run_again, with_logs};

const READER: &str = "00000000-0000-4000-8000-0000000000c1";
const WRITER: &str = "00000000-0000-4000-8000-0000000000c2";
/// A target that nobody fills.
const ASIDE: &str = "aside-kv";
const ITEMS: &str = "        items:
          secrets: [{ name: \"plain-{n}\", count: 5 }]
          certificates: [{ name: tls, type: EC, chain: 1 }, { name: tls-pem, type: EC, format: pem }]
          keys: [{ name: signer, type: EC, versions: 2 }]
";
const READS: &[&str] = &[
    "secrets/readMetadata/action",
    "secrets/getSecret/action",
    "certificates/read",
    "keys/read",
    "keys/backup/action",
];
/// Without `secrets/getSecret/action`: it serves adopting and reading back alone.
const WRITES: &[&str] = &[
    "secrets/readMetadata/action",
    "secrets/setSecret/action",
    "secrets/update/action",
    "certificates/read",
    "certificates/import/action",
    "certificates/update/action",
    "keys/read",
    "keys/restore/action",
    "keys/update/action",
];

#[tokio::test(flavor = "multi_thread")]
async fn two_identities_with_the_fewest_rights_replicate_and_neither_acts_on_the_other_side() -> Result<()> {
    let cluster = start().await?;
    let mut spec = between("forth", SOURCE, TARGET);
    spec["item_types"] = json!(["secrets", "certificates", "keys"]);
    let (config, copied) = replicate(&cluster, spec).await?;
    all_active(&copied, 8)?;

    // A new version of what was written before needs no more rights than the first one.
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    reader.set_secret(SOURCE, "plain-1", "newer").await?;
    run_again(&cluster, &config).await?;
    all_active(&records(&cluster, &config).await?, 8)?;
    let versions = reader.compare(SOURCE, TARGET, (1..=5).map(|n| format!("plain-{n}"))).await?;
    ensure!(versions.iter().all(|(name, count)| *count == 1 + usize::from(name == "plain-1")), "{versions:?}");
    nobody_reads_as_the_writer(&cluster).await
}

async fn start() -> Result<Cluster> {
    let estate = EstateBuilder::new()
        .identity("reader", READER)
        .identity("writer", WRITER)
        .custom_role("reads", READS)
        .custom_role("writes", WRITES)
        .vault_for(SOURCE, "westeurope", &[("reader", "reads")], ITEMS)
        .vault_for(TARGET, "northeurope", &[("writer", "writes")], "")
        .vault_for(ASIDE, "northeurope", &[("writer", "writes")], "");
    ClusterBuilder::new(estate).unlimited().identities(READER, WRITER).start().await
}

/// The other way round, the reader has no rights where it would read.
async fn nobody_reads_as_the_writer(cluster: &Cluster) -> Result<()> {
    let config = cluster.api().create(between("back", TARGET, ASIDE)).await?.config.id;
    let run = with_logs(cluster, cluster.api().run_ended(&config, None, LIMIT).await)?;
    let Some(RunEnd::Failed { code, .. }) = &run.end else { anyhow::bail!("{run:?}") };
    ensure!(*code == ErrorCode::SourceAuthFailed, "{run:?}");
    let summary = cluster.api().config(&config).await?.summary.context("no coordinator answers")?;
    ensure!(summary.records() == 0, "{summary:?}");
    Ok(())
}
