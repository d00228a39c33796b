//! The server as its clients find it: slow ones, idle ones, and ones that leave.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use reqwest::Method;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

use crate::{
    Settings,
    faults::MAX_DELAY_MS,
    start,
    testing::{Emulator, estate, settings, until, vault},
};

async fn emulator() -> Emulator {
    Emulator::start(settings(estate(&vault("a-kv", "")))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_when_its_client_has_gone() {
    let emulator = emulator().await;
    let delay = |when: &str| json!({ "faults": [{ "item": when, "when": when, "then": { "delay": { "ms": 300 } } }] });
    for (place, name) in ["before", "after", "latency"].into_iter().enumerate() {
        let (status, _) =
            emulator.admin(Method::PUT, "/faults", delay(name.replace("latency", "before").as_str())).await;
        assert_eq!(status, 200);
        if name == "latency" {
            emulator.admin(Method::PATCH, "/settings", json!({ "latency_ms": 300 })).await;
        }
        tokio::select! {
            biased;
            answered = emulator.set_secret("a-kv", name, "x") => panic!("answered at once: {answered:?}"),
            () = until("the call to arrive", async || !emulator.running.world.calls.is_empty()) => {}
        }

        let done = place as u64 + 1;
        until("the call to end", async || emulator.count("a-kv", "secrets.set", "calls").await == done).await;

        assert_eq!(emulator.count("a-kv", "secrets.set", "applied").await, done, "{name}");
        assert_eq!(emulator.get("a-kv", &format!("/secrets/{name}")).await.1["value"], "x");
    }
    emulator.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_goes_when_the_estate_says_so_and_a_stop_does_not_wait_for_it() {
    let items = "{ secrets: [{ name: now, deleted_after_s: 0 }, { name: late, deleted_after_s: 4000000000 }, { name: kept }], \
                 keys: [{ name: \"k-{n}\", count: 2, type: EC, deleted_after_s: 0 }], \
                 certificates: [{ name: cert, type: EC, deleted_after_s: 0 }] }";
    let emulator = Emulator::start(settings(estate(&vault("a-kv", &format!(", items: {items}"))))).await;
    for gone in ["secrets/now", "keys/k-1", "keys/k-2", "certificates/cert", "secrets/cert"] {
        let is_gone = async || emulator.get("a-kv", &format!("/{gone}")).await.0 == 404;
        until(gone, is_gone).await;
    }
    until("the delete to be over", async || emulator.get("a-kv", "/deletedsecrets/now").await.0 == 200).await;
    for kept in ["late", "kept"] {
        assert_eq!(emulator.get("a-kv", &format!("/secrets/{kept}")).await.0, 200, "{kept}");
    }
    emulator.running.stop().await.unwrap();
}

/// As the program runs it, in actix's own runtime.
#[actix_web::test]
async fn a_stop_does_not_wait_for_a_call_that_is_held_up() {
    let emulator = emulator().await;
    emulator.admin(Method::PUT, "/faults", json!({ "faults": [{ "then": { "delay": { "ms": 600_000 } } }] })).await;
    tokio::select! {
        biased;
        answered = emulator.set_secret("a-kv", "a", "x") => panic!("answered at once: {answered:?}"),
        () = until("the call to arrive", async || !emulator.running.world.calls.is_empty()) => {}
    }
    tokio::time::timeout(Duration::from_secs(60), emulator.running.stop()).await.unwrap().unwrap();
}

/// A TLS connection that speaks when it is told to.
struct Slow(StreamOwned<ClientConnection, TcpStream>);

impl Slow {
    fn connect(addr: SocketAddr, ca_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), "a-kv.vault.localhost".try_into().unwrap()).unwrap();
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut connection = Self(StreamOwned::new(client, stream));
        connection.0.conn.complete_io(&mut connection.0.sock).unwrap();
        connection
    }

    /// The status line of the answer to a request without a token.
    fn ask(&mut self) -> String {
        self.0.write_all(b"GET /secrets/a HTTP/1.1\r\nhost: a-kv.vault.localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}}") {
            let mut buffer = [0; 1_024];
            let read = self.0.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the connection was closed");
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8(answer).unwrap().lines().next().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_stays_open_and_is_told_nothing() {
    let emulator = emulator().await;
    let (addr, ca) = (emulator.running.addr, emulator.running.ca_pem.clone());
    let answers = tokio::task::spawn_blocking(move || {
        let (mut fresh, mut used) = (Slow::connect(addr, &ca), Slow::connect(addr, &ca));
        used.ask();
        // Silence itself is what is tested: the framework would end it after five seconds.
        std::thread::sleep(Duration::from_secs(7));
        [fresh.ask(), used.ask()]
    });
    assert_eq!(answers.await.unwrap(), ["HTTP/1.1 401 Unauthorized", "HTTP/1.1 401 Unauthorized"]);
    emulator.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_hit_where_a_fault_says_so_and_challenged_otherwise() {
    let emulator = emulator().await;
    let fault = json!({ "on": "probe", "count": 1, "then": { "status": { "status": 429, "retry_after": 1 } } });
    emulator.admin(Method::PUT, "/faults", json!({ "faults": [fault] })).await;
    let probe = || emulator.client().request(&Method::PUT, "a-kv.vault", "/secrets/a?api-version=2025-07-01").send();

    assert_eq!(emulator.set_secret("a-kv", "a", "x").await.0, 200);
    let refused = probe().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("www-authenticate")), (429, false));
    let challenged = probe().await.unwrap();
    assert_eq!((challenged.status().as_u16(), challenged.headers().contains_key("www-authenticate")), (401, true));

    assert_eq!(emulator.count("a-kv", "secrets.set", "calls").await, 1);
    assert_eq!(emulator.count("a-kv", "secrets.set", "challenged").await, 2);
    emulator.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_delays_every_host_alike() {
    let emulator = emulator().await;
    let fault = |operation: &str| json!({ "operation": operation, "then": { "delay": { "ms": 20 } } });
    let faults = json!({ "faults": [fault("login.token"), fault("arm.subscriptions")] });
    emulator.admin(Method::PUT, "/faults", faults).await;

    let token = emulator.client().token_for("management").await;
    let list = emulator
        .client()
        .request(&Method::GET, "management", "/subscriptions?api-version=2022-12-01")
        .bearer_auth(token);

    assert_eq!(list.send().await.unwrap().status(), 200);
    let (_, faults) = emulator.admin(Method::GET, "/faults", json!(null)).await;
    assert!(faults["faults"].as_array().unwrap().iter().all(|fault| fault["hits"] == 1), "{faults}");
    emulator.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_latency_that_no_client_waits_for_is_refused_before_anything_is_made() {
    let at_most = Duration::from_millis(MAX_DELAY_MS);
    let folder = tempfile::tempdir().unwrap();
    for latency in [at_most + Duration::from_millis(1), Duration::from_secs(99_999 * 3_600)] {
        let ca_out = folder.path().join("ca.pem");
        let own = settings(estate(&vault("a-kv", "")));
        let refused = start(Settings { latency, ca_out: Some(ca_out.clone()), ..own }).await.err().unwrap();
        assert_eq!(refused.code(), "latency_too_long");
        assert!(refused.to_string().contains("600000 ms"), "{refused}");
        assert!(!ca_out.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_may_be_there_once_is_refused_twice() {
    let emulator = emulator().await;
    let (vault, arm) = (emulator.client().token_for("vault").await, emulator.client().token_for("management").await);
    let (vault, arm) = (format!("Bearer {vault}"), format!("Bearer {arm}"));
    let (path, list) = ("/secrets?api-version=2025-07-01", "/subscriptions?api-version=2022-12-01");
    for (host, path, headers) in [
        ("a-kv.vault", path, [("authorization", vault.as_str()), ("authorization", "Bearer other")]),
        ("a-kv.vault", path, [("authorization", "Bearer other"), ("authorization", vault.as_str())]),
        ("a-kv.vault", path, [("authorization", vault.as_str()), ("authorization", vault.as_str())]),
        ("management", list, [("authorization", arm.as_str()), ("authorization", arm.as_str())]),
        ("a-kv.vault", path, [("content-type", "application/json"), ("content-type", "text/plain")]),
    ] {
        let mut request = emulator.client().request(&Method::GET, host, path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let name = headers[0].0;
        assert_eq!(status, 400, "{host} {name}: {text}");
        assert!(text.contains("BadParameter") && text.to_lowercase().contains(name), "{text}");
    }
    emulator.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_in_azures_shape() {
    let emulator = emulator().await;
    let body = json!({ "value": "x".repeat(super::BODY_MAX) });
    let (status, answer) = emulator.call(Method::PUT, "a-kv", "/secrets/a", Some(body)).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("RequestEntityTooLarge")));
    emulator.running.stop().await.unwrap();
}
