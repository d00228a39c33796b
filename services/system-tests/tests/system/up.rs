//! `keyferry up`: what it exits with where not everything is replicated, and how it keeps its parts.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use proto_msgs::{
    Status,
    api::{ConfigView, Page},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use system_tests::{Api, AzureReader, EstateBuilder, Process, SUBSCRIPTION, Tools, free_pair, free_ports, until};

use crate::fixtures::{LIMIT, SOURCE, TARGET, pair};

/// More than Azure's limits let through while somebody presses Ctrl-C.
const MANY: usize = 1_500;

/// `up` in a folder of its own, on ports of its own.
struct Up {
    folder: tempfile::TempDir,
    port: u16,
    nats_port: u16,
    emulator_port: u16,
    args: Vec<String>,
}

impl Up {
    fn of(estate: &str) -> Result<Self> {
        let (folder, tools) = (tempfile::tempdir()?, Tools::find()?);
        // The emulator's admin listener has the port after the emulator's.
        let (emulator_port, ports) = (free_pair()?, free_ports(2)?);
        let file = folder.path().join("estate.yaml");
        fs::write(&file, estate)?;
        let args = [
            ("--dir", folder.path().join("data").display().to_string()),
            ("--estate", file.display().to_string()),
            ("--nats-server", tools.nats_server.display().to_string()),
            ("--port", ports[0].to_string()),
            ("--nats-port", ports[1].to_string()),
        ];
        let args = args.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Ok(Self { folder, port: ports[0], nats_port: ports[1], emulator_port, args })
    }

    /// The same folder, with the emulator on another port.
    fn on_another_emulator_port(self) -> Result<Self> {
        Ok(Self { emulator_port: free_pair()?, ..self })
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(Tools::find()?.keyferry);
        command.arg("up").args(&self.args).args(["--emulator-port", &self.emulator_port.to_string()]);
        command.current_dir(self.folder.path());
        Ok(command)
    }

    /// Starts it without end, waits until it is up, and gives what can be asked of it.
    async fn start(&self, name: &str) -> Result<(Process, Api)> {
        let process = Process::start(name, self.command()?, self.folder.path())?;
        let said = until("everything to be up", LIMIT, || async {
            Ok(Some(process.output()).filter(|said| said.contains("Try next")))
        });
        let said = said.await?;
        let token = said.split("KEYFERRY_TOKEN=").nth(1).and_then(|rest| rest.lines().next()).context("no token")?;
        Ok((process, Api::new(self.port, token.to_owned())?))
    }

    /// Starts it with `--exit-when-synced` and stops it as soon as it said `when`: its exit code, and the last it said.
    async fn stopped(&self, signal: Signal, when: &str) -> Result<(Option<i32>, Value)> {
        let mut command = self.command()?;
        command.arg("--exit-when-synced");
        let mut process = Process::start(&format!("up-{}", signal.as_raw()), command, self.folder.path())?;
        until(when, LIMIT, || async { Ok(process.output().contains(when).then_some(())) }).await?;
        kill_process(pid(process.pid())?, signal)?;
        let (status, said) = (process.ended(LIMIT).await?, process.output());
        let last = said.lines().last().context("nothing is said")?;
        Ok((status.code(), serde_json::from_str(last).with_context(|| said.clone())?))
    }

    /// Runs it with `--exit-when-synced`: its exit code, its last line, and what it told.
    fn until_synced(&self) -> Result<(Option<i32>, Value, String)> {
        let output = self.command()?.arg("--exit-when-synced").output()?;
        let (text, told) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        let last = text.lines().last().with_context(|| format!("nothing on standard output: {told}"))?;
        Ok((output.status.code(), serde_json::from_str(last).with_context(|| last.to_owned())?, told))
    }

