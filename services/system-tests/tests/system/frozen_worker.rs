//! A worker that freezes in the middle of an attempt, and wakes up when others have gone on without it.
//!
//! An emulated vault holds the attempt at a known step, so that it is known where the worker freezes. A call that was
//! held does not come back by itself before the worker is frozen.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use proto_msgs::{ItemType, MemberId, Status};
use serde_json::{Value, json};
use system_tests::{Cluster, ClusterBuilder, EstateBuilder, Process, until};

use crate::fixtures::{LIMIT, SOURCE, TARGET, all_active, become_active, create, pair, records, with_logs};

/// Longer than a call may take, and than anybody waits for its record.
const HELD: Duration = Duration::from_secs(60);
/// Shorter than the time between two calls of an attempt that is held: each of them needs a token of its own.
const TOKEN_LIFETIME: Duration = Duration::from_secs(8);
/// Just shorter than a call may take.
const BRINK: Duration = Duration::from_millis(9_400);

/// Secrets held at each step.
const AT_EACH: u64 = 3;
/// Of a first write, in the order in which an attempt comes by: items are named after the step they are held at. What
/// is `sent` never gets an answer, nor has it an effect.
const STEPS: [(&str, &str, &str, &str); 5] = [
    ("before-source", "secrets.get", SOURCE, "before"),
    ("after-source", "secrets.get", SOURCE, "after"),
    ("before-look", "secrets.get", TARGET, "before"),
    ("after-look", "secrets.get", TARGET, "after"),
    ("sent", "secrets.set", TARGET, "before"),
];
const FROZEN: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_does_not_write_what_others_have_written() -> Result<()> {
    let items: String = STEPS.map(|(step, ..)| format!("{{ name: \"{step}-{{n}}\", count: {AT_EACH} }}")).join(", ");
    let items = format!("        items: {{ secrets: [{items}] }}\n");
    let estate = EstateBuilder::new().vault_with(SOURCE, "westeurope", &items).vault(TARGET, "northeurope", 0);
    let mut cluster = ClusterBuilder::new(estate).unlimited().workers(FROZEN).start().await?;
    cluster.admin().set_faults(STEPS.map(hold).into()).await?;
    let config = create(&cluster).await?;
    let count = AT_EACH * STEPS.len() as u64;
    with_logs(&cluster, cluster.admin().faults_hit(count, LIMIT).await)?;
    cluster.workers.iter().try_for_each(Process::freeze)?;
    let held = records(&cluster, &config).await?;
    ensure!(held.values().all(|view| view.record.status == Status::Syncing), "not all are being attempted");
    ensure!(writes(&cluster).await? == 0, "something was written already");

    cluster.start_worker()?;
    let survivor = cluster.workers[FROZEN].member(LIMIT).await?;
    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    let moved = records(&cluster, &config).await?;
    all_active(&moved, held.len())?;
    let by =
        |view: &proto_msgs::api::RecordView| view.record.last_attempt.as_ref().map(|attempt| attempt.worker.clone());
    ensure!(moved.values().all(|view| by(view).as_ref() == Some(&survivor)), "not all were moved");
    ensure!(writes(&cluster).await? == count, "once each");

    let frozen = &cluster.workers[..FROZEN];
    frozen.iter().try_for_each(Process::thaw)?;
    let names: BTreeSet<String> = moved.values().map(|view| view.record.id.name.to_string()).collect();
    for name in &names {
        with_logs(&cluster, refused(frozen, name).await)?;
    }
    become_active(&cluster, &config, names.len()).await?;

    ensure!(writes(&cluster).await? == count, "{} late writes", writes(&cluster).await? - count);
    let versions = cluster.reader(&[SOURCE, TARGET]).await?.compare(SOURCE, TARGET, names).await?;
    ensure!(versions.values().all(|versions| *versions == 1), "{versions:?}");
    Ok(())
}

