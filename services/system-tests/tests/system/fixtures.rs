//! What the tests build from.

use std::time::Duration;

use anyhow::Result;
use proto_msgs::ConfigId;
use serde_json::{Value, json};
use system_tests::{Cluster, EstateBuilder};

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

/// Adds what the roles wrote to a failure.
pub fn with_logs<T>(cluster: &Cluster, result: Result<T>) -> Result<T> {
    result.map_err(|error| error.context(cluster.logs()))
}
