//! What people decide: conflicts acknowledged, records switched off and on, drift corrected and accepted, held deletes
//! released. Always about what they saw, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use broker::Broker;
use futures::TryStreamExt;
use proto_msgs::{
    ConfigId, CorrelationId, Envelope, ErrorCode, ItemType, MessageId, Record, Status, api::RecordView, vault::Detail,
};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{AzureReader, Cluster, ClusterBuilder, EstateBuilder, until};

use crate::{
    bad_input::refused,
    command_line::{answer, broker, json as said},
    fixtures::{
        LIMIT, SOURCE, TARGET, between, create, pair, records, replicate, run_again, spec, statuses, with_logs,
    },
    openapi::{checked, fits},
};

/// At least as long as two misses are apart, and more.
const AGE: Duration = Duration::from_secs(3_600);

/// Four secrets whose names the target has for itself.
fn conflicts() -> EstateBuilder {
    let of = |value: &str| {
        format!("        items: {{ secrets: [{{ name: \"item-{{n}}\", count: 4, value: \"{value}-{{n}}\" }}] }}\n")
    };
    EstateBuilder::new().vault_with(SOURCE, "westeurope", &of("ours")).vault_with(TARGET, "northeurope", &of("theirs"))
}

/// Waits until these records have that status.
async fn become_status(cluster: &Cluster, config: &ConfigId, names: &[&str], status: Status) -> Result<()> {
    let what = format!("{names:?} to be {status}");
    let rest = until(&what, LIMIT, || async {
        let found = statuses(&records(cluster, config).await?);
        Ok(names.iter().all(|name| found.get(&format!("secrets/{name}")) == Some(&status)).then_some(()))
    });
    with_logs(cluster, rest.await)
}

async fn value(reader: &AzureReader, name: &str) -> Result<String> {
    Ok(reader.secret(TARGET, name).await?.with_context(|| format!("{name} is gone"))?.value)
}

fn hash(offer: &Value) -> Result<String> {
    Ok(offer["hash"].as_str().with_context(|| format!("no hash in {offer}"))?.to_owned())
}

