//! What takes two misses: items that are gone from the source for good, with deletes propagated and without.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{
    ErrorCode, ItemType,
    ItemType::{Keys, Secrets},
    Status, Timestamp,
};
use serde_json::{Value, json};
use system_tests::{AzureReader, Cluster, ClusterBuilder, EstateBuilder, until};

use super::{Configs, Row, active, all_shown, are_all, are_explained, stays};
use crate::{
    command_line::json as said,
    fixtures::{LIMIT, SOURCE, all_active, between, replicate, run_again, with_logs},
};

const KEEPING: &str = "keeping-kv";
const DROPPING: &str = "dropping-kv";
/// The least that the second miss comes after the first, and room for clocks that differ.
const APART: Duration = Duration::from_secs(5 * 60 + 2);
/// What is gone from the source: one of several secrets, and every key.
const GONE: [(ItemType, &str); 2] = [(Secrets, "gone"), (Keys, "signer")];

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    active("keeping", Secrets, "left-1"),
    active("keeping", Secrets, "left-2"),
    stays("keeping", Secrets, "gone", Status::Disabled, ErrorCode::SourceGone),
    stays("keeping", Keys, "signer", Status::Disabled, ErrorCode::SourceGone),
    active("dropping", Secrets, "left-1"),
    active("dropping", Secrets, "left-2"),
    stays("dropping", Secrets, "gone", Status::Deleted, ErrorCode::SourceGone),
    // Every record of its type would go.
    stays("dropping", Keys, "signer", Status::BlockedDeleteHeld, ErrorCode::DeleteHeld),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_for_good_is_switched_off_deleted_or_held_until_exactly_that_is_released() -> Result<()> {
    let (cluster, configs) = start().await?;
    let reader = cluster.reader(&[SOURCE, KEEPING, DROPPING]).await?;
    for (kind, name) in GONE {
        reader.delete(SOURCE, kind, name).await?;
        let purged =
            until("a deleted item to be purged", LIMIT, || async { Ok(reader.purge(SOURCE, kind, name).await.ok()) });
        purged.await?;
    }

    let missed = miss(&cluster, &configs).await?;
    // By contract the one wait that nothing shortens.
    tokio::time::sleep(APART.saturating_sub(now()?.since(missed))).await;
    for config in configs.values() {
        run_again(&cluster, config).await?;
    }

    let shown = all_shown(&cluster, &configs, ROWS).await?;
    are_all(&cluster, &configs, ROWS).await?;
    are_explained(&cluster, &shown)?;
    holds(&reader, KEEPING, &["gone", "left-1", "left-2"], &["signer"]).await?;
    holds(&reader, DROPPING, &["left-1", "left-2"], &["signer"]).await?;
    release(&cluster, &configs).await?;
    holds(&reader, KEEPING, &["gone", "left-1", "left-2"], &["signer"]).await?;
    holds(&reader, DROPPING, &["left-1", "left-2"], &[]).await
}

async fn start() -> Result<(Cluster, Configs)> {
    const ITEMS: &str = "        items:
          secrets: [{ name: gone }, { name: \"left-{n}\", count: 2 }]
          keys: [{ name: signer, type: EC }]
";
    let estate = EstateBuilder::new().vault_with(SOURCE, "westeurope", ITEMS).vault(KEEPING, "northeurope", 0).vault(
        DROPPING,
        "northeurope",
        0,
    );
    let cluster = ClusterBuilder::new(estate).unlimited().workers(1).start().await?;
    let mut configs = Configs::new();
    for (name, target, deletes) in [("keeping", KEEPING, false), ("dropping", DROPPING, true)] {
        let mut spec = between(name, SOURCE, target);
        spec["item_types"] = json!(["secrets", "keys"]);
        // Two misses are half an interval apart, and never less than five minutes.
        spec["behaviour"] = json!({ "propagate_deletes": deletes, "interval": "10m" });
        let (config, copied) = replicate(&cluster, spec).await?;
        all_active(&copied, 4)?;
        configs.insert(name, config);
    }
    Ok((cluster, configs))
}

/// Runs every config once; gives when the last of its items was missed, which changes nothing yet.
async fn miss(cluster: &Cluster, configs: &Configs) -> Result<Timestamp> {
    let mut last = Timestamp::default();
    for config in configs.values() {
        run_again(cluster, config).await?;
        for (kind, name) in GONE {
            let missed = until("a gone item to be missed", LIMIT, || async {
                let record = cluster.api().record(config, kind, name).await?.record;
                ensure!(record.status == Status::Active, "one miss is no reason: {record:?}");
                Ok(record.miss.map(|miss| miss.at))
            });
            last = last.max(with_logs(cluster, missed.await)?);
        }
    }
    Ok(last)
}

fn now() -> Result<Timestamp> {
    let since = std::time::UNIX_EPOCH.elapsed()?;
    Ok(Timestamp::from_unix_seconds(i64::try_from(since.as_secs())?))
}

/// Releases what is held, by the hash under which it is shown.
async fn release(cluster: &Cluster, configs: &Configs) -> Result<()> {
    let offer = said(cluster, &["deletes", "list", "dropping"])?;
    let held = |offer: &Value| offer["records"].as_array().map_or(0, Vec::len);
    ensure!(held(&offer) == 1 && held(&said(cluster, &["deletes", "list", "keeping"])?) == 0, "{offer}");
    let hash = offer["hash"].as_str().context("no hash")?;
    let done = said(cluster, &["deletes", "release", "dropping", "--hash", hash])?;
    ensure!(done["records"] == 1, "{done}");
    let deleted = stays("dropping", Keys, "signer", Status::Deleted, ErrorCode::SourceGone);
    deleted.shown(cluster, configs).await?;
    let is_held = |row: &&Row| row.code == Some(ErrorCode::DeleteHeld);
    let rows: Vec<_> = ROWS.iter().map(|row| if is_held(&row) { deleted } else { *row }).collect();
    are_all(cluster, configs, &rows).await
}

/// Fails unless a vault lists exactly these.
async fn holds(reader: &AzureReader, vault: &str, secrets: &[&str], keys: &[&str]) -> Result<()> {
    for (kind, wanted) in [(Secrets, secrets), (Keys, keys)] {
        let listed: Vec<_> = reader.listed(vault, kind).await?.into_keys().collect();
        ensure!(listed == wanted, "{vault} has other {kind}: {listed:?}");
    }
    Ok(())
}
