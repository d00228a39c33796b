//! Requests that cannot be used: for each endpoint of the document alike, and one by one.

use anyhow::{Context, Result, ensure};
use proto_msgs::{ConfigId, Problem};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use system_tests::Cluster;

use super::commands::token;
use crate::{
    fixtures::spec,
    openapi::{Document, Operation},
};

/// A config with one part replaced.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = spec("other");
    change(&mut spec);
    spec
}

/// Bodies of a new config, and a word of what is said.
fn bad_bodies() -> Vec<(&'static str, Value, u16, &'static str)> {
    let by_hand = |uri: &str| json!({ "uri": uri, "subscription": "00000000-0000-4000-8000-000000000001", "region": "westeurope" });
    let input = [
        ("config", json!("text")),
        ("the body: keys and values", json!(["ordered", "azure_key_vault"])),
        ("behaviour: keys and values", with(|spec| spec["behaviour"] = json!([true, true]))),
        ("colour", with(|spec| spec["colour"] = json!("red"))),
        ("rule", with(|spec| drop(spec.as_object_mut().map(|fields| fields.remove("rule"))))),
        ("name:", with(|spec| spec["name"] = json!(""))),
        ("name:", with(|spec| spec["name"] = json!("x".repeat(81)))),
        ("name:", with(|spec| spec["name"] = json!(".."))),
        ("item_types:", with(|spec| spec["item_types"] = json!([]))),
        ("passwords", with(|spec| spec["item_types"] = json!(["passwords"]))),
        ("some", with(|spec| spec["rule"] = json!({ "kind": "some" }))),
        ("rule: glob", with(|spec| spec["rule"] = json!({ "kind": "pattern", "glob": "[" }))),
        ("exclude: glob", with(|spec| spec["exclude"] = json!(["["]))),
        ("rule: name at least", with(|spec| spec["rule"] = json!({ "kind": "manual", "names": [] }))),
        ("a_b", with(|spec| spec["rule"] = json!({ "kind": "manual", "names": ["a_b"] }))),
        ("1s", with(|spec| spec["behaviour"] = json!({ "interval": "1s" }))),
        ("target:", with(|spec| spec["target"] = spec["source"].clone())),
        ("source.vault", with(|spec| spec["source"] = json!({ "vault": "x" }))),
        ("vualt", with(|spec| spec["source"] = json!({ "vualt": "from-kv" }))),
        ("`region` is missing", with(|spec| spec["source"] = json!({ "uri": "https://a", "subscription": "b" }))),
        ("source.uri", with(|spec| spec["source"] = by_hand("http://from-kv.vault.localhost"))),
    ];
    let input = input.into_iter().map(|(word, body)| (word, body, 400, "invalid_input"));
    let others = [
        ("source", with(|spec| spec["source"] = by_hand("https://evil.example")), 422, "not_validated"),
        ("source", with(|spec| spec["source"] = json!({ "vault": "nowhere-kv" })), 422, "not_validated"),
        ("pair", spec("pair"), 409, "already_exists"),
    ];
    input.chain(others).collect()
}