fn count(offer: &Value) -> usize {
    offer["records"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_overwritten_only_as_they_were_seen() -> Result<()> {
    let cluster = ClusterBuilder::new(conflicts()).unlimited().start().await?;
    let (config, found) = replicate(&cluster, spec("pair")).await?;
    ensure!(found.values().all(|view| view.record.status == Status::BlockedTargetConflict), "{:?}", statuses(&found));
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;

    // One, by a program that says what it saw.
    let seen = &found["secrets/item-1"];
    let version = seen.record.target_seen.as_ref().and_then(|target| target.version.as_ref());
    let leave =
        json!({ "kind": "acknowledge", "sequence": seen.sequence, "target_version": version.context("no version")? });
    let path = "/api/v1/configs/pair/records/secrets/item-1/leave";
    for (field, wrong) in [("sequence", json!(1)), ("target_version", json!("00000000000000000000000000000000"))] {
        let mut stale = leave.clone();
        stale[field] = wrong;
        let answer = cluster.api().send(Method::POST, path, Some(stale)).await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        ensure!(status == 409 && text.contains("stale_view"), "{field}: {status}: {text}");
    }
    let done = checked(&cluster, "leaveRecord", path, leave).await?;
    ensure!(done["records"] == 1, "{done}");
    become_status(&cluster, &config, &["item-1"], Status::Active).await?;
    ensure!(
        value(&reader, "item-1").await? == "ours-1" && value(&reader, "item-2").await? == "theirs-2",
        "overwritten"
    );

    // One, at the command line.
    let text = answer(cluster.command(&["records", "ack", "pair", "secrets", "item-2"]))?;
    ensure!(text.contains("1 record acknowledged"), "{text}");
    become_status(&cluster, &config, &["item-2"], Status::Active).await?;

    // All that are left: first shown, then decided; what changed in between is seen.
    let offer = said(&cluster, &["records", "ack", "pair"])?;
    ensure!(count(&offer) == 2 && value(&reader, "item-3").await? == "theirs-3", "{offer}");
    said(&cluster, &["records", "ack", "pair", "secrets", "item-3"])?;
    become_status(&cluster, &config, &["item-3"], Status::Active).await?;
    refused(cluster.command(&["records", "ack", "pair", "--hash", &hash(&offer)?]), 76, "stale_view", &cluster)?;
    let offer = said(&cluster, &["records", "ack", "pair"])?;
    let command = offer["command"].as_str().context("no command")?;
    ensure!(count(&offer) == 1 && command.ends_with(&format!("--hash {}", hash(&offer)?)), "{offer}");
    let set = json!({ "filter": { "status": "blocked_target_conflict" }, "hash": hash(&offer)? });
    let all = json!({ "kind": "acknowledge", "set": set });
    checked(&cluster, "leaveRecords", "/api/v1/configs/pair/records/leave", all).await?;
    become_status(&cluster, &config, &["item-1", "item-2", "item-3", "item-4"], Status::Active).await?;
    reader.compare(SOURCE, TARGET, (1..=4).map(|n| format!("item-{n}"))).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_switched_off_is_left_alone_until_somebody_switches_it_on() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(4)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let before = value(&reader, "bulk-1").await?;

    said(&cluster, &["records", "disable", "pair", "secrets", "bulk-1"])?;
    let offer = said(&cluster, &["records", "disable", "pair", "--name", "bulk-[23]"])?;
    ensure!(count(&offer) == 2, "{offer}");
    said(&cluster, &["records", "disable", "pair", "--name", "bulk-[23]", "--hash", &hash(&offer)?])?;
    for name in ["bulk-1", "bulk-4"] {
        reader.set_secret(SOURCE, name, "changed").await?;
    }
    run_again(&cluster, &config).await?;
    become_status(&cluster, &config, &["bulk-1", "bulk-2", "bulk-3"], Status::Disabled).await?;
    become_status(&cluster, &config, &["bulk-4"], Status::Active).await?;
    let off: RecordView = cluster.api().record(&config, ItemType::Secrets, "bulk-1").await?;
    ensure!(off.record.code == Some(ErrorCode::OperatorDisabled), "{off:?}");
    ensure!(value(&reader, "bulk-1").await? == before && value(&reader, "bulk-4").await? == "changed", "written");

    let offer = said(&cluster, &["records", "enable", "pair", "--type", "secrets"])?;
    ensure!(count(&offer) == 3, "{offer}");
    said(&cluster, &["records", "enable", "pair", "--type", "secrets", "--hash", &hash(&offer)?])?;
    become_status(&cluster, &config, &["bulk-1", "bulk-2", "bulk-3", "bulk-4"], Status::Active).await?;
    ensure!(value(&reader, "bulk-1").await? == "changed", "not brought over");
    Ok(())
}

/// Changes targets until a run sees it, and that others are gone: in the second of Keyferry's own write a listing shows no
/// difference.
async fn drifts(
    cluster: &Cluster,
    reader: &AzureReader,
    config: &ConfigId,
    (changed, gone): (&[&str], &[&str]),
) -> Result<()> {
    let rest = until("the targets to drift", LIMIT, || async {
        for name in changed {
            reader.set_secret(TARGET, name, "theirs").await?;
        }
        run_again(cluster, config).await?;
        let found = statuses(&records(cluster, config).await?);
        let is_drifted = |name: &&str| found[&format!("secrets/{name}")] == Status::Drifted;
        Ok(changed.iter().chain(gone).all(is_drifted).then_some(()))
    });
    with_logs(cluster, rest.await)
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_shown_and_corrected_or_accepted() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(4)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    drifts(&cluster, &reader, &config, (&["bulk-1", "bulk-2", "bulk-3"], &[])).await?;

    let offer = said(&cluster, &["drift", "list", "pair"])?;
    ensure!(count(&offer) == 3 && value(&reader, "bulk-1").await? == "theirs", "{offer}");
    said(&cluster, &["drift", "accept", "pair", "secrets", "bulk-1"])?;
    become_status(&cluster, &config, &["bulk-1"], Status::Active).await?;
    let taken: RecordView = cluster.api().record(&config, ItemType::Secrets, "bulk-1").await?;
    let is_told = |detail: &Detail| detail.message.starts_with("test accepted");
    ensure!(taken.record.detail.as_ref().is_some_and(is_told), "nobody is told who accepted: {taken:?}");
    said(&cluster, &["drift", "correct", "pair", "secrets", "bulk-2"])?;
    become_status(&cluster, &config, &["bulk-2"], Status::Active).await?;
    refused(cluster.command(&["drift", "correct", "pair", "--hash", &hash(&offer)?]), 76, "stale_view", &cluster)?;
    let offer = said(&cluster, &["drift", "correct", "pair"])?;
    ensure!(count(&offer) == 1, "{offer}");
    said(&cluster, &["drift", "correct", "pair", "--hash", &hash(&offer)?])?;
    become_status(&cluster, &config, &["bulk-1", "bulk-2", "bulk-3", "bulk-4"], Status::Active).await?;

    // What was accepted stays, and is no drift any more.
    run_again(&cluster, &config).await?;
    become_status(&cluster, &config, &["bulk-1"], Status::Active).await?;
    ensure!(value(&reader, "bulk-1").await? == "theirs", "what was accepted was overwritten");
    reader.compare(SOURCE, TARGET, ["bulk-2", "bulk-3", "bulk-4"].map(str::to_owned)).await?;

    // What is not there cannot be taken as it is, and that is said.
    reader.delete(TARGET, ItemType::Secrets, "bulk-2").await?;
    drifts(&cluster, &reader, &config, (&["bulk-3"], &["bulk-2"])).await?;
    let offer = said(&cluster, &["drift", "accept", "pair"])?;
    let done = said(&cluster, &["drift", "accept", "pair", "--hash", &hash(&offer)?])?;
    ensure!(done["records"] == 1 && done["passed_over"]["records"] == 1, "{done}");
    ensure!(done["passed_over"]["key"]["name"] == "bulk-2", "{done}");
    fits(&cluster, "Done", &done).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_stays_until_the_source_changes_again() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1)).unlimited().start().await?;
    let mut spec = between("pair", SOURCE, TARGET);
    spec["behaviour"] = json!({ "drift_policy": "block" });
    let (config, _) = replicate(&cluster, spec).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    drifts(&cluster, &reader, &config, (&["bulk-1"], &[])).await?;
    // It changes while the record shows drift already. A listing of the two seconds after a write, in
    // Azure's whole seconds, tells nothing of its target.
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    reader.set_secret(SOURCE, "bulk-1", "newer").await?;
    run_again(&cluster, &config).await?;

    said(&cluster, &["drift", "accept", "pair", "secrets", "bulk-1"])?;
    run_again(&cluster, &config).await?;
    said(&cluster, &["records", "sync", "pair", "secrets", "bulk-1"])?;
    become_status(&cluster, &config, &["bulk-1"], Status::Active).await?;
    ensure!(value(&reader, "bulk-1").await? == "theirs", "what was accepted was overwritten");

    // In another second than the change before.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    reader.set_secret(SOURCE, "bulk-1", "newest").await?;
    run_again(&cluster, &config).await?;
    become_status(&cluster, &config, &["bulk-1"], Status::Active).await?;
    ensure!(value(&reader, "bulk-1").await? == "newest", "the next change was not brought over");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deletes_are_held_until_exactly_they_are_released() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(6)).unlimited().start().await?;
    let mut spec = between("pair", SOURCE, TARGET);
    spec["behaviour"] = json!({ "propagate_deletes": true, "delete_trigger": "deleted" });
    let (config, _) = replicate(&cluster, spec).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let gone = ["bulk-1", "bulk-2", "bulk-3", "bulk-4", "bulk-5"];
    for name in gone {
        reader.delete(SOURCE, ItemType::Secrets, name).await?;
    }

    let log = broker(&cluster).await?;
    let held = until("the deletes to be held", LIMIT, || async {
        run_again(&cluster, &config).await?;
        age_misses(&log, &config).await?;
        let found = statuses(&records(&cluster, &config).await?);
        let is_held = |name: &&str| found[&format!("secrets/{name}")] == Status::BlockedDeleteHeld;
        Ok(gone.iter().all(is_held).then_some(()))
    });
    with_logs(&cluster, held.await)?;
    let offer = said(&cluster, &["deletes", "list", "pair"])?;
    ensure!(count(&offer) == 5 && reader.listed(TARGET, ItemType::Secrets).await?.len() == 6, "{offer}");

    let other = "00112233445566778899aabbccddeeff";
    refused(cluster.command(&["deletes", "release", "pair", "--hash", other]), 76, "stale_view", &cluster)?;
    // Another run in between changes nothing of what is held.
    run_again(&cluster, &config).await?;
    ensure!(hash(&said(&cluster, &["deletes", "list", "pair"])?)? == hash(&offer)?, "the set became another one");
    let done = said(&cluster, &["deletes", "release", "pair", "--hash", &hash(&offer)?])?;
    ensure!(done["records"] == 5, "{done}");
    fits(&cluster, "Done", &done).await?;
    become_status(&cluster, &config, &gone, Status::Deleted).await?;
    become_status(&cluster, &config, &["bulk-6"], Status::Active).await?;
    let left: Vec<_> = reader.listed(TARGET, ItemType::Secrets).await?.into_keys().collect();
    ensure!(left == ["bulk-6"], "{left:?}");
    // Soft-deleted, not purged; right after a delete Azure is not through with it.
    let recovered = until("what was deleted to be recovered", LIMIT, || async {
        Ok(reader.recover(TARGET, ItemType::Secrets, "bulk-1").await.ok())
    });
    recovered.await?;
    let path = "/api/v1/configs/pair/deletes/release";
    let again = cluster.api().send(Method::POST, path, Some(json!({ "hash": hash(&offer)? }))).await?;
    ensure!(again.status().as_u16() == 409, "a release counts once: {}", again.text().await?);
    Ok(())
}

