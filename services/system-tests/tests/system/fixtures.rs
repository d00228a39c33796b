//! What the tests build from.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use proto_msgs::{ConfigId, Run, Status, api::RecordView, run::RunEnd};
use serde_json::{Value, json};
use system_tests::{Cluster, EstateBuilder, until};

pub const SOURCE: &str = "from-kv";
pub const TARGET: &str = "into-kv";
/// Longest a run may take, on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(240);

/// Two vaults; the source has `secrets` of them.
pub fn pair(secrets: usize) -> EstateBuilder {
    EstateBuilder::new().vault(SOURCE, "westeurope", secrets).vault(TARGET, "northeurope", 0)
}

/// A config over that pair: it runs once when it is saved, and then not for a day.
pub fn spec(name: &str) -> Value {
    between(name, SOURCE, TARGET)
}

/// The same over any two vaults.
pub fn between(name: &str, source: &str, target: &str) -> Value {
    json!({
        "name": name,
        "source": { "vault": source },
        "target": { "vault": target },
        "item_types": ["secrets"],
        "rule": { "kind": "all" },
    })
}

/// Creates the config, and gives its id.
pub async fn create(cluster: &Cluster) -> Result<ConfigId> {
    Ok(cluster.api().create(spec("pair")).await?.config.id)
}

/// Creates a config, waits until its run is over, and gives its records as `secrets/name`.
pub async fn replicate(cluster: &Cluster, spec: Value) -> Result<(ConfigId, BTreeMap<String, RecordView>)> {
    let id = cluster.api().create(spec).await?.config.id;
    with_logs(cluster, cluster.api().settled(&id, LIMIT).await)?;
    Ok((id, records(cluster, &id).await?))
}

/// A config's records as `secrets/name`.
pub async fn records(cluster: &Cluster, id: &ConfigId) -> Result<BTreeMap<String, RecordView>> {
    let records = cluster.api().records(id).await?;
    Ok(records.into_iter().map(|view| (format!("{}/{}", view.record.id.kind, view.record.id.name), view)).collect())
}

/// The status of each.
pub fn statuses(records: &BTreeMap<String, RecordView>) -> BTreeMap<String, Status> {
    records.iter().map(|(name, view)| (name.clone(), view.record.status)).collect()
}

/// Fails unless there are so many records, and all are active.
pub fn all_active(records: &BTreeMap<String, RecordView>, count: usize) -> Result<()> {
    let is_active = records.len() == count && records.values().all(|view| view.record.status == Status::Active);
    ensure!(is_active, "not {count} active records: {:?}", statuses(records));
    Ok(())
}

/// Waits until so many records are settled and active. A record that somebody doubts is attempted once more, and nobody
/// outside is told when that begins.
pub async fn become_active(cluster: &Cluster, id: &ConfigId, count: usize) -> Result<()> {
    let rest = until("all records to be active again", LIMIT, || async {
        cluster.api().settled(id, LIMIT).await?;
        Ok(all_active(&records(cluster, id).await?, count).ok())
    });
    with_logs(cluster, rest.await)
}

/// Runs a config again, and waits until that run is over and completed.
pub async fn run_again(cluster: &Cluster, id: &ConfigId) -> Result<Run> {
    let run = cluster.api().sync(id).await?.run;
    let run = with_logs(cluster, cluster.api().run_ended(id, run, LIMIT).await)?;
    ensure!(run.end == Some(RunEnd::Completed), "{run:?}");
    Ok(run)
}

/// Adds what the roles wrote to a failure.
pub fn with_logs<T>(cluster: &Cluster, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.context(cluster.logs()))
}
