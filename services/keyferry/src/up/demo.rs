//! What is set up for the user: settings of all roles, and replications to look at.
//!
//! The demo's first one carries almost everything; the others are small, and there for what one pair of vaults cannot
//! show. All together come to have a record in every `blocked_*` status; `blocked_delete_held` takes items that go from the
//! source, which the estate's do after four minutes, and two runs after that.

use std::{path::PathBuf, time::Duration};

use proto_msgs::{
    RequestCode,
    api::{Accepted, ConfigView},
};
use serde_json::{Value, json};

use super::{Up, progress};
use crate::{
    client::{Client, path},
    failure::Failure,
    output::tell,
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

/// Names of the configs that a start has made: whoever deleted one does not want it back.
const MADE: &str = "configs";

/// What is replicated, and who copies.
pub struct Demo {
    /// Bodies of configs; each begins when the one before is through.
    configs: Vec<Value>,
    tenant: String,
    client_id: String,
    pub secret: String,
}

impl Demo {
    /// The first two vaults of an estate: of the demo's by tag, and some more; of any other with everything.
    pub fn of(is_demo: bool, estate: &emulator::Estate) -> Result<Self, Failure> {
        let names = estate.vault_names();
        let (Some(source), Some(target)) = (names.first(), names.get(1)) else {
            return Err(Failure::input("the estate has fewer than two vaults", "add a vault to copy into"));
        };
        let (client_id, secret) = estate.first_identity().ok_or_else(|| {
            Failure::input("the estate has no identity", "add one under `identities`, with a role on both vaults")
        })?;
        let configs =
            if is_demo { of_the_demo() } else { vec![config(source, target, &ALL, json!({ "kind": "all" }))] };
        Ok(Self {
            configs,
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

    /// Sees each replication through a run that ends.
    pub async fn replicate(
        &self,
        client: &Client,
        place: &Place,
        children: &mut Children<'_>,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        seen.begin();
        let mut made = place.lines(MADE)?;
        for body in &self.configs {
            let name = body["name"].as_str().unwrap_or_default();
            let was_made = made.iter().any(|known| known == name);
            let there = find(name, client, children).await?;
            if was_made && there.is_none() {
                tell(format_args!("`{name}` was deleted, and is not made again"));
                continue;
            }
            see_through(body, there, client, children, seen).await?;
            if !was_made {
                made.push(name.to_owned());
                place.write(MADE, &made.join("\n"))?;
            }
        }
        Ok(())
    }
}

const ALL: [&str; 3] = ["secrets", "certificates", "keys"];

fn config(source: &str, target: &str, item_types: &[&str], rule: Value) -> Value {
    json!({
        "name": format!("{} to {}", source.trim_end_matches("-kv"), target.trim_end_matches("-kv")),
        "source": { "vault": source },
        "target": { "vault": target },
        "item_types": item_types,
        "rule": rule,
    })
}

fn of_the_demo() -> Vec<Value> {
    let manual = |names: &[&str]| json!({ "kind": "manual", "names": names });
    let mut first = config("prod-eu-kv", "prod-ne-kv", &ALL, json!({ "kind": "tagged", "tag": "replicate=true" }));
    first["exclude"] = json!(["legacy-*"]);
    vec![
        first,
        // Another subscription; and an item that the first one brings to the same target.
        config("staging-eu-kv", "prod-ne-kv", &["secrets", "keys"], manual(&["api-token", "staging-key"])),
        // Another geography; and a certificate's own secret and key, without the certificate.
        config("prod-eu-kv", "prod-us-kv", &["secrets", "keys"], manual(&["signing-key", "tls-cert"])),
        // A geography that is not known.
        config("prod-eu-kv", "staging-uk-kv", &["keys"], manual(&["signing-key"])),
        deleting(),
    ]
}

/// Follows deletes, but not four out of four unasked. Two runs are never less than the five minutes apart that two misses
/// must be.
fn deleting() -> Value {
    let mut config =
        config("staging-eu-kv", "staging-us-kv", &["secrets"], json!({ "kind": "pattern", "glob": "preview-*" }));
    config["behaviour"] = json!({ "propagate_deletes": true, "delete_trigger": "deleted", "interval": "6m" });
    config
}

/// One that is there from an earlier start gets a new run, since the vaults may have changed in the meantime. Where
/// somebody stopped it, it stays so, and that is said.
async fn see_through(
    body: &Value,
    there: Option<ConfigView>,
    client: &Client,
    children: &mut Children<'_>,
    seen: &mut Seen,
) -> Result<(), Failure> {
    let was_there = there.is_some();
    let id = match there {
        Some(view) => view.config.id.to_string(),
        None => create(body, client, children).await?,
    };
    let Some(view) = progress::follow(client, &id, None, children, seen).await?.filter(|_| was_there) else {
        return Ok(());
    };
    if let Some(why) = progress::stopped(client, &view).await {
        tell(why);
        return Ok(());
    }
    let before = view.summary.as_ref().and_then(|summary| summary.run.as_ref()).map(|run| run.id);
    let sync = path(&["configs", &id, "sync"]);
    patiently(children, || client.post::<Accepted>(&sync)).await?;
    progress::follow(client, &id, before, children, seen).await.map(drop)
}

/// The config of that name; none: there is none.
async fn find(name: &str, client: &Client, children: &mut Children<'_>) -> Result<Option<ConfigView>, Failure> {
    let config = path(&["configs", name]);
    match patiently(children, || client.get::<ConfigView>(&config)).await {
        Ok(view) => Ok(Some(view)),
        Err(failure) if failure.code() == Some(RequestCode::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Its id.
async fn create(body: &Value, client: &Client, children: &mut Children<'_>) -> Result<String, Failure> {
    let configs = path(&["configs"]);
    let view = patiently(children, || client.post_body::<ConfigView>(&configs, body)).await?;
    Ok(view.config.id.to_string())
}

/// Asks again while nobody answers who has just been started.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    children: &mut Children<'_>,
    mut ask: impl FnMut() -> F,
) -> Result<T, Failure> {
    let started = tokio::time::Instant::now();
    loop {
        children.revive()?;
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.code() == Some(RequestCode::Unavailable) && started.elapsed() < ANSWER_LIMIT => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}