/// The gate in front of a write is asked after the token was got, by a clock that runs on while the worker is frozen.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_token_came_too_late_is_not_sent() -> Result<()> {
    let mut cluster = ClusterBuilder::new(pair(1)).unlimited().workers(1).start().await?;
    cluster.admin().token_lifetime(TOKEN_LIFETIME).await?;
    let slowly = |vault| json!({ "operation": "secrets.get", "vault": vault, "count": 1, "then": delay(BRINK) });
    cluster.admin().set_faults(json!([slowly(SOURCE), slowly(TARGET)])).await?;
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.admin().faults_hit(2, LIMIT).await)?;
    // The token for the write: it is there when the worker wakes up, and the call has time left.
    let token = json!([{ "operation": "login.token", "count": 1, "then": delay(Duration::from_secs(4)) }]);
    cluster.admin().set_faults(token).await?;
    with_logs(&cluster, cluster.admin().faults_hit(1, LIMIT).await)?;
    cluster.workers[0].freeze()?;

    cluster.start_worker()?;
    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    cluster.workers[0].thaw()?;
    with_logs(&cluster, refused(&cluster.workers[..1], "bulk-1").await)?;
    become_active(&cluster, &config, 1).await?;

    ensure!(writes(&cluster).await? == 1, "the late write was sent");
    Ok(())
}

/// The one point that no fence reaches: the worker stops between the check and the send. A request that has left, and
/// that the vault holds in front of its effect, is the same to everybody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_takes_effect_after_others_went_on_is_found_and_healed() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1)).unlimited().workers(2).start().await?;
    // Past the time at which others go on, and the time that takes them.
    let late = Duration::from_secs(45);
    let held = json!([{ "operation": "secrets.set", "vault": TARGET, "count": 1, "then": delay(late) }]);
    cluster.admin().set_faults(held).await?;
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.admin().faults_hit(1, LIMIT).await)?;
    let view = cluster.api().record(&config, ItemType::Secrets, "bulk-1").await?;
    let worker = view.record.unresolved.context("the record is not being attempted")?.worker;
    let frozen = process(&cluster, &worker).await?;
    frozen.freeze()?;

    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    reader.set_secret(SOURCE, "bulk-1", "newer").await?;
    cluster.api().sync_record(&config, ItemType::Secrets, "bulk-1").await?;
    let value = |is_newer: bool| {
        let reader = &reader;
        until("the target to change", LIMIT, move || async move {
            let value = reader.secret(TARGET, "bulk-1").await?.map(|secret| secret.value);
            Ok(((value.as_deref() == Some("newer")) == is_newer).then_some(()))
        })
    };
    with_logs(&cluster, value(true).await.context("the newer value"))?;
    with_logs(&cluster, value(false).await.context("the late write"))?;

    frozen.thaw()?;
    with_logs(&cluster, refused(std::slice::from_ref(frozen), "bulk-1").await)?;
    with_logs(&cluster, value(true).await.context("the newer value again"))?;
    become_active(&cluster, &config, 1).await
}

fn hold((step, operation, vault, when): (&str, &str, &str, &str)) -> Value {
    let then = if step == "sent" { json!("timeout") } else { delay(HELD) };
    json!({ "operation": operation, "vault": vault, "item": format!("{step}-*"), "count": AT_EACH, "when": when, "then": then })
}

fn delay(by: Duration) -> Value {
    json!({ "delay": { "ms": by.as_millis() } })
}

/// How often something was written to the target, by anybody.
async fn writes(cluster: &Cluster) -> Result<u64> {
    Ok(cluster.admin().counts().await?.applied(TARGET, "secrets.set"))
}

/// Waits until one of these workers had an outcome of this record refused.
async fn refused(workers: &[Process], name: &str) -> Result<()> {
    let is_it = |line: &str| line.contains("outcome was refused") && line.contains(&format!("/{name} "));
    until(&format!("the outcome of {name} to be refused"), LIMIT, || async {
        Ok(workers.iter().any(|worker| worker.output().lines().any(is_it)).then_some(()))
    })
    .await
}

/// The process that goes by this id.
async fn process<'a>(cluster: &'a Cluster, member: &MemberId) -> Result<&'a Process> {
    for worker in &cluster.workers {
        if worker.member(LIMIT).await? == *member {
            return Ok(worker);
        }
    }
    anyhow::bail!("no worker is {member}")
}
