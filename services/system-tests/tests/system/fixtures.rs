//! What the tests build from.

use std::time::Duration;

use anyhow::Result;
use proto_msgs::{ConfigId, ItemType, api::RecordView};
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
    json!({
        "name": name,
        "source": { "vault": SOURCE },
        "target": { "vault": TARGET },
        "item_types": ["secrets"],
        "rule": { "kind": "all" },
    })
}

/// Creates the config, and gives its id.
pub async fn create(cluster: &Cluster) -> Result<ConfigId> {
    Ok(cluster.api().create(spec("pair")).await?.config.id)
}

/// A settled record with its whole history. That comes from the audit stream, which is a moment behind the log.
pub async fn told(cluster: &Cluster, config: &ConfigId, kind: ItemType, name: &str) -> Result<RecordView> {
    until(&format!("the whole history of {name}"), LIMIT, || async {
        let view = cluster.api().record(config, kind, name).await?;
        let last = view.record.last_attempt.as_ref().map(|attempt| attempt.started);
        // The intent that goes with the newest outcome was the message before it.
        Ok(view.history.iter().any(|past| Some(past.at) == last).then_some(view))
    })
    .await
}

/// Adds what the roles wrote to a failure.
pub fn with_logs<T>(cluster: &Cluster, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.context(cluster.logs()))
}