    fn is_nats_there(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.nats_port)).is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_reached_is_no_success_and_is_tried_again_at_the_next_start() -> Result<()> {
    let denied = EstateBuilder::new()
        .vault_with(SOURCE, "westeurope", "        firewall: deny\n        items: { secrets: [{ name: a }] }\n")
        .vault(TARGET, "northeurope", 0)
        .yaml();
    let up = Up::of(&denied)?;

    let (code, answer, told) = up.until_synced()?;
    let end = &answer["run"]["end"];
    ensure!(code == Some(2) && end["code"] == "source_network_denied", "{code:?}: {answer}\n{told}");
    ensure!(answer["codes"] == json!({}) && answer["records"] == json!({}), "codes are those of records: {answer}");
    let line = told.lines().find(|line| line.starts_with("keyferry: source_network_denied: ")).context(told.clone())?;
    let (what, rest) = line.split_once("; fix: ").with_context(|| line.to_owned())?;
    ensure!(what.contains("not everything is replicated") && rest.contains("; correlation id: "), "{line}");

    let mut stays = Process::start("up", up.command()?, up.folder.path())?;
    until("everything to be up", LIMIT, || async { Ok(stays.output().contains("Try next").then_some(())) }).await?;
    let told = stays.output();
    ensure!(told.contains("is up, but not everything is replicated: source_network_denied: the run failed"), "{told}");
    stays.interrupt()?;
    ensure!(stays.ended(LIMIT).await?.success(), "{}", stays.output());

    fs::write(up.folder.path().join("estate.yaml"), denied.replace("firewall: deny", "firewall: open"))?;
    let (code, answer, told) = up.until_synced()?;
    ensure!(code == Some(0) && answer["records"]["active"] == 1, "{code:?}: {answer}\n{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_may_not_be_listed_are_no_success() -> Result<()> {
    let items = "        items: { secrets: [{ name: a }], keys: [{ name: k, type: EC, curve: P-256 }] }\n";
    let estate = EstateBuilder::new().vault_with(SOURCE, "westeurope", items).vault(TARGET, "northeurope", 0).yaml();
    let up = Up::of(&estate.replace("Key Vault Administrator", "Key Vault Secrets Officer"))?;

    let (code, answer, told) = up.until_synced()?;

    ensure!(code == Some(2) && answer["records"].get("failed").is_none(), "{code:?}: {answer}\n{told}");
    ensure!(told.contains("not everything is replicated") && told.contains("fix: "), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_before_all_is_settled_it_says_so_last_and_by_its_exit_code() -> Result<()> {
    let up = Up::of(&pair(MANY).yaml())?;
    let (code, answer) = up.stopped(Signal::INT, &format!("/{MANY} records: ")).await?;
    ensure!(code == Some(130) && answer["settled"] == false, "{code:?}: {answer}");
    let waiting =
        answer["records"]["pending"].as_u64().unwrap_or(0) + answer["records"]["syncing"].as_u64().unwrap_or(0);
    ensure!(waiting > 0 && answer["calls"]["set"].as_u64() > Some(0), "{answer}");
    // Before there is anybody to ask, nothing is known.
    let (code, answer) = up.stopped(Signal::TERM, "starting NATS").await?;
    ensure!(code == Some(143) && answer["settled"] == false && answer["records"] == json!({}), "{code:?}: {answer}");
    ensure!(!up.is_nats_there(), "NATS was left behind");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estate_that_changed_since_the_start_is_not_passed_over_in_silence() -> Result<()> {
    const WORD: &str = "another --dir begins anew";
    let up = Up::of(&pair(2).yaml())?;
    let (code, _, told) = up.until_synced()?;
    ensure!(code == Some(0) && !told.contains(WORD), "{code:?}: {told}");
    fs::write(up.folder.path().join("estate.yaml"), pair(4).yaml())?;
    let (code, answer, told) = up.until_synced()?;
    ensure!(code == Some(0) && answer["records"] == json!({ "active": 2 }) && told.contains(WORD), "{answer}\n{told}");
    ensure!(answer["calls"]["list"].as_u64() > Some(0), "what changed meanwhile is not looked for: {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everything_is_stopped_in_the_middle_it_comes_up_and_says_so() -> Result<()> {
    let up = Up::of(&pair(MANY).yaml())?;
    let mut process = Process::start("up-stopped", up.command()?, up.folder.path())?;
    let says = |word: &'static str| {
        let process = &process;
        until(word, LIMIT, move || async move { Ok(process.output().contains(word).then_some(())) })
    };
    says("records:").await?;
    let mut create = Command::new(Tools::find()?.keyferry);
    create.args(["token", "create", "--name", "operator", "--role", "admin", "--nats"]);
    let token = create.arg(format!("nats://127.0.0.1:{}", up.nats_port)).output()?;
    let token = String::from_utf8(token.stdout)?.trim().to_owned();
    let stop = Api::new(up.port, token)?.send(reqwest::Method::POST, "/api/v1/control/stop-all", None).await?;
    ensure!(stop.status().is_success(), "{}", stop.text().await?);
    says("`keyferry resume-all`").await?;
    says("Try next").await?;
    process.interrupt()?;
    ensure!(process.ended(LIMIT).await?.success(), "{}", process.output());

    let (code, answer, told) = up.until_synced()?;
    ensure!(code == Some(2) && answer["settled"] == false, "{code:?}: {answer}\n{told}");
    ensure!(told.contains("`keyferry resume-all`"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_emulator_port_it_lists_anew_and_rewrites_nothing() -> Result<()> {
    let up = Up::of(&pair(30).yaml())?;
    let (code, first, told) = up.until_synced()?;
    ensure!(code == Some(0) && first["records"] == json!({ "active": 30 }), "{code:?}: {first}\n{told}");

    // Items written in the second of their first read are read once more, which has to be after that second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let up = up.on_another_emulator_port()?;
    let (code, second, told) = up.until_synced()?;
    ensure!(code == Some(0) && second["records"] == first["records"], "{code:?}: {second}\n{told}");
    ensure!(second["calls"]["list"].as_u64() > Some(0) && second["calls"]["set"] == 0, "{second}");

    let up = up.on_another_emulator_port()?;
    let (code, third, told) = up.until_synced()?;
    ensure!(code == Some(0) && third["settled"] == true && third["records"] == first["records"], "{third}\n{told}");
    ensure!(third["calls"]["list"].as_u64() > Some(0), "{third}");
    ensure!(third["calls"]["get"] == 0 && third["calls"]["set"] == 0, "{third}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_emulator_port_every_config_goes_on_with_what_changed_meanwhile() -> Result<()> {
    const OWN: &str = "own-kv";
    let up = Up::of(&pair(3).vault(OWN, "northeurope", 0).yaml())?;
    let (mut process, api) = up.start("up-before").await?;
    let uri = format!("https://{OWN}.vault.localhost:{}", up.emulator_port);
    let own = api.create(json!({
        "name": "own",
        "source": { "vault": SOURCE },
        "target": { "uri": uri, "subscription": SUBSCRIPTION, "region": "northeurope" },
        "item_types": ["secrets"],
        "rule": { "kind": "all" },
    }));
    let own = own.await?.config.id;
    api.active(&own, 3, LIMIT).await?;
    let emulator = (std::net::Ipv4Addr::LOCALHOST, up.emulator_port).into();
    let reader = AzureReader::connect(emulator, &up.folder.path().join("data/ca.pem"), &[SOURCE]).await?;
    reader.set_secret(SOURCE, "added", "meanwhile").await?;
    process.interrupt()?;
    ensure!(process.ended(LIMIT).await?.success(), "{}", process.output());

    let up = up.on_another_emulator_port()?;
    let (_process, api) = up.start("up-after").await?;
    api.active(&own, 4, LIMIT).await?;
    let view = api.config(&own).await?;
    let moved = format!(":{}", up.emulator_port);
    ensure!(view.config.target.uri.ends_with(&moved) && view.config.change.actor == "up", "{view:?}");
    let both: Page<ConfigView> = api.call(reqwest::Method::GET, "/api/v1/configs", None).await?;
    let records: Vec<_> = both.items.into_iter().map(|view| view.summary.map(|summary| summary.by_status)).collect();
    let four = Some([(Status::Active, 4)].into());
    ensure!(records == [four.clone(), four], "{records:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_dies_is_started_again_and_none_is_left_behind() -> Result<()> {
    let up = Up::of(&pair(3).yaml())?;
    let mut process = Process::start("up", up.command()?, up.folder.path())?;
    until("everything to be up", LIMIT, || async { Ok(process.output().contains("Try next").then_some(())) }).await?;
    let told = process.output();
    ensure!(told.contains("Keyferry is up. Ctrl-C stops it") && told.contains("stays in ./data."), "{told}");

    for (part, name) in [("worker", "worker-"), ("nats-server", "nats")] {
        let killed = child(process.pid(), part)?;
        kill_process(killed, Signal::KILL)?;
        until(&format!("another {part}"), LIMIT, || async {
            let is_told = process.output().lines().any(|said| said.starts_with(name) && said.contains("started again"));
            Ok((is_told && child(process.pid(), part).is_ok_and(|found| found != killed)).then_some(()))
        })
        .await?;
    }
    ensure!(process.is_running(), "{}", process.output());

    until("NATS to listen", LIMIT, || async { Ok(up.is_nats_there().then_some(())) }).await?;
    process.kill()?;
    until("NATS to end with it", LIMIT, || async { Ok((!up.is_nats_there()).then_some(())) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_terminal_stops_all_of_it() -> Result<()> {
    let up = Up::of(&pair(1).yaml())?;
    let mut process = Process::start("up", up.command()?, up.folder.path())?;
    until("everything to be up", LIMIT, || async { Ok(process.output().contains("Try next").then_some(())) }).await?;
    kill_process(pid(process.pid())?, Signal::HUP)?;
    let status = process.ended(LIMIT).await?;
    ensure!(status.success() && !up.is_nats_there(), "{status}: {}", process.output());
    Ok(())
}

fn pid(id: u32) -> Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).context("the process has no pid")
}

/// A child whose command line has that word.
fn child(of: u32, word: &str) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children"))?;
    for id in children.split_whitespace() {
        // One that has just ended has none any more.
        let line = fs::read(Path::new("/proc").join(id).join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).take(2).map(String::from_utf8_lossy);
        if words.any(|found| found == word || found.ends_with(&format!("/{word}"))) {
            return pid(id.parse()?);
        }
    }
    anyhow::bail!("there is no {word} under process {of}")
}
