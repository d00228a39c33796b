//! Every command and endpoint refuses what it cannot use, with a code and a fix, and nothing changes.

use std::fs;

use anyhow::{Context, Result, ensure};
use proto_msgs::Problem;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Cluster, ClusterBuilder};

use crate::fixtures::{LIMIT, create, pair, spec};

const CONFIG: &str =
    "name: a\nsource: { vault: from-kv }\ntarget: { vault: into-kv }\nitem_types: [secrets]\nrule: { kind: all }\n";

/// A config with one part replaced.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = spec("other");
    change(&mut spec);
    spec
}

fn bad_bodies() -> Vec<(&'static str, Value, u16, &'static str)> {
    vec![
        ("no object", json!([]), 400, "invalid_input"),
        ("an unknown key", with(|spec| spec["colour"] = json!("red")), 400, "invalid_input"),
        (
            "a missing key",
            with(|spec| drop(spec.as_object_mut().map(|fields| fields.remove("rule")))),
            400,
            "invalid_input",
        ),
        ("an empty name", with(|spec| spec["name"] = json!("")), 400, "invalid_input"),
        ("a long name", with(|spec| spec["name"] = json!("x".repeat(81))), 400, "invalid_input"),
        ("no item type", with(|spec| spec["item_types"] = json!([])), 400, "invalid_input"),
        ("an unknown item type", with(|spec| spec["item_types"] = json!(["passwords"])), 400, "invalid_input"),
        ("an unknown rule", with(|spec| spec["rule"] = json!({ "kind": "some" })), 400, "invalid_input"),
        ("a broken glob", with(|spec| spec["rule"] = json!({ "kind": "pattern", "glob": "[" })), 400, "invalid_input"),
        ("no names", with(|spec| spec["rule"] = json!({ "kind": "manual", "names": [] })), 400, "invalid_input"),
        (
            "an impossible name",
            with(|spec| spec["rule"] = json!({ "kind": "manual", "names": ["a_b"] })),
            400,
            "invalid_input",
        ),
        ("a short interval", with(|spec| spec["behaviour"] = json!({ "interval": "1s" })), 400, "invalid_input"),
        ("one vault twice", with(|spec| spec["target"] = spec["source"].clone()), 400, "invalid_input"),
        ("an impossible vault", with(|spec| spec["source"] = json!({ "vault": "x" })), 400, "invalid_input"),
        (
            "a host elsewhere",
            with(|spec| {
                spec["source"] = json!({ "uri": "https://evil.example", "subscription": "00000000-0000-4000-8000-000000000001", "region": "westeurope" });
            }),
            422,
            "not_validated",
        ),
        (
            "a vault that is not there",
            with(|spec| spec["source"] = json!({ "vault": "nowhere-kv" })),
            422,
            "not_validated",
        ),
        ("a name that is taken", spec("pair"), 409, "already_exists"),
    ]
}

