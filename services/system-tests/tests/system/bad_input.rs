//! Every command and endpoint refuses what it cannot use, with a code and a fix, and nothing changes.

mod commands;
mod endpoints;
mod files;

pub use commands::refused;

use anyhow::{Result, ensure};
use proto_msgs::{
    ConfigId,
    api::{ConfigView, Page},
};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Cluster, ClusterBuilder};

use crate::fixtures::{LIMIT, create, pair};

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_a_code_and_a_fix_and_changes_nothing() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let before = everything(&cluster, &config).await?;

    endpoints::are_refused(&cluster, &config).await?;
    endpoints::of_the_emulator_are_refused(&cluster).await?;
    commands::are_refused(&cluster)?;
    files::are_refused(&cluster)?;

    let after = everything(&cluster, &config).await?;
    ensure!(before == after, "something changed:\n{before}\n{after}");
    Ok(())
}

/// Whatever a bad request could have changed.
async fn everything(cluster: &Cluster, config: &ConfigId) -> Result<Value> {
    let api = cluster.api();
    let configs: Page<ConfigView> = api.call(Method::GET, "/api/v1/configs", None).await?;
    let configs: Vec<_> = configs.items.into_iter().map(|view| (view.config, view.revision)).collect();
    let records = api.records(config).await?;
    Ok(json!({ "configs": configs, "records": records, "runs": api.runs(config).await? }))
}
