//! `keyferry up` as somebody at a terminal has it: Ctrl-C ends everything, and what stands in the way is one clear line.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use system_tests::{Process, Tools, free_pair, free_ports, until};

use crate::fixtures::LIMIT;

/// Ports of one start: gateway, NATS, emulator and its admin listener.
struct Ports {
    gateway: u16,
    nats: u16,
    emulator: u16,
}

impl Ports {
    fn free() -> Result<Self> {
        let free = free_ports(2)?;
        Ok(Self { gateway: free[0], nats: free[1], emulator: free_pair()? })
    }

    /// Each with what it is for and the option that sets it.
    fn named(&self) -> [(u16, &'static str, &'static str); 4] {
        [
            (self.gateway, "gateway", "--port"),
            (self.nats, "NATS", "--nats-port"),
            (self.emulator, "emulated Azure", "--emulator-port"),
            (self.emulator + 1, "admin listener", "--emulator-port"),
        ]
    }

    fn up(&self, tools: &Tools, dir: &Path) -> Command {
        let mut command = Command::new(&tools.keyferry);
        command.arg("up").arg("--dir").arg(dir).arg("--nats-server").arg(&tools.nats_server);
        for (port, option) in [(self.gateway, "--port"), (self.nats, "--nats-port"), (self.emulator, "--emulator-port")]
        {
            command.args([option, &port.to_string()]);
        }
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_up_and_every_process_it_started() -> Result<()> {
    let (tools, folder, ports) = (Tools::find()?, tempfile::tempdir()?, Ports::free()?);
    let mut up = Process::start("up", ports.up(&tools, &folder.path().join("data")), folder.path())?;
    let said = until("up to be up", LIMIT, || async {
        let output = up.output();
        ensure!(!output.contains("fix:"), "{output}");
        Ok(output.contains("Keyferry is up").then_some(output))
    });
    said.await?;
    let children = children(up.pid())?;
    let kinds: Vec<_> = children.values().map(|command| kind(command)).collect();
    for (kind, count) in [("nats-server", 1), ("emulator", 1), ("gateway", 1), ("coordinator", 1), ("worker", 2)] {
        ensure!(kinds.iter().filter(|found| **found == kind).count() == count, "{count} {kind}: {kinds:?}");
    }

    up.interrupt()?;
    let status = up.ended(LIMIT).await?;

    ensure!(status.success(), "up ends with {status}: {}", up.output());
    let left: Vec<_> = children.iter().filter(|(pid, command)| command_of(**pid).as_ref() == Some(command)).collect();
    ensure!(left.is_empty(), "still there: {left:?}");
    for (port, what, _) in ports.named() {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("port {port} of {what} is held"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_one_line_that_names_the_port_and_the_option() -> Result<()> {
    let (tools, folder, ports) = (Tools::find()?, tempfile::tempdir()?, Ports::free()?);
    for (port, what, option) in ports.named() {
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let output = ports.up(&tools, &folder.path().join("data")).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(69) && output.stdout.is_empty(), "{what}: {:?} {told}", output.status);
        let mut lines = told.lines();
        let line = lines.next().with_context(|| format!("{what}: nothing is said"))?;
        let names_it = line.contains(&format!("port {port}")) && line.contains(what) && line.contains("taken");
        ensure!(names_it, "{what}: {told}");
        ensure!(told.contains("fix:") && told.contains(option), "{what}: {told}");
        let others: Vec<_> = lines.filter(|line| !line.starts_with("  ")).collect();
        ensure!(others.is_empty(), "{what}: said besides: {others:?}");
    }
    Ok(())
}

/// Ids and command lines of the processes that `parent` started and that are there.
fn children(parent: u32) -> Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|_| parent_of(&path) == Some(parent)) else { continue };
        if let Some(command) = command_of(pid) {
            found.insert(pid, command);
        }
    }
    Ok(found)
}

fn parent_of(process: &Path) -> Option<u32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// None for a process that has ended, whether or not somebody has noticed.
fn command_of(pid: u32) -> Option<String> {
    let line = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/cmdline"))).ok()?;
    (!line.is_empty()).then(|| line.replace('\0', " "))
}

/// What a process is by its command line: a role of keyferry, or a program of its own.
fn kind(command: &str) -> &str {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    match program {
        "keyferry" => words.next().unwrap_or_default(),
        program => program,
    }
}
