//! `keyferry up` on the demo estate: what can be replicated is, which Microsoft's own clients in Python confirm.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use system_tests::{Process, Tools, free_pair, free_ports, until, workspace};

use crate::fixtures::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_estate_is_replicated_and_read_back() -> Result<()> {
    let (tools, folder) = (Tools::find()?, tempfile::tempdir()?);
    // The emulator's admin listener has the port after the emulator's.
    let (emulator, ports) = (free_pair()?, free_ports(2)?);
    let dir = folder.path().join("data");
    let up = || {
        let mut command = Command::new(&tools.keyferry);
        command.args(["up", "--exit-when-synced"]).arg("--dir").arg(&dir).arg("--nats-server").arg(&tools.nats_server);
        command.arg("--port").arg(ports[0].to_string()).arg("--nats-port").arg(ports[1].to_string());
        command.arg("--emulator-port").arg(emulator.to_string());
        command
    };
    let first = answer(up())?;
    ensure!(first["settled"] == true && first["duration_ms"].is_u64(), "{first}");
    let records = &first["records"];
    for (status, at_least) in [
        ("active", 250),
        ("blocked_source_disabled", 1),
        ("blocked_certificate_not_exportable", 1),
        ("blocked_certificate_pending", 1),
    ] {
        ensure!(records[status].as_u64().unwrap_or(0) >= at_least, "{status}: {first}");
    }
    ensure!(first["calls"]["set"] == records["active"], "one write for each item: {first}");
    // Started again, it goes on where it was: nothing is written twice.
    let second = answer(up())?;
    ensure!(second["records"] == *records && second["calls"]["set"] == 0, "{second}");

    let mut emulated = Command::new(&tools.keyferry);
    emulated
        .args(["emulator", "--limits", "off", "--listen", &format!("127.0.0.1:{emulator}")])
        .arg("--state")
        .arg(dir.join("emulator.json"));
    let process = Process::start("emulator", emulated, folder.path())?;
    until("the emulator to listen", LIMIT, || async { Ok(process.output().contains("\"listening\"").then_some(())) })
        .await?;
    let script = workspace().join("services/system-tests/python/read_back.py");
    let output = Command::new(Tools::python()?)
        .arg(script)
        .args([
            &emulator.to_string(),
            dir.join("ca.pem").to_str().context("the folder has a name")?,
            "prod-eu-kv",
            "prod-ne-kv",
        ])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(read["differences"].as_array().is_some_and(Vec::is_empty), "{read}");
    let compared = ["secrets", "certificates", "keys"].iter().filter_map(|kind| read[kind].as_u64()).sum::<u64>();
    ensure!(Some(compared) == records["active"].as_u64(), "{compared} items compared: {read}");
    ensure!(read["keys"].as_u64().unwrap_or(0) > 0 && read["certificates"].as_u64().unwrap_or(0) > 0, "{read}");
    Ok(())
}

fn answer(mut command: Command) -> Result<Value> {
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(0), "up exits with {:?}: {told}", output.status.code());
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().with_context(|| format!("nothing on standard output: {told}"))?;
    serde_json::from_str(last).with_context(|| last.to_owned())
}