const BAD_PATHS: &[(&str, &str, u16, &str)] = &[
    ("GET", "/api/v1/nothing", 404, "not_found"),
    ("GET", "/api/v1/%FF", 404, "not_found"),
    ("GET", "/api/v1/configs/", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody", 404, "not_found"),
    ("GET", "/api/v1/configs/%FF", 404, "not_found"),
    ("GET", "/api/v1/configs/a%2Fb", 404, "not_found"),
    ("DELETE", "/api/v1/configs/nobody", 404, "not_found"),
    ("POST", "/api/v1/configs/nobody/sync", 404, "not_found"),
    ("POST", "/api/v1/configs/nobody/expand", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/runs", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/events", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/records", 404, "not_found"),
    ("GET", "/api/v1/configs?limit=0", 400, "invalid_input"),
    ("GET", "/api/v1/configs?limit=many", 400, "invalid_input"),
    ("GET", "/api/v1/configs?limit=1&limit=2", 400, "invalid_input"),
    ("GET", "/api/v1/configs?cursor=xx", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/runs?limit=9999", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/runs?cursor=xx", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/runs/xx", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/runs/00000000-0000-4000-8000-000000000001", 404, "not_found"),
    ("GET", "/api/v1/configs/pair/events?cursor=xx", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/events?cursor=", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/events", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?status=fine", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?type=passwords", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?name=%5B", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records?cursor=e30", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records/passwords/a", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records/secrets/a_b", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/records/secrets/absent", 404, "not_found"),
    ("POST", "/api/v1/configs/pair/records/secrets/absent/sync", 404, "not_found"),
    ("POST", "/api/v1/configs/pair/records/secrets/a_b/sync", 400, "invalid_input"),
    ("GET", "/api/v1/errors/nonsense", 404, "not_found"),
    ("GET", "/api/v1/configs/nobody/plan", 404, "not_found"),
    ("GET", "/api/v1/configs/pair/plan?limit=0", 400, "invalid_input"),
    ("GET", "/api/v1/configs/pair/plan?cursor=xx", 400, "invalid_input"),
    ("POST", "/api/v1/configs/nobody/pause", 404, "not_found"),
    ("POST", "/api/v1/configs/nobody/resume", 404, "not_found"),
    ("PUT", "/api/v1/configs/pair", 400, "invalid_input"),
    ("POST", "/api/v1/configs/pair/records/leave", 400, "invalid_input"),
    ("POST", "/api/v1/configs/pair/records/secrets/absent/enable", 404, "not_found"),
    ("POST", "/api/v1/configs/pair/records/secrets/absent/disable", 404, "not_found"),
    ("POST", "/api/v1/configs/pair/records/passwords/a/disable", 400, "invalid_input"),
    ("POST", "/api/v1/configs/pair/records/secrets/a_b/enable", 400, "invalid_input"),
    ("GET", "/api/v1/control/stop-all", 405, "invalid_input"),
];

/// Bodies of decisions and edits, what they are refused with, and a word of what is said. The config is `pair`.
fn bad_decisions() -> Vec<(&'static str, &'static str, Value, u16, &'static str, &'static str)> {
    const HASH: &str = "00112233445566778899aabbccddeeff";
    let leave = |kind: &str, sequence: u64| json!({ "kind": kind, "sequence": sequence });
    let set = |filter: Value, hash: &str| json!({ "filter": filter, "hash": hash });
    let all = |kind: &str, filter: Value| json!({ "kind": kind, "set": set(filter, HASH) });
    let (one, many) = ("/records/secrets/bulk-1/leave", "/records/leave");
    vec![
        ("POST", "/pause", json!({ "reason": "x".repeat(501) }), 400, "invalid_input", "reason"),
        ("POST", "/pause", json!({ "reason": "two\nlines" }), 400, "invalid_input", "reason"),
        ("POST", "/resume", json!({ "why": "so" }), 400, "invalid_input", "why"),
        ("POST", one, leave("forgive", 1), 400, "invalid_input", "forgive"),
        ("POST", one, json!({ "kind": "acknowledge" }), 400, "invalid_input", "sequence"),
        (
            "POST",
            one,
            json!({ "kind": "correct", "sequence": 1, "target_version": "a b" }),
            400,
            "invalid_input",
            "version",
        ),
        ("POST", one, leave("acknowledge", 0), 409, "stale_view", "seen"),
        ("POST", "/records/secrets/absent/leave", leave("accept", 1), 404, "not_found", "absent"),
        ("POST", "/records/passwords/a/leave", leave("accept", 1), 400, "invalid_input", "type"),
        ("POST", many, json!({ "kind": "accept", "set": {} }), 400, "invalid_input", "hash"),
        ("POST", many, all("accept", json!({ "stauts": "drifted" })), 400, "invalid_input", "stauts"),
        ("POST", many, all("accept", json!({ "status": "fine" })), 400, "invalid_input", "fine"),
        ("POST", many, all("accept", json!({ "name": "[" })), 400, "invalid_input", "glob"),
        ("POST", many, all("accept", json!({ "status": "active" })), 409, "stale_view", ""),
        ("POST", "/records/disable", set(json!({}), HASH), 409, "stale_view", ""),
        ("POST", "/records/disable", set(json!({}), "few"), 400, "invalid_input", "32 hexadecimal"),
        ("POST", "/records/enable", set(json!({}), HASH), 409, "stale_view", ""),
        ("POST", "/records/enable", json!([]), 400, "invalid_input", "body"),
        ("POST", "/deletes/release", json!({ "hash": HASH }), 409, "stale_view", ""),
        ("POST", "/deletes/release", json!({ "hash": 7 }), 400, "invalid_input", "body"),
    ]
}

/// Edits of `pair`: what of its spec is replaced, and what they are refused with.
fn bad_edits() -> Vec<(&'static str, Value, u16, &'static str)> {
    let other = |change: fn(&mut Value)| {
        let mut spec = spec("pair");
        change(&mut spec);
        spec
    };
    vec![
        ("source is fixed", other(|spec| spec["source"] = json!({ "vault": "other-kv" })), 400, "invalid_input"),
        ("target is fixed", other(|spec| spec["target"] = json!({ "vault": "other-kv" })), 400, "invalid_input"),
        ("item_types:", other(|spec| spec["item_types"] = json!([])), 400, "invalid_input"),
        ("colour", other(|spec| spec["colour"] = json!("red")), 400, "invalid_input"),
        ("a boolean", other(|spec| spec["paused"] = json!("yes")), 400, "invalid_input"),
        ("elsewhere", other(|spec| spec["target_type"] = json!("elsewhere")), 400, "invalid_input"),
    ]
}

/// What `If-Match` says of a config, which is to be deleted.
const BAD_TAGS: &[(&[u8], u16, &str)] = &[
    (b"\"1\"", 412, "revision_mismatch"),
    (b"W/\"2\"", 412, "revision_mismatch"),
    (b"2", 400, "invalid_input"),
    (b"\xff", 400, "invalid_input"),
];

/// Bodies of a new config that are no JSON.
fn bad_bytes() -> [(&'static str, Vec<u8>, u16); 4] {
    [
        ("nothing", Vec::new(), 400),
        ("half an object", b"{\"name\":".to_vec(), 400),
        ("not UTF-8", b"\"\xff\"".to_vec(), 400),
        ("too much", vec![b' '; 1_000_001], 413),
    ]
}

pub async fn are_refused(cluster: &Cluster, config: &ConfigId) -> Result<()> {
    let caller = Caller { http: reqwest::Client::builder().no_proxy().build()?, base: cluster.server() };
    let run = cluster.api().runs(config).await?.first().context("the config ran")?.id.to_string();
    for operation in Document::fetch(cluster).await?.operations() {
        caller.refused_alike(cluster, &operation, &operation.at(&run)?).await?;
    }
    let admin =
        |method: &str, path: &str| Ok::<_, anyhow::Error>(caller.request(method, path)?.bearer_auth(cluster.token()));
    for (method, path, status, code) in BAD_PATHS {
        refused(path, admin(method, path)?, *status, code).await?;
    }
    for (word, body, status, code) in bad_bodies() {
        let problem = refused(word, admin("POST", CONFIGS)?.json(&body), status, code).await?;
        ensure!(problem.detail.contains(word), "`{word}` is not in: {}", problem.detail);
    }
    for (what, body, status) in bad_bytes() {
        refused(what, admin("POST", CONFIGS)?.body(body), status, "invalid_input").await?;
    }
    for (method, path, body, status, code, word) in bad_decisions() {
        let asked = admin(method, &format!("{CONFIGS}/pair{path}"))?.json(&body);
        let problem = refused(&format!("{path} {body}"), asked, status, code).await?;
        ensure!(problem.detail.contains(word), "{path} {body}: `{word}` is not in: {}", problem.detail);
    }
    for (word, body, status, code) in bad_edits() {
        let asked = admin("PUT", &format!("{CONFIGS}/pair"))?.header("If-Match", "*").json(&body);
        let problem = refused(word, asked, status, code).await?;
        ensure!(problem.detail.contains(word), "`{word}` is not in: {}", problem.detail);
    }
    for (tag, status, code) in BAD_TAGS {
        let mut edited = spec("pair");
        edited["behaviour"] = json!({ "interval": "12h" });
        let edit = admin("PUT", &format!("{CONFIGS}/{config}"))?.header("If-Match", *tag).json(&edited);
        refused("an edit of a config that was not seen", edit, *status, code).await?;
        let pause = admin("POST", &format!("{CONFIGS}/{config}/pause"))?.header("If-Match", *tag);
        refused("a pause of a config that was not seen", pause, *status, code).await?;
        let delete = admin("DELETE", &format!("{CONFIGS}/{config}"))?.header("If-Match", *tag);
        refused("a config that was not seen", delete, *status, code).await?;
        for path in ["/api/v1/control/stop-all", "/api/v1/control/resume-all"] {
            let control = admin("POST", path)?.header("If-Match", *tag);
            refused("a stop or its end that was not seen", control, *status, code).await?;
        }
    }
    Ok(())
}

const CONFIGS: &str = "/api/v1/configs";

struct Caller {
    http: reqwest::Client,
    base: String,
}

impl Caller {
    fn request(&self, method: &str, path: &str) -> Result<RequestBuilder> {
        Ok(self.http.request(method.parse::<Method>()?, format!("{}{path}", self.base)))
    }

    /// What every endpoint refuses: callers who may not, methods it does not have, and more than it takes.
    async fn refused_alike(&self, cluster: &Cluster, operation: &Operation, path: &str) -> Result<()> {
        let name = &operation.name;
        let other = refused(name, self.request("PATCH", path)?, 405, "invalid_input").await?;
        ensure!(other.status == 405, "{name}: {other:?}");
        let Some(role) = &operation.role else { return Ok(()) };
        let request = || self.request(&operation.method, path);
        refused(name, request()?, 401, "unauthenticated").await?;
        refused(name, request()?.bearer_auth("wrong"), 401, "unauthenticated").await?;
        refused(name, request()?.basic_auth("a", Some("b")), 401, "unauthenticated").await?;
        if role != "viewer" {
            let viewer = token(cluster, "viewer")?;
            refused(name, request()?.bearer_auth(viewer), 403, "forbidden").await?;
        }
        let asked = request()?.bearer_auth(cluster.token()).query(&[("colour", "red")]);
        refused(name, asked, 400, "invalid_input").await?;
        let junk = if operation.takes_body { "{\"colour\":\"red\"}" } else { "{}" };
        refused(name, request()?.bearer_auth(cluster.token()).body(junk), 400, "invalid_input").await?;
        Ok(())
    }
}

async fn refused(what: &str, request: RequestBuilder, status: u16, code: &str) -> Result<Problem> {
    let answer = request.send().await.with_context(|| what.to_owned())?;
    let header = |answer: &Response, name: &str| {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let found = answer.status().as_u16();
    let (kind, correlation) = (header(&answer, "content-type"), header(&answer, "x-correlation-id"));
    let challenge = header(&answer, "www-authenticate").is_some();
    let allow = header(&answer, "allow").is_some();
    let text = answer.text().await?;
    ensure!(found == status, "{what}: {found} instead of {status}: {text}");
    ensure!(kind.as_deref() == Some("application/problem+json"), "{what}: {kind:?}");
    ensure!(challenge == (status == 401) && allow == (status == 405), "{what}: headers of {status}");
    let problem: Problem = serde_json::from_str(&text).with_context(|| format!("{what}: {text}"))?;
    ensure!(problem.code.as_str() == code && problem.status == status, "{what}: {text}");
    ensure!(!problem.fix.is_empty() && !problem.detail.is_empty(), "{what}: {text}");
    ensure!(correlation == Some(problem.correlation_id.to_string()), "{what}: {text}");
    Ok(problem)
}

/// The emulator's admin listener says what is wrong and what helps.
pub async fn of_the_emulator_are_refused(cluster: &Cluster) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let output = cluster.emulator.output();
    let line = output.lines().find(|line| line.contains("\"admin\"")).context("the emulator tells its addresses")?;
    let addresses: Value = serde_json::from_str(line)?;
    let admin = addresses["admin"].as_str().context("the emulator has an admin listener")?;
    for (method, path, body, status) in [
        ("PUT", "/faults", json!({ "faults": [{ "then": "explode" }] }), 400),
        ("PUT", "/faults", json!({ "faults": [{ "operation": "[", "then": "reset" }] }), 400),
        ("PUT", "/faults", json!({ "colour": "red" }), 400),
        ("PATCH", "/settings", json!({ "latency_ms": "soon" }), 400),
        ("PATCH", "/settings", json!({ "limits": "some" }), 400),
        ("PATCH", "/settings", json!({ "colour": "red" }), 400),
        ("PATCH", "/vaults/from-kv", json!({ "firewall": "ajar" }), 400),
        ("PATCH", "/vaults/from-kv", json!({ "roles": [{ "identity": "keyferry", "role": "King" }] }), 400),
        ("PATCH", "/settings", json!({ "latency_ms": 600_001 }), 400),
        ("PATCH", "/vaults/nowhere", json!({}), 404),
        ("GET", "/nope", json!(null), 404),
        ("POST", "/counts", json!({}), 405),
    ] {
        let request = http.request(method.parse()?, format!("http://{admin}{path}")).json(&body);
        let answer = request.send().await?;
        let (found, text) = (answer.status().as_u16(), answer.text().await?);
        ensure!(found == status, "{method} {path} {body}: {found} instead of {status}: {text}");
        let error: Value = serde_json::from_str(&text).with_context(|| format!("{method} {path} {body}: {text}"))?;
        let is_told = |key: &str| error["error"][key].as_str().is_some_and(|text| !text.is_empty());
        ensure!(is_told("code") && is_told("message") && is_told("fix"), "{method} {path} {body}: {text}");
    }
    Ok(())
}
