//! `keyferry up` on the demo estate: what can be replicated is, which Microsoft's own clients in Python confirm.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use proto_msgs::Status;
use serde_json::{Value, json};
use system_tests::{EmulatorAdmin, Process, Tools, free_pair, free_ports, until, workspace};

use crate::fixtures::LIMIT;

const SOURCE: &str = "prod-eu-kv";
const TARGET: &str = "prod-ne-kv";
/// What the first replication blocks, and the target may have its own of.
const BLOCKED: [&str; 6] = ["legacy-token", "shared-setting", "dropped-there", "expired-cert", "edge-cert", "root-key"];
/// Pages of one cycle of the first replication at 25 items each. Source: 260 secrets and the 18 behind certificates, 19
/// certificates, 14 keys and the 18 behind certificates; every other listing, the deleted ones among them, is one page.
const LISTINGS: u64 = (12 + 1 + 2 + 3) + 6;
/// The same of the others, in their order: 65 secrets and a key, to 242 secrets and 29 keys; 278 secrets and 32 keys to an
/// empty vault; the keys once more; and the 65 secrets to another empty vault.
const OTHER_LISTINGS: u64 = (3 + 1 + 2 + 10 + 2 + 2) + (12 + 2 + 2 + 4) + (2 + 1 + 2) + (3 + 1 + 2);
/// Each of two workers warms the target's client of a type with a listing, before its first write: three types of one
/// vault, and one of another.
const WARMING: u64 = 2 * (3 + 1);
/// Secrets that can be replicated.
const SECRETS: u64 = 225;
/// 15 certificates and 13 keys.
const OTHERS: u64 = 28;
/// Secrets of the last replication, which leave their source some minutes later.
const LEAVING: u64 = 4;
const ACTIVE: u64 = SECRETS + OTHERS + LEAVING;
/// Most reads spent on finding out that an item is blocked, where a listing does not tell: of seven items.
const LOOKS: u64 = 7 * 4;

/// In the statuses of all records, each blocked one but `blocked_delete_held`, which comes some twelve minutes later.
fn records() -> Value {
    let mut records = json!({ "active": ACTIVE });
    let blocked = Status::ALL.iter().filter(|status| status.is_blocked() && **status != Status::BlockedDeleteHeld);
    for status in blocked {
        records[status.as_str()] = json!(1);
    }
    // A certificate's own secret and its own key.
    records["blocked_managed_by_certificate"] = json!(2);
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_estate_is_replicated_and_read_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let up = Up::new(folder.path())?;
    let first = up.answer()?;
    ensure!(first["settled"] == true && first["duration_ms"].is_u64(), "{first}");
    let records = records();
    ensure!(first["records"] == records, "{first}");
    let codes = &first["codes"];
    let told: Option<u64> = codes.as_object().map(|codes| codes.values().filter_map(Value::as_u64).sum());
    ensure!(
        codes["target_conflict_active"] == 1 && codes["managed_by_certificate"] == 2 && told == Some(16),
        "{first}"
    );
    let calls = &first["calls"];
    // Whether a key's name is free, a restore finds out: the vault refuses that one.
    ensure!(calls["set"] == ACTIVE + 1, "one write for each item: {first}");
    let (listings, reads) = (calls["list"].as_u64().unwrap_or(0), calls["get"].as_u64().unwrap_or(0));
    let all = LISTINGS + OTHER_LISTINGS;
    ensure!((all..=all + WARMING).contains(&listings), "each listing once: {first}");
    // One read of the source and one look at the target for each; certificates and keys take up to one more.
    let secrets = SECRETS + LEAVING;
    ensure!((2 * secrets + OTHERS..=2 * secrets + 3 * OTHERS + LOOKS).contains(&reads), "{first}");
    // Started again, it goes on where it was: it looks for what changed, and writes nothing.
    let second = up.answer()?;
    ensure!(second["records"] == records && second["codes"] == *codes, "{second}");
    ensure!(second["calls"]["list"].as_u64() > Some(0) && second["calls"]["set"] == 0, "{second}");

    let (_emulator, admin) = up.emulator(folder.path()).await?;
    let read = read_back(&up)?;
    ensure!(read["differences"].as_array().is_some_and(Vec::is_empty), "{read}");
    ensure!(
        (&read["secrets"], &read["certificates"], &read["keys"]) == (&json!(225), &json!(15), &json!(13)),
        "{read}"
    );
    // The vaults themselves have signed and verified: the restored private halves are the ones that were backed up.
    let (counts, signatures) = (admin.counts().await?, read["signatures"].as_u64().unwrap_or(0));
    ensure!(signatures == 15, "12 keys of one version, one of three: {read}");
    for vault in [SOURCE, TARGET] {
        let used = (counts.of(vault, "keys.sign"), counts.of(vault, "keys.verify"));
        ensure!(used == (signatures, signatures), "{vault}: {used:?} of {signatures}");
    }
    Ok(())
}

/// One folder and its ports, for every start.
struct Up {
    tools: Tools,
    dir: PathBuf,
    emulator_port: u16,
    ports: Vec<u16>,
}

impl Up {
    fn new(folder: &Path) -> Result<Self> {
        // The emulator's admin listener has the port after the emulator's.
        Ok(Self { tools: Tools::find()?, dir: folder.join("data"), emulator_port: free_pair()?, ports: free_ports(2)? })
    }

    /// What it says last, once everything is settled.
    fn answer(&self) -> Result<Value> {
        let output = Command::new(&self.tools.keyferry)
            .args(["up", "--exit-when-synced", "--dir"])
            .arg(&self.dir)
            .arg("--nats-server")
            .arg(&self.tools.nats_server)
            .args(["--port", &self.ports[0].to_string(), "--nats-port", &self.ports[1].to_string()])
            .args(["--emulator-port", &self.emulator_port.to_string()])
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(0), "up exits with {:?}: {told}", output.status.code());
        let text = String::from_utf8(output.stdout)?;
        let last = text.lines().last().with_context(|| format!("nothing on standard output: {told}"))?;
        serde_json::from_str(last).with_context(|| last.to_owned())
    }

    /// The emulator alone, over what was left in the folder.
    async fn emulator(&self, logs: &Path) -> Result<(Process, EmulatorAdmin)> {
        let (port, admin) = (self.emulator_port, self.emulator_port + 1);
        let mut emulated = Command::new(&self.tools.keyferry);
        emulated
            .args(["emulator", "--limits", "off", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin-listen", &format!("127.0.0.1:{admin}"), "--state"])
            .arg(self.dir.join("emulator.json"));
        let process = Process::start("emulator", emulated, logs)?;
        until("the emulator to listen", LIMIT, || async {
            Ok(process.output().contains("\"listening\"").then_some(()))
        })
        .await?;
        Ok((process, EmulatorAdmin::new(admin)?))
    }
}

fn read_back(up: &Up) -> Result<Value> {
    let script = workspace().join("services/system-tests/python/read_back.py");
    let output = Command::new(Tools::python()?)
        .arg(script)
        .arg(up.emulator_port.to_string())
        .arg(up.dir.join("ca.pem"))
        .args([SOURCE, TARGET])
        .args(BLOCKED)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
