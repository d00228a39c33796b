//! What the admin listener refuses, and how it says so.

use reqwest::{
    Method,
    header::{ALLOW, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::testing::{Emulator, estate, settings, vault};

const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_a_code_a_message_and_a_fix() {
    let emulator = Emulator::start(settings(estate(&vault("a-kv", "")))).await;
    let role = |identity: &str, role: &str| json!({ "roles": [{ "identity": identity, "role": role }] }).to_string();
    let large = format!("{{\"colour\": \"{}\"}}", "x".repeat(3_000_000));
    for (method, path, kind, body, status, code, said) in [
        ("GET", "/nope", "", "", 404, "NotFound", "/nope"),
        ("PUT", "/", "", "", 404, "NotFound", "/counts"),
        ("POST", "/counts", "", "", 405, "MethodNotAllowed", "GET, DELETE"),
        ("DELETE", "/settings", "", "", 405, "MethodNotAllowed", "GET, PATCH"),
        ("POST", "/faults", "", "", 405, "MethodNotAllowed", "GET, PUT"),
        ("PUT", "/vaults", "", "", 405, "MethodNotAllowed", "GET"),
        ("GET", "/vaults/a-kv", "", "", 405, "MethodNotAllowed", "PATCH"),
        ("POST", "/msi/token", "", "", 405, "MethodNotAllowed", "GET"),
        ("POST", "/healthz", "", "", 405, "MethodNotAllowed", "GET"),
        ("PATCH", "/settings", "", "{}", 415, "UnsupportedMediaType", "Content-Type"),
        ("PUT", "/faults", "text/plain", "{}", 415, "UnsupportedMediaType", "Content-Type"),
        ("PATCH", "/settings", JSON, "", 400, "BadRequest", "JSON"),
        ("PATCH", "/settings", JSON, "{", 400, "BadRequest", "JSON"),
        ("PATCH", "/settings", JSON, "{\"colour\": 1}", 400, "BadRequest", "colour"),
        ("PATCH", "/settings", JSON, "{\"latency_ms\": 600001}", 400, "BadRequest", "600000"),
        ("PATCH", "/settings", JSON, &large, 413, "RequestEntityTooLarge", "large"),
        ("PUT", "/faults", JSON, "{}", 400, "BadRequest", "faults"),
        ("PUT", "/faults", JSON, "{\"faults\": [{\"then\": \"explode\"}]}", 400, "BadRequest", "explode"),
        ("PUT", "/faults", JSON, "{\"faults\": [{\"share\": 2, \"then\": \"reset\"}]}", 400, "BadRequest", "share"),
        ("PATCH", "/vaults/nowhere", JSON, "{}", 404, "NotFound", "nowhere"),
        ("PATCH", "/vaults/a-kv", JSON, "{\"firewall\": \"ajar\"}", 400, "BadRequest", "ajar"),
        ("PATCH", "/vaults/a-kv", JSON, &role("app", "King"), 400, "BadRequest", "King"),
        ("PATCH", "/vaults/a-kv", JSON, &role("nobody", "Key Vault Reader"), 400, "BadRequest", "nobody"),
        ("GET", "/msi/token?resource=https://vault.azure.net", "", "", 400, "BadRequest", "X-IDENTITY-HEADER"),
    ] {
        let mut request = emulator.admin_request(method.parse().unwrap(), path).body(body.to_owned());
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let answer = request.send().await.unwrap();
        let what = format!("{method} {path} {body:.80}");
        assert_eq!(answer.status().as_u16(), status, "{what}");
        assert_eq!(answer.headers()[CONTENT_TYPE], JSON, "{what}");
        assert_eq!(answer.headers().contains_key(ALLOW), status == 405, "{what}");
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["error"]["code"], code, "{what}: {text}");
        let told = |key: &str| body["error"][key].as_str().is_some_and(|text| !text.is_empty());
        assert!(told("message") && told("fix") && text.contains(said), "{what}: {text}");
        assert!(text.len() < 1_000, "{what}: {text}");
    }
    emulator.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_identity_is_refused_in_the_words_of_its_clients_too() {
    let emulator = Emulator::start(settings(estate(&vault("a-kv", "")))).await;
    for (header, resource, said) in [
        ("wrong", "https://vault.localhost", "X-IDENTITY-HEADER"),
        (crate::testing::SECRET, "https://nowhere", "https://nowhere"),
        (crate::testing::SECRET, "", "resource"),
    ] {
        let path = format!("/msi/token?api-version=2019-08-01&resource={resource}");
        let answer =
            emulator.admin_request(Method::GET, &path).header("x-identity-header", header).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 400);
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["statusCode"], &body["message"]), (&json!(400), &body["error"]["message"]), "{body}");
        assert!(body["message"].as_str().unwrap().contains(said), "{body}");
        assert!(body["error"]["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{body}");
    }
    emulator.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_moved_has_another_id_and_what_it_had() {
    let emulator = Emulator::start(settings(estate(&vault("a-kv", "")))).await;
    let shown = async || {
        let answer = emulator.admin_request(Method::GET, "/vaults").send().await.unwrap();
        answer.json::<Value>().await.unwrap()["vaults"][0].clone()
    };
    let before = shown().await;
    let moved = emulator.admin_request(Method::PATCH, "/vaults/a-kv").json(&json!({ "resource_group": "elsewhere" }));
    assert_eq!(moved.send().await.unwrap().status().as_u16(), 204);
    let after = shown().await;
    assert!(before["id"].as_str().unwrap().contains("/resourceGroups/rg/"), "{before}");
    assert!(after["id"].as_str().unwrap().contains("/resourceGroups/elsewhere/"), "{after}");
    assert_eq!(before["uri"], after["uri"]);
    emulator.running.stop().await.unwrap();
}
