//! A value that nobody else has is nowhere but in the vaults, whatever went wrong while it was copied.
//!
//! Each search is shown to work by the name of the same secret, which is no secret and has to be found.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use system_tests::{Cluster, ClusterBuilder, EstateBuilder, Marker, NatsTap};

use crate::fixtures::{SOURCE, TARGET, become_active, create, run_again};

const VALUE: &str = "canary-value-7d1f0c52-that-nobody-else-has";
const NAME: &str = "canary-name-5b8e21f4-that-nobody-else-has";
/// Of the emulated vaults, which hold values: the estate, and what the emulator says.
const VAULTS: [&str; 2] = ["estate.yaml", "emulator.log"];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_found_nowhere_but_in_the_vaults() -> Result<()> {
    let (value, name) = (Marker::new(VALUE), Marker::new(NAME));
    let items = format!(
        "        items:\n          secrets:\n            - {{ name: {NAME}, value: {VALUE} }}\n            \
         - {{ name: \"more-{{n}}\", count: 20, value: \"{VALUE}-{{n}}\" }}\n"
    );
    let estate = EstateBuilder::new().vault_with(SOURCE, "westeurope", &items).vault(TARGET, "northeurope", 0);
    let cluster = ClusterBuilder::new(estate).workers(1).unlimited().traced().start().await?;
    let tap = NatsTap::on(cluster.nats.port()).await?;
    // What is said of calls that fail is said with the call at hand.
    let fault = |operation, when, then| json!({ "operation": operation, "count": 3, "when": when, "then": then });
    let echo = json!({ "status": { "status": 400, "code": "BadParameter", "message": "no" } });
    let error = json!({ "status": { "status": 500 } });
    cluster
        .admin()
        .set_faults(json!([
            fault("secrets.get", "after", error),
            fault("secrets.set", "after", json!("reset")),
            fault("secrets.set", "before", echo),
            fault("secrets.set", "before", json!({ "status": { "status": 503 } })),
        ]))
        .await?;
    let config = create(&cluster).await?;
    cluster.admin().faults_hit(12, crate::fixtures::LIMIT).await?;
    cluster.api().settled(&config, crate::fixtures::LIMIT).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    reader.set_secret(SOURCE, NAME, &format!("{VALUE}-again")).await?;
    run_again(&cluster, &config).await?;
    become_active(&cluster, &config, 21).await?;
    let copy = reader.secret(TARGET, NAME).await?;
    ensure!(copy.is_some_and(|copy| copy.value == format!("{VALUE}-again")), "the value did not arrive");

    let answers = answers(&cluster, &config.to_string()).await?;
    let heard = tap.heard().await;
    for (place, bytes) in [("answers of the gateway", answers.as_slice()), ("messages", &heard)] {
        ensure!(name.is_in(bytes), "{place}: not even the name is found");
        ensure!(!value.is_in(bytes), "{place} have the value");
    }
    let stored = name.files(cluster.folder(), &VAULTS)?;
    for place in ["nats-1", "worker-1.log", "coordinator-1.log"] {
        let is_there = |path: &std::path::PathBuf| path.components().any(|part| part.as_os_str() == place);
        ensure!(stored.iter().any(is_there), "{place}: not even the name is found, in {stored:?}");
    }
    ensure!(!value.files(cluster.folder(), &[])?.is_empty(), "the estate has the value");
    let leaks = value.files(cluster.folder(), &VAULTS)?;
    ensure!(leaks.is_empty(), "the value is in {leaks:?}");
    for process in [&cluster.coordinators[0], &cluster.gateway] {
        ensure!(name.in_memory_of(process)? > 0, "not even the name is in the memory of {}", process.name());
        ensure!(value.in_memory_of(process)? == 0, "the value is in the memory of {}", process.name());
    }
    ensure!(value.in_memory_of(&cluster.emulator)? > 0, "the vaults have the value in memory");
    Ok(())
}

/// What the gateway says of the config and all that is in it.
async fn answers(cluster: &Cluster, config: &str) -> Result<Vec<u8>> {
    let mut said = Vec::new();
    let base = format!("/api/v1/configs/{config}");
    for path in ["", "/records", "/runs", &format!("/records/secrets/{NAME}"), "/records/secrets/more-1"] {
        let answer = cluster.api().send(Method::GET, &format!("{base}{path}"), None).await?;
        ensure!(answer.status().is_success(), "{path} gave {}", answer.status());
        said.extend(answer.bytes().await?);
    }
    Ok(said)
}
