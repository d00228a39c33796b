//! What is set up for the user: settings of all roles, and a replication to look at.

use std::{path::PathBuf, time::Duration};

use proto_msgs::{RequestCode, api::ConfigView};
use serde_json::json;

use crate::{
    cli::Up,
    client::{Client, segment},
    failure::Failure,
    up::{
        children::{self, Children, SECRET_VARIABLE},
        place::Place,
    },
};

/// A worker that has just started does not answer yet.
const CREATE_LIMIT: Duration = Duration::from_secs(30);

/// The two vaults that are shown, and the rule between them.
pub struct Pair {
    name: String,
    source: String,
    target: String,
    rule: serde_json::Value,
}

/// The demo estate's production vaults by tag, or the first two of any other estate with everything.
pub fn pair(estate: &emulator::Estate) -> Result<Pair, Failure> {
    let names = estate.vault_names();
    let (Some(source), Some(target)) = (names.first(), names.get(1)) else {
        return Err(Failure::input("the estate has fewer than two vaults", "add a vault to copy into"));
    };
    let rule = match *source {
        "prod-eu-kv" => json!({ "kind": "tagged", "tag": "replicate=true" }),
        _ => json!({ "kind": "all" }),
    };
    let name = format!("{} to {}", source.trim_end_matches("-kv"), target.trim_end_matches("-kv"));
    Ok(Pair { name, source: (*source).to_owned(), target: (*target).to_owned(), rule })
}

/// Writes the settings of all roles.
pub fn write_settings(place: &Place, args: &Up, estate: &emulator::Estate) -> Result<PathBuf, Failure> {
    let (client_id, _) = estate.first_identity().ok_or_else(|| {
        Failure::input("the estate has no identity", "add one under `identities`, with a role on both vaults")
    })?;
    let port = args.emulator_port;
    let identity = format!(
        "{{ kind = \"client_secret\", tenant = \"{}\", client_id = \"{client_id}\", secret_env = \"{SECRET_VARIABLE}\" }}",
        estate.tenant()
    );
    let text = format!(
        "[nats]\nurl = \"nats://127.0.0.1:{}\"\n\n[gateway]\nlisten = \"127.0.0.1:{}\"\n\n[worker.azure]\nsource = \
         {identity}\ntarget = {identity}\nca_file = {:?}\nauthority_host = \"https://login.localhost:{port}\"\n\
         management_endpoint = \"https://management.localhost:{port}\"\nvault_suffix = \"vault.localhost:{port}\"\n\
         resolve_localhost = true\n",
        args.nats_port,
        args.port,
        place.file("ca.pem"),
    );
    let file = place.file("keyferry.toml");
    children::write(&file, &text)?;
    Ok(file)
}

/// Creates the replication, unless it is there from an earlier start.
pub async fn create(client: &Client, pair: &Pair, children: &mut Children<'_>) -> Result<String, Failure> {
    let path = format!("/api/v1/configs/{}", segment(&pair.name));
    match client.get::<ConfigView>(&path).await {
        Ok(view) => return Ok(view.config.id.to_string()),
        Err(Failure::Refused(problem)) if problem.code == RequestCode::NotFound => {}
        Err(failure) => return Err(failure),
    }
    let body = json!({
        "name": pair.name,
        "source": { "vault": pair.source },
        "target": { "vault": pair.target },
        "item_types": ["secrets", "certificates", "keys"],
        "rule": pair.rule,
    });
    let started = tokio::time::Instant::now();
    loop {
        children.check()?;
        match client.post::<ConfigView>("/api/v1/configs", Some(body.clone())).await {
            Ok(view) => return Ok(view.config.id.to_string()),
            Err(Failure::Refused(problem))
                if problem.code == RequestCode::Unavailable && started.elapsed() < CREATE_LIMIT =>
            {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}
