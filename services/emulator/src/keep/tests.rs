//! What is kept comes back as it was, whatever happened in between.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Settings,
    testing::{Emulator, estate, settings, until, vault},
};

/// A folder with a state file, and emulators that keep their state in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("state.json")
    }

    async fn start(&self, vaults: &str) -> Emulator {
        Emulator::start(Settings { state_file: Some(self.file()), ..settings(estate(vaults)) }).await
    }
}

/// Items of every kind and in every phase.
const ITEMS: &str = ", items: { secrets: [{ name: plain, versions: 3, tags: { a: b } }, { name: gone, deleted: true }], \
    keys: [{ name: ec, type: EC, versions: 2, rotate_after: P90D }, { name: gone, type: EC, deleted: true }], \
    certificates: [{ name: tls, type: EC, chain: 1 }, { name: waits, type: EC, pending: true }, \
    { name: left, type: EC, deleted: true }] }";

/// Everything that can be read of a vault; the port, which is another at each start, is left out.
async fn everything(emulator: &Emulator) -> Vec<(u16, Value)> {
    let mut all = Vec::new();
    for path in [
        "/secrets/plain",
        "/secrets/plain/versions",
        "/deletedsecrets/gone",
        "/secrets/made",
        "/keys/ec",
        "/keys/ec/versions",
        "/keys/ec/rotationpolicy",
        "/deletedkeys/gone",
        "/certificates/tls",
        "/certificates/tls/policy",
        "/certificates/waits/pending",
        "/certificates?includePending=true",
        "/deletedcertificates/left",
    ] {
        let (status, body) = emulator.get("a-kv", path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let text = body.to_string().replace(&emulator.running.addr.port().to_string(), "PORT");
        all.push((status, serde_json::from_str(&text).unwrap()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_item_is_there_again_after_a_stop() {
    let folder = Folder::new();
    let first = folder.start(&vault("a-kv", ITEMS)).await;
    first.set_secret("a-kv", "made", "later").await;
    let (before, ca) = (everything(&first).await, first.running.ca_pem.clone());
    let (_, blob) = first.call(Method::POST, "a-kv", "/keys/ec/backup", None).await;
    first.running.stop().await.unwrap();

    let second = folder.start(&vault("a-kv", ITEMS)).await;
    assert_eq!(everything(&second).await, before);
    assert_eq!(second.running.ca_pem, ca);
    let (status, answer) = second.call(Method::POST, "a-kv", "/keys/restore", Some(blob)).await;
    assert_eq!(status, 409, "the blob is still understood: {answer}");
    second.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_an_estate_leaves_out_is_kept_for_the_next_one() {
    let folder = Folder::new();
    let both = vault("a-kv", "") + &vault("b-kv", "");
    let first = folder.start(&both).await;
    first.set_secret("b-kv", "x", "precious").await;
    first.running.stop().await.unwrap();

    let second = folder.start(&vault("a-kv", "")).await;
    second.set_secret("a-kv", "y", "beside").await;
    second.running.stop().await.unwrap();

    let third = folder.start(&both).await;
    assert_eq!(third.get("b-kv", "/secrets/x").await.1["value"], "precious");
    assert_eq!(third.get("a-kv", "/secrets/y").await.1["value"], "beside");
    third.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost_by_a_stop_under_load() {
    const WRITERS: u64 = 8;
    let folder = Folder::new();
    let emulator = folder.start(&vault("a-kv", "")).await;
    let calls = emulator.client();
    let answered: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let write = |writer: u64| {
        let (calls, answered) = (&calls, &answered[usize::try_from(writer).unwrap()]);
        async move {
            for number in 1.. {
                let name = format!("/secrets/w-{writer}-{number}");
                let Ok((200, _)) = calls.call(Method::PUT, "a-kv", &name, Some(json!({ "value": "x" }))).await else {
                    break;
                };
                answered.store(number, Ordering::Relaxed);
            }
        }
    };
    let writers = futures::future::join_all((0..WRITERS).map(write));
    let stopped = async {
        // The writer of the file has been at work by then.
        until("writes", async || answered.iter().all(|count| count.load(Ordering::Relaxed) > 50)).await;
        emulator.running.stop().await.unwrap();
    };
    tokio::join!(writers, stopped);

    let again = folder.start(&vault("a-kv", "")).await;
    for (writer, count) in answered.iter().enumerate() {
        for number in 1..=count.load(Ordering::Relaxed) {
            assert_eq!(again.get("a-kv", &format!("/secrets/w-{writer}-{number}")).await.0, 200, "{writer}, {number}");
        }
    }
    again.running.stop().await.unwrap();
}
