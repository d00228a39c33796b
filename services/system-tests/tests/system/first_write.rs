//! What happens where the target has something of that name already, and to keys that Azure would not restore.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use proto_msgs::{ItemType, Status, api::RecordView, record::Arrival};
use serde_json::json;
use system_tests::{ClusterBuilder, EstateBuilder};

use crate::fixtures::{SOURCE, between, replicate};

const OTHER_SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000002";
/// Both have the items of [`FOREIGN`] before anything is copied.
const KEEPING: &str = "keeping-kv";
const TAKING: &str = "taking-kv";

const ITEMS: &str = "        items:
          secrets:
            - { name: fresh, value: new, content_type: text/plain }
            - { name: equal, value: same, content_type: text/plain, tags: { a: b }, expires: \"2061-01-31T00:00:00Z\" }
            - { name: retagged, value: same, tags: { a: b } }
            - { name: other, value: ours }
            - { name: gone, value: ours }
";

/// What somebody else keeps at a target.
const FOREIGN: &str = "        items:
          secrets:
            - { name: equal, value: same, content_type: text/plain, tags: { a: b }, expires: \"2061-01-31T00:00:00Z\" }
            - { name: retagged, value: same, tags: { a: c } }
            - { name: other, value: theirs }
            - { name: gone, value: theirs, deleted: true }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_target_item_keyferry_did_not_write_is_adopted_kept_or_overwritten_as_told() -> Result<()> {
    let estate = EstateBuilder::new()
        .vault_with(SOURCE, "westeurope", ITEMS)
        .vault_with(KEEPING, "northeurope", FOREIGN)
        .vault_with(TAKING, "northeurope", FOREIGN);
    let cluster = ClusterBuilder::new(estate).unlimited().start().await?;
    let reader = cluster.reader(&[SOURCE, KEEPING, TAKING]).await?;

    let (_, kept) = replicate(&cluster, between("keeping", SOURCE, KEEPING)).await?;
    let mut taking = between("taking", SOURCE, TAKING);
    taking["behaviour"] = json!({ "overwrite_on_conflict": true });
    let (_, taken) = replicate(&cluster, taking).await?;

    let (fresh, equal) = ((Status::Active, Some(Arrival::Written)), (Status::Active, Some(Arrival::Adopted)));
    let (conflict, gone) = ((Status::BlockedTargetConflict, None), (Status::BlockedTargetSoftDeleted, None));
    let expected = |on_conflict| {
        let all =
            [("equal", equal), ("fresh", fresh), ("gone", gone), ("other", on_conflict), ("retagged", on_conflict)];
        all.map(|(name, how)| (format!("secrets/{name}"), how)).into()
    };
    ensure!(arrivals(&kept) == expected(conflict), "{:?}", arrivals(&kept));
    ensure!(arrivals(&taken) == expected(fresh), "{:?}", arrivals(&taken));

    // Adopting writes nothing; what is kept is as it was; what is overwritten keeps its older version.
    let copies = reader.compare(SOURCE, KEEPING, ["equal", "fresh"].map(str::to_owned)).await?;
    ensure!(copies.values().all(|versions| *versions == 1), "{copies:?}");
    let other = reader.secret(KEEPING, "other").await?.context("it was there")?;
    ensure!(other.value == "theirs" && reader.secret_versions(KEEPING, "other").await? == 1, "overwritten");
    ensure!(reader.secret(KEEPING, "retagged").await?.context("it was there")?.tags["a"] == "c", "overwritten");
    ensure!(reader.secret(KEEPING, "gone").await?.is_none() && reader.secret(TAKING, "gone").await?.is_none(), "gone");
    let copies = reader.compare(SOURCE, TAKING, ["equal", "fresh", "other", "retagged"].map(str::to_owned)).await?;
    ensure!((copies["equal"], copies["fresh"], copies["other"]) == (1, 1, 2), "{copies:?}");
    Ok(())
}

/// Status and how the target came to equal the source, of each record.
fn arrivals(records: &BTreeMap<String, RecordView>) -> BTreeMap<String, (Status, Option<Arrival>)> {
    let arrival = |view: &RecordView| view.record.baseline.as_ref().map(|baseline| baseline.how);
    records.iter().map(|(name, view)| (name.clone(), (view.record.status, arrival(view)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_restored_only_in_its_own_geography_and_subscription() -> Result<()> {
    const ITEMS: &str =
        "        items: { secrets: [{ name: beside }], keys: [{ name: signer, type: EC, versions: 2 }] }\n";
    let estate = EstateBuilder::new()
        .vault_with(SOURCE, "westeurope", ITEMS)
        .vault("near-kv", "northeurope", 0)
        .vault("far-kv", "eastus", 0)
        .subscription(OTHER_SUBSCRIPTION, "other")
        .vault("other-kv", "northeurope", 0);
    let cluster = ClusterBuilder::new(estate).unlimited().start().await?;
    for (target, status) in [
        ("near-kv", Status::Active),
        ("far-kv", Status::BlockedCrossGeographyKey),
        ("other-kv", Status::BlockedCrossSubscriptionKey),
    ] {
        let mut spec = between(target, SOURCE, target);
        spec["item_types"] = json!(["secrets", "keys"]);
        let (_, records) = replicate(&cluster, spec).await?;
        let found = (records["keys/signer"].record.status, records["secrets/beside"].record.status);
        ensure!(found == (status, Status::Active) && records.len() == 2, "{target}: {found:?}");
        let keys = cluster.reader(&[target]).await?.listed(target, ItemType::Keys).await?;
        ensure!(keys.len() == usize::from(status == Status::Active), "{target}: {keys:?}");
    }
    // What cannot be restored is not even read.
    let counts = cluster.admin().counts().await?;
    ensure!((counts.of(SOURCE, "keys.backup"), counts.total(|name| name == "keys.restore")) == (1, 1), "{counts:?}");
    Ok(())
}
