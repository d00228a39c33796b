//! Command lines that cannot be used.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use proto_msgs::{CorrelationId, RequestCode};
use system_tests::Cluster;

/// Of no set that there is.
const HASH: &str = "00112233445566778899aabbccddeeff";

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
    (&["config", "edit"], 64, "CONFIG"),
    (&["config", "edit", "nobody", "-f", "-"], 66, "nobody"),
    (&["config", "edit", "pair", "-f", "/nowhere.yaml"], 64, "/nowhere.yaml"),
    (&["config", "edit", "pair", "--revision", "new"], 64, "revision"),
    (&["config", "pause", "nobody"], 66, "nobody"),
    (&["config", "pause", "pair", "--reason", "two\nlines"], 64, "reason"),
    (&["config", "resume", "nobody"], 66, "nobody"),
    (&["config", "resume"], 64, "CONFIG"),
    (&["plan", "nobody"], 66, "nobody"),
    (&["plan"], 64, "CONFIG"),
    (&["records", "ack", "nobody"], 66, "nobody"),
    (&["records", "ack", "pair", "secrets"], 64, "NAME"),
    (&["records", "ack", "pair", "secrets", "absent"], 66, "absent"),
    (&["records", "ack", "pair", "passwords", "a"], 64, "passwords"),
    (&["records", "ack", "pair", "secrets", "bulk-1"], 64, "conflict"),
    (&["records", "ack", "pair", "secrets", "bulk-1", "--hash", HASH], 64, "--hash"),
    (&["records", "ack", "pair", "--status", "fine"], 64, "fine"),
    (&["records", "ack", "pair", "--hash", "few"], 64, "32 hexadecimal"),
    (&["records", "ack", "pair", "--hash", HASH], 76, "stale_view"),
    (&["records", "disable", "nobody"], 66, "nobody"),
    (&["records", "disable", "pair", "secrets", "absent"], 66, "absent"),
    (&["records", "disable", "pair", "--type", "passwords"], 64, "passwords"),
    (&["records", "disable", "pair", "--name", "["], 64, "glob"),
    (&["records", "disable", "pair", "--hash", HASH], 76, "stale_view"),
    (&["records", "enable", "nobody"], 66, "nobody"),
    (&["records", "enable", "pair", "secrets", "absent"], 66, "absent"),
    (&["records", "enable", "pair", "secrets", "a", "--name", "b"], 64, "--name"),
    (&["records", "enable", "pair", "--hash", HASH], 76, "stale_view"),
    (&["deletes"], 64, "a command is missing"),
    (&["deletes", "list", "nobody"], 66, "nobody"),
    (&["deletes", "release", "pair"], 64, "--hash"),
    (&["deletes", "release", "pair", "--hash", "few"], 64, "32 hexadecimal"),
    (&["deletes", "release", "nobody", "--hash", HASH], 66, "nobody"),
    (&["deletes", "release", "pair", "--hash", HASH], 76, "stale_view"),
    (&["drift"], 64, "a command is missing"),
    (&["drift", "list", "nobody"], 66, "nobody"),
    (&["drift", "correct", "pair", "secrets", "absent"], 66, "absent"),
    (&["drift", "correct", "pair", "secrets", "bulk-1"], 64, "drift"),
    (&["drift", "correct", "pair", "--hash", HASH], 76, "stale_view"),
    (&["drift", "accept", "pair", "secrets", "bulk-1"], 64, "drift"),
    (&["drift", "accept", "pair", "--status", "active"], 64, "--status"),
    (&["drift", "accept", "nobody", "--hash", HASH], 66, "nobody"),
    (&["stop-all", "now"], 64, "now"),
    (&["stop-all", "--reason", "two\nlines"], 64, "reason"),
    (&["resume-all", "--reason"], 64, "--reason"),
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
    (&["config", "list", "--token", "a\nb"], 64, "token"),
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
