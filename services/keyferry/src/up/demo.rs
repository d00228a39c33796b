//! What is set up for the user: settings of all roles, and a replication to look at.

use std::{path::PathBuf, time::Duration};

use proto_msgs::{
    RequestCode,
    api::{Accepted, ConfigView},
};
use serde_json::json;

use super::{Up, progress, summary};
use crate::{
    client::{Client, path},
    failure::Failure,
    up::{
        children::{Children, SECRET_VARIABLE},
        moved::SUFFIX,
        place::Place,
        progress::Seen,
    },
};

/// A worker that has just started does not answer yet.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The two vaults that are shown, the rule between them, and who copies.
pub struct Demo {
    name: String,
    source: String,
    target: String,
    rule: serde_json::Value,
    tenant: String,
    client_id: String,
    pub secret: String,
}

impl Demo {
    /// The first two vaults of an estate: of the demo's by tag, of any other with everything.
    pub fn of(is_demo: bool, estate: &emulator::Estate) -> Result<Self, Failure> {
        let names = estate.vault_names();
        let (Some(source), Some(target)) = (names.first(), names.get(1)) else {
            return Err(Failure::input("the estate has fewer than two vaults", "add a vault to copy into"));
        };
        let (client_id, secret) = estate.first_identity().ok_or_else(|| {
            Failure::input("the estate has no identity", "add one under `identities`, with a role on both vaults")
        })?;
        let rule =
            if is_demo { json!({ "kind": "tagged", "tag": "replicate=true" }) } else { json!({ "kind": "all" }) };
        let name = format!("{} to {}", source.trim_end_matches("-kv"), target.trim_end_matches("-kv"));
        Ok(Self {
            name,
            source: (*source).to_owned(),
            target: (*target).to_owned(),
            rule,
            tenant: estate.tenant().to_owned(),
            client_id: client_id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// Writes the settings of all roles.
    pub fn write_settings(&self, place: &Place, args: &Up) -> Result<PathBuf, Failure> {
        let port = args.emulator_port;
        let identity = format!(
            "{{ kind = \"client_secret\", tenant = \"{}\", client_id = \"{}\", secret_env = \"{SECRET_VARIABLE}\" }}",
            self.tenant, self.client_id
        );
        let text = format!(
            "[nats]\nurl = \"nats://127.0.0.1:{}\"\n\n[gateway]\nlisten = \"127.0.0.1:{}\"\n\n[worker.azure]\nsource = \
             {identity}\ntarget = {identity}\nca_file = {:?}\nauthority_host = \"https://login.localhost:{port}\"\n\
             management_endpoint = \"https://management.localhost:{port}\"\nvault_suffix = \"{SUFFIX}:{port}\"\n\
             resolve_localhost = true\n",
            args.nats_port,
            args.port,
            place.file("ca.pem"),
        );
        place.write("keyferry.toml", &text)
    }

    /// Sees the replication through a run that ends. One that was left in trouble by an earlier start gets a new run,
    /// because what was in its way may be mended by now; and so does one whose last run is older than its vaults'
    /// addresses.
    pub async fn replicate(
        &self,
        client: &Client,
        children: &mut Children<'_>,
        seen: &mut Seen,
    ) -> Result<ConfigView, Failure> {
        seen.begin();
        let (id, was_there) = self.create(client, children).await?;
        let view = progress::follow(client, &id, None, children, seen).await?;
        let run = view.summary.as_ref().and_then(|summary| summary.run.as_ref());
        let is_current = run.is_some_and(|run| run.revision == view.revision) && summary::trouble(&view).is_none();
        if !was_there || is_current {
            return Ok(view);
        }
        let before = run.map(|run| run.id);
        let sync = path(&["configs", &id, "sync"]);
        patiently(children, || client.post::<Accepted>(&sync)).await?;
        progress::follow(client, &id, before, children, seen).await
    }

    /// Its id, and whether it is there from an earlier start.
    async fn create(&self, client: &Client, children: &mut Children<'_>) -> Result<(String, bool), Failure> {
        match client.get::<ConfigView>(&path(&["configs", &self.name])).await {
            Ok(view) => return Ok((view.config.id.to_string(), true)),
            Err(failure) if failure.code() == Some(RequestCode::NotFound) => {}
            Err(failure) => return Err(failure),
        }
        let body = json!({
            "name": self.name,
            "source": { "vault": self.source },
            "target": { "vault": self.target },
            "item_types": ["secrets", "certificates", "keys"],
            "rule": self.rule,
        });
        let configs = path(&["configs"]);
        let view = patiently(children, || client.post_body::<ConfigView>(&configs, &body)).await?;
        Ok((view.config.id.to_string(), false))
    }
}

/// Asks again while nobody answers who has just been started.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    children: &mut Children<'_>,
    mut ask: impl FnMut() -> F,
) -> Result<T, Failure> {
    let started = tokio::time::Instant::now();
    loop {
        children.check()?;
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.code() == Some(RequestCode::Unavailable) && started.elapsed() < ANSWER_LIMIT => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}
