//! Files that cannot be used: configs, settings, estates, kept state.

use std::fs;

use anyhow::{Context, Result};
use system_tests::{CLIENT_ID, Cluster, TENANT};

use super::commands::refused;

const CONFIG: &str =
    "name: a\nsource: { vault: from-kv }\ntarget: { vault: into-kv }\nitem_types: [secrets]\nrule: { kind: all }\n";

const BY_HAND: &str = "{ uri: \"https://into-kv.vault.localhost\", \
    subscription: 00000000-0000-4000-8000-000000000001, region: northeurope }";

/// What a file is for: its place on the command line is `FILE`.
const CREATE: &[&str] = &["config", "create", "-f", "FILE"];
const EDIT: &[&str] = &["config", "edit", "pair", "-f", "FILE"];
const COORDINATOR: &[&str] = &["coordinator", "--settings", "FILE"];
const WORKER: &[&str] = &["worker", "--settings", "FILE"];
const GATEWAY: &[&str] = &["gateway", "--settings", "FILE"];
const PROVISION: &[&str] = &["nats", "provision", "--settings", "FILE"];
const UP: &[&str] = &["up", "--estate", "FILE"];
const EMULATOR: &[&str] = &["emulator", "--listen", "127.0.0.1:0", "--estate", "FILE"];
const STATE: &[&str] = &["emulator", "--listen", "127.0.0.1:0", "--state", "FILE"];

/// The command, the file, what it exits with, and a word of what is said besides the file's name.
fn bad_files() -> Vec<(&'static [&'static str], String, u8, &'static str)> {
    let estate = |text: &str| format!("tenant: {TENANT}\n{text}");
    let identity = format!("identities: [{{ name: keyferry, client_id: {CLIENT_ID}, client_secret: demo-only }}]\n");
    let vault = |name: &str| format!("{{ name: {name}, resource_group: a, region: westeurope }}");
    let vaults = |list: &[&str]| {
        let list: Vec<_> = list.iter().map(|name| vault(name)).collect();
        let id = "00000000-0000-4000-8000-000000000001";
        format!("subscriptions: [{{ id: {id}, name: a, vaults: [{}] }}]\n", list.join(", "))
    };
    let two = vaults(&["one-kv", "two-kv"]);
    let text = |text: &str| text.to_owned();
    vec![
        (CREATE, format!("{CONFIG}colour: red\n"), 64, "line 6"),
        (CREATE, CONFIG.replace("source: { vault: from-kv }", "source: ["), 64, "line"),
        (CREATE, CONFIG.replace("rule: { kind: all }\n", ""), 64, "rule"),
        (CREATE, format!("{CONFIG}name: b\n"), 64, "line 6, column 1: the key `name` is there twice;"),
        (CREATE, CONFIG.replace("{ vault: from-kv }", "{ vualt: from-kv }"), 64, "vualt"),
        (CREATE, CONFIG.replace("from-kv", "nowhere-kv"), 78, "nowhere-kv"),
        (CREATE, CONFIG.replace("name: a", "name: pair"), 73, "pair"),
        (CREATE, format!("{CONFIG}# {}\n", "x".repeat(1_000_000)), 64, "1000000 bytes"),
        (
            CREATE,
            CONFIG.replace("from-kv", "x-kv").replace("into-kv", "from-kv").replace("x-kv", "into-kv"),
            78,
            "circle",
        ),
        (EDIT, format!("{CONFIG}colour: red\n"), 64, "line 6"),
        (EDIT, CONFIG.replace("[secrets]", "[]"), 64, "item_types"),
        (EDIT, CONFIG.replace("from-kv", "nowhere-kv"), 64, "source is fixed"),
        (EDIT, CONFIG.replace("{ vault: into-kv }", BY_HAND), 64, "target is fixed"),
        (EDIT, format!("{CONFIG}# {}\n", "x".repeat(1_000_000)), 64, "1000000 bytes"),
        (COORDINATOR, text("[coordinator]\nreads_per_10s = 1\nreeds_per_10s = 1\n"), 64, "line 3"),
        (COORDINATOR, text("[coordinator]\nreads_per_10s = \"many\"\n"), 64, "line 2"),
        (COORDINATOR, text("[nats]\nprefix = \"a b\"\n"), 64, "nats.prefix"),
        (COORDINATOR, text("[nats]\nca_file = \"/nowhere.pem\"\n"), 64, "/nowhere.pem"),
        (PROVISION, text("[nats]\nurl = \"nonsense url\"\n"), 64, "nats.url"),
        (GATEWAY, text("[gateway]\nlisten = \"nowhere\"\n"), 64, "line 2"),
        (GATEWAY, text("[worker.azure]\nvault_suffix = \"\"\n"), 64, "vault_suffix"),
        (WORKER, text("[worker]\nattempts = 0\n"), 64, "attempts"),
        // NATS is not there either, which must not be what is told.
        (
            WORKER,
            text("[nats]\nurl = \"nats://127.0.0.1:1\"\n[worker.azure]\nsource = { kind = \"client_secret\" }\n"),
            64,
            "tenant",
        ),
        (WORKER, text("[worker.azure]\nca_file = \"/nowhere.pem\"\n"), 64, "/nowhere.pem"),
        (UP, estate("colour: red\n"), 64, "line 2"),
        (UP, estate(&format!("{identity}{}", vaults(&["one-kv"]))), 64, "two vaults"),
        (UP, estate(&two), 64, "identity"),
        (EMULATOR, estate(&format!("{identity}{two}colour: red\n")), 64, "line 4"),
        (
            EMULATOR,
            estate(&format!("{identity}{identity}")),
            64,
            "line 3, column 1: the key `identities` is there twice;",
        ),
        (EMULATOR, estate(&format!("{identity}{}", vaults(&["one-kv", "one-kv"]))), 64, "one-kv"),
        (STATE, text("{ \"not\": \"a state\" }"), 64, "remove"),
    ]
}

pub fn are_refused(cluster: &Cluster) -> Result<()> {
    let file = cluster.folder().join("bad-file");
    let name = file.to_str().context("the folder has a name")?;
    for (args, text, exit, word) in bad_files() {
        fs::write(&file, text)?;
        let args: Vec<_> = args.iter().map(|arg| if *arg == "FILE" { name } else { arg }).collect();
        refused(cluster.command(&args), exit, word, cluster)?;
    }
    Ok(())
}
