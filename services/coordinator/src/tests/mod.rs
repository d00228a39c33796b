//! A whole coordinator beside a worker that does as it is told.

mod decisions;
mod halting;
mod owners;
mod plans;
mod retries;
mod stage;
mod takeovers;
mod upgrade;

use std::time::Duration;

use proto_msgs::{Config, Revision, api::ConfigCommand};

use crate::fixtures::config;
use stage::Stage;

/// The shortest interval there is.
const INTERVAL: Duration = Duration::from_secs(300);

/// A config of the shortest interval, saved.
async fn saved(stage: &Stage, bits: u128, source: &str, target: &str) -> (Config, Revision) {
    let mut config = config(bits, source, target);
    config.spec.behaviour.interval = "5m".parse().unwrap();
    let revision = stage.save(&config, Revision(0)).await;
    (config, revision)
}

/// The same over the one pair of vaults that most tests are about.
async fn saved_pair(stage: &Stage) -> (Config, Revision) {
    saved(stage, 1, "source-kv", "target-kv").await
}

/// Pauses a config, or lets it go on.
async fn set_paused(stage: &Stage, config: &mut Config, revision: Revision, paused: bool) -> Revision {
    config.spec.paused = paused;
    stage.save(config, revision).await
}

fn run_now() -> ConfigCommand {
    ConfigCommand::Sync { actor: "ann".to_owned() }
}