const BAD_PATHS: &[(&str, &str, u16, &str)] = &[
    ("GET", "/api/v1/nothing", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody", 404, "not_found"),
    ("DELETE", "/api/v1/configs/nobody", 404, "not_found"),
    ("POST", "/api/v1/configs/nobody/sync", 404, "not_found"),
    ("POST", "/api/v1/configs/nobody/expand", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/runs", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/events", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/records", 404, "not_found"),
    ("GET", "/api/v1/configs?limit=0", 400, "invalid_input"),
    ("GET", "/api/v1/configs?limit=many", 400, "invalid_input"),
    ("GET", "/api/v1/configs?cursor=xx", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/runs?limit=9999", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/events?cursor=xx", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/events", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?status=fine", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?type=passwords", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?name=%5B", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?colour=red", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?cursor=e30", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records/passwords/a", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records/secrets/a_b", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records/secrets/absent", 404, "not_found"),
    ("POST", "/api/v1/configs/pair/records/secrets/absent/sync", 404, "not_found"),
    ("POST", "/api/v1/configs/pair/records/secrets/a_b/sync", 400, "invalid_input"),
    ("GET", "/api/v1/errors/nonsense", 404, "not_found"),
];

/// What is written, what it exits with, and a word of what it says.
const BAD_COMMANDS: &[(&[&str], i32, &str)] = &[
    (&["nonsense"], 64, "nonsense"),
    (&["config", "create"], 64, "--file"),
    (&["config", "create", "-f", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["config", "get", "nobody"], 66, "nobody"),
    (&["config", "delete", "nobody"], 66, "nobody"),
    (&["config", "list", "-o", "xml"], 64, "xml"),
    (&["records", "list", "nobody"], 66, "nobody"),
    (&["records", "list", "pair", "--status", "fine"], 64, "fine"),
    (&["records", "list", "pair", "--type", "passwords"], 64, "passwords"),
    (&["records", "list", "pair", "--name", "["], 64, "glob"),
    (&["records", "get", "pair", "secrets", "absent"], 66, "absent"),
    (&["records", "get", "pair", "passwords", "a"], 64, "passwords"),
    (&["records", "sync", "pair", "secrets"], 64, "NAME"),
    (&["records", "sync", "nobody"], 66, "nobody"),
    (&["records", "sync", "pair", "secrets", "absent"], 66, "absent"),
    (&["expand", "nobody"], 66, "nobody"),
    (&["runs", "list", "nobody"], 66, "nobody"),
    (&["watch", "nobody"], 66, "nobody"),
    (&["explain", "nonsense"], 66, "nonsense"),
    (&["config", "list", "--server", "nowhere"], 64, "nowhere"),
    (&["config", "list", "--server", "http://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (&["config", "list", "--token", "wrong"], 77, "token"),
    (&["emulator", "--listen", "nowhere"], 64, "nowhere"),
    (&["emulator", "--latency", "soon"], 64, "soon"),
    (&["emulator", "--limits", "some"], 64, "some"),
    (&["emulator", "--estate", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["emulator", "--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"], 64, "loopback"),
    (&["coordinator", "--settings", "/nowhere.toml"], 64, "/nowhere.toml"),
    (&["worker", "--settings", "/nowhere.toml"], 64, "/nowhere.toml"),
    (&["gateway", "--settings", "/nowhere.toml"], 64, "/nowhere.toml"),
    (&["gateway", "--listen", "nowhere"], 64, "nowhere"),
    (&["coordinator", "--nats", "nats://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (&["coordinator", "--log", "a=b=c"], 64, "log"),
    (&["nats", "provision", "--nats", "nats://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (&["nats", "provision", "--replicas", "9"], 64, "9"),
    (&["token", "create", "--name", "a"], 64, "--role"),
    (&["token", "create", "--name", "a b", "--role", "admin"], 64, "name"),
    (&["up", "--workers", "0"], 64, "0"),
    (&["up", "--estate", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["up", "--dir", "/proc/keyferry"], 64, "--dir"),
    (&["up", "--nats-server", "/nowhere/nats-server"], 64, "/nowhere/nats-server"),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_a_code_and_a_fix_and_changes_nothing() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let before = (cluster.api().config(&config).await?.revision, cluster.api().runs(&config).await?);

    for (what, body, status, code) in bad_bodies() {
        refused(&cluster, what, Method::POST, "/api/v1/configs", Some(body), (status, code)).await?;
    }
    for (method, path, status, code) in BAD_PATHS {
        refused(&cluster, path, method.parse()?, path, None, (*status, code)).await?;
    }
    for (args, exit, word) in BAD_COMMANDS {
        command_refused(&cluster, args, *exit, word)?;
    }
    for (what, text) in bad_files() {
        let file = cluster.folder().join("bad.yaml");
        fs::write(&file, text)?;
        let file = file.to_str().context("the folder has a name")?;
        command_refused(&cluster, &["config", "create", "-f", file], 64, what)?;
    }
    a_revision_is_held_to(&cluster, &config.to_string()).await?;
    nobody_gets_in_without_a_token(&cluster).await?;

    let after = (cluster.api().config(&config).await?.revision, cluster.api().runs(&config).await?);
    ensure!(before == after, "something changed: {before:?} {after:?}");
    Ok(())
}

/// A word of the refusal, and a file.
fn bad_files() -> Vec<(&'static str, String)> {
    vec![
        ("colour", format!("{CONFIG}colour: red\n")),
        ("line", CONFIG.replace("source: { vault: from-kv }", "source: [")),
        ("rule", CONFIG.replace("rule: { kind: all }\n", "")),
    ]
}

async fn refused(
    cluster: &Cluster,
    what: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
    expected: (u16, &str),
) -> Result<()> {
    let answer = cluster.api().send(method, path, body).await?;
    let status = answer.status().as_u16();
    let kind =
        answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let correlation = answer.headers().get("x-correlation-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = answer.text().await?;
    ensure!(status == expected.0, "{what}: {status} instead of {}: {text}", expected.0);
    ensure!(kind == "application/problem+json", "{what}: {kind}");
    let problem: Problem = serde_json::from_str(&text).with_context(|| format!("{what}: {text}"))?;
    ensure!(problem.code.as_str() == expected.1, "{what}: {text}");
    ensure!(!problem.fix.is_empty() && !problem.detail.is_empty(), "{what}: {text}");
    ensure!(correlation == Some(problem.correlation_id.to_string()), "{what}: {text}");
    Ok(())
}

fn command_refused(cluster: &Cluster, args: &[&str], exit: i32, word: &str) -> Result<()> {
    let output = cluster.command(args).current_dir(cluster.folder()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(exit), "{args:?} exits with {:?}, not {exit}: {told}", output.status.code());
    ensure!(output.stdout.is_empty(), "{args:?} answers on standard output");
    ensure!(told.to_lowercase().contains(&word.to_lowercase()), "{args:?} does not say `{word}`: {told}");
    ensure!(!told.contains("panicked"), "{args:?}: {told}");
    Ok(())
}

async fn a_revision_is_held_to(cluster: &Cluster, config: &str) -> Result<()> {
    let request =
        reqwest::Client::builder().no_proxy().build()?.delete(format!("{}/api/v1/configs/{config}", cluster.server()));
    let answer = request.bearer_auth(cluster.token()).header("If-Match", "\"1\"").send().await?;
    ensure!(answer.status() == 412, "{}", answer.status());
    Ok(())
}

async fn nobody_gets_in_without_a_token(cluster: &Cluster) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    for token in [None, Some("wrong")] {
        let mut request = http.get(format!("{}/api/v1/configs", cluster.server()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        ensure!(answer.status() == 401 && answer.headers().contains_key("www-authenticate"), "{}", answer.status());
    }
    Ok(())
}
