//! Command lines that cannot be used.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use proto_msgs::{CorrelationId, RequestCode};
use system_tests::Cluster;

/// What is written, what it exits with, and a word of what it says.
const BAD_COMMANDS: &[(&[&str], u8, &str)] = &[
    (&[], 64, "a command is missing"),
    (&["nonsense"], 64, "nonsense"),
    (&["config"], 64, "a command is missing"),
    (&["config", "create"], 64, "--file"),
    (&["config", "create", "-f", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["config", "get", "nobody"], 66, "nobody"),
    (&["config", "get", ".."], 64, "config"),
    (&["config", "delete", "nobody"], 66, "nobody"),
    (&["config", "list", "-o", "xml"], 64, "xml"),
    (&["records", "list", "nobody"], 66, "nobody"),
    (&["records", "list", "pair", "--status", "fine"], 64, "fine"),
    (&["records", "list", "pair", "--type", "passwords"], 64, "passwords"),
    (&["records", "list", "pair", "--name", "["], 64, "glob"),
    (&["records", "get", "pair", "secrets", "absent"], 66, "absent"),
    (&["records", "get", "pair", "passwords", "a"], 64, "passwords"),
    (&["records", "get", "pair", "secrets", ""], 64, "name"),
    (&["records", "sync", "pair", "secrets"], 64, "NAME"),
    (&["records", "sync", "nobody"], 66, "nobody"),
    (&["records", "sync", "pair", "secrets", "absent"], 66, "absent"),
    (&["expand", "nobody"], 66, "nobody"),
    (&["runs", "list", "nobody"], 66, "nobody"),
    (&["runs", "get", "pair", "xx"], 64, "xx"),
    (&["runs", "get", "pair", "00000000-0000-4000-8000-000000000001"], 66, "run"),
    (&["watch", "nobody"], 66, "nobody"),
    (&["watch", "pair", "--cursor", "xx"], 64, "cursor"),
    (&["watch", "pair", "--cursor", "0-0&cursor=1-1"], 64, "cursor"),
    (&["explain", "nonsense"], 66, "nonsense"),
    (&["config", "list", "--server", "nowhere"], 64, "nowhere"),
    (&["config", "list", "--server", "http://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (&["config", "list", "--token", "wrong"], 77, "token"),
    (&["emulator", "--listen", "nowhere"], 64, "nowhere"),
    (&["emulator", "--latency", "soon"], 64, "soon"),
    (&["emulator", "--latency", "99999h"], 64, "10m or less"),
    (&["emulator", "--limits", "some"], 64, "some"),
    (&["emulator", "--estate", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["emulator", "--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0"], 64, "loopback"),
    (&["emulator", "--listen", "127.0.0.1:0", "--ca-out", "/nowhere/ca.pem"], 64, "/nowhere/ca.pem"),
    (&["coordinator", "--settings", "/nowhere.toml"], 64, "/nowhere.toml"),
    (&["worker", "--settings", "/nowhere.toml"], 64, "/nowhere.toml"),
    (&["gateway", "--settings", "/nowhere.toml"], 64, "/nowhere.toml"),
    (&["gateway", "--listen", "nowhere"], 64, "nowhere"),
    (&["worker", "--listen", "127.0.0.1:0"], 64, "--listen"),
    (&["coordinator", "--listen", "127.0.0.1:0"], 64, "--listen"),
    (&["coordinator", "--nats", "nats://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (&["coordinator", "--nats", "nonsense url"], 64, "nats.url"),
    (&["worker", "--nats", "http://127.0.0.1:1"], 64, "nats.url"),
    (&["coordinator", "--log", "a=b=c"], 64, "log"),
    (&["nats", "provision", "--nats", "nats://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (&["nats", "provision", "--replicas", "9"], 64, "1, 3 or 5"),
    (&["nats", "provision", "--replicas", "2"], 64, "1, 3 or 5"),
    (&["token", "create", "--name", "a"], 64, "--role"),
    (&["token", "create", "--name", "a", "--role", "king"], 64, "king"),
    (&["token", "create", "--name", "a b", "--role", "admin"], 64, "name"),
    (&["up", "--workers", "0"], 64, "0"),
    (&["up", "--coordinators", "0"], 64, "0"),
    (&["up", "--port", "0"], 64, "0"),
    (&["up", "--emulator-port", "65535"], 64, "65535"),
    (&["up", "--port", "4222"], 64, "4222"),
    (&["up", "--emulator-port", "8079"], 64, "8080"),
    (&["up", "--estate", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["up", "--nats-server", "/nowhere/nats-server"], 64, "/nowhere/nats-server"),
];

pub fn are_refused(cluster: &Cluster) -> Result<()> {
    for (args, exit, word) in BAD_COMMANDS {
        refused(cluster.command(args), *exit, word, cluster)?;
    }
    let taken = cluster.server().trim_start_matches("http://").to_owned();
    let port = taken.rsplit(':').next().context("an address has a port")?.to_owned();
    let (settings, nats) = (settings(cluster)?, cluster.tools().nats_server.display().to_string());
    for args in [
        vec!["up", "--nats-server", &nats, "--port", &port],
        vec!["gateway", "--settings", &settings, "--listen", &taken],
        vec!["emulator", "--listen", &taken],
        vec!["emulator", "--listen", "127.0.0.1:0", "--admin-listen", &taken],
    ] {
        refused(cluster.command(&args), 69, &port, cluster)?;
    }
    let unusable = ["up", "--nats-server", &nats, "--dir", "/proc/keyferry"];
    refused(cluster.command(&unusable), 64, "/proc/keyferry", cluster)
}

/// One line says what is wrong, with a code, a fix and a correlation id; nothing is answered.
pub fn refused(mut command: Command, exit: u8, word: &str, cluster: &Cluster) -> Result<()> {
    let output = command.current_dir(cluster.folder()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let what = format!("{:?}: {told}", command.get_args().collect::<Vec<_>>());
    ensure!(output.status.code() == Some(i32::from(exit)), "{:?}, not {exit}: {what}", output.status.code());
    ensure!(output.stdout.is_empty() && !told.contains("panicked"), "{what}");
    ensure!(told.to_lowercase().contains(&word.to_lowercase()), "`{word}` is not said: {what}");
    let said = told.split_once("keyferry: ").map(|(_, said)| said).with_context(|| what.clone())?;
    let code: RequestCode = said.split(": ").next().unwrap_or_default().parse().with_context(|| what.clone())?;
    ensure!(code.exit_code() == exit, "{code} goes with another exit code: {what}");
    let (_, fix) = said.rsplit_once("fix: ").with_context(|| what.clone())?;
    let (fix, correlation) = fix.rsplit_once("; correlation id: ").with_context(|| what.clone())?;
    ensure!(!fix.trim().is_empty(), "{what}");
    correlation.trim().parse::<CorrelationId>().with_context(|| what.clone())?;
    Ok(())
}

/// The settings file of the cluster.
pub fn settings(cluster: &Cluster) -> Result<String> {
    let file = cluster.folder().join("keyferry.toml");
    Ok(file.to_str().context("the folder has a name")?.to_owned())
}

/// A new token with that role.
pub fn token(cluster: &Cluster, role: &str) -> Result<String> {
    let args = ["token", "create", "--name", role, "--role", role, "--settings", &settings(cluster)?];
    let output = cluster.command(&args).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