/// Lets misses lie back far enough for the next to be the second: nobody waits minutes here.
async fn age_misses(broker: &Broker, config: &ConfigId) -> Result<()> {
    let log = broker.log();
    let all: Vec<_> = log.records(config).await?.try_collect().await?;
    for entry in all {
        let Some(miss) = entry.envelope.body.miss else { continue };
        let at = miss.at.minus(AGE);
        let record = Record { miss: Some(proto_msgs::record::Miss { at, ..miss }), ..entry.envelope.body };
        let id = MessageId::from_random(rand::random());
        let envelope = Envelope::new(id, CorrelationId::from_random(rand::random()), entry.envelope.time, record);
        log.append_record(&envelope, entry.sequence).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_the_next_run_does_and_does_none_of_it() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    reader.set_secret(SOURCE, "added", "new").await?;
    reader.set_secret(SOURCE, "bulk-1", "changed").await?;
    let (before, counts) = (cluster.api().records(&config).await?, cluster.admin().counts().await?);

    let plan = said(&cluster, &["plan", "pair"])?;
    let items: Vec<_> = plan["items"].as_array().context("no items")?.iter().collect();
    let action = |name: &str| items.iter().find(|item| item["key"]["name"] == name).map(|item| item["action"].clone());
    ensure!(action("added") == Some(json!("make")) && action("bulk-1") == Some(json!("update")), "{plan}");
    ensure!(plan["complete"] == true && plan["counts"]["make"] == 1, "{plan}");
    ensure!(hash(&said(&cluster, &["plan", "pair"])?)? == hash(&plan)?, "the same plan has another hash");
    ensure!(cluster.api().records(&config).await? == before, "something was written down");
    let now = cluster.admin().counts().await?;
    let writes = |of: &system_tests::Counts| of.total(|operation| operation == "secrets.set");
    ensure!(writes(&now) == writes(&counts), "something was written");

    run_again(&cluster, &config).await?;
    ensure!(value(&reader, "added").await? == "new" && value(&reader, "bulk-1").await? == "changed", "not done");
    let plan = said(&cluster, &["plan", "pair"])?;
    ensure!(plan["counts"].get("make").is_none(), "{plan}");
    Ok(())
}
