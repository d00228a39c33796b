//! A whole system: nats-server, the emulator, coordinators, workers and a gateway, each a process of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    api::Api,
    azure::AzureReader,
    emulator::EmulatorAdmin,
    estate::{CLIENT_ID, CLIENT_SECRET, EstateBuilder, TENANT},
    line::TcpLine,
    nats::NatsCluster,
    ports,
    process::Process,
    tools::Tools,
    wait::until,
};

/// Longest a process may take until it can do its job, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a cluster shall be.
#[derive(Debug)]
pub struct ClusterBuilder {
    estate: EstateBuilder,
    workers: usize,
    latency: Duration,
    azure_limits: bool,
    /// Keyferry's own budgets per vault and ten seconds: creating writes, reads. 0: unlimited.
    budgets: Option<(u32, u32)>,
    /// Client ids of the identities that workers use at the source and at the target.
    identities: [String; 2],
    /// What the roles log.
    log: String,
    /// Servers of NATS, and on how many of them every stream is.
    servers: usize,
}

impl ClusterBuilder {
    pub fn new(estate: EstateBuilder) -> Self {
        Self {
            estate,
            workers: 2,
            latency: Duration::ZERO,
            azure_limits: false,
            budgets: None,
            identities: [CLIENT_ID; 2].map(str::to_owned),
            log: "info".to_owned(),
            servers: 1,
        }
    }

    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// What the emulator takes over each call.
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Neither the emulator nor Keyferry limits anything.
    #[must_use]
    pub fn unlimited(self) -> Self {
        Self { budgets: Some((0, 0)), ..self }
    }

    /// The emulator throttles as Azure does; Keyferry keeps its default budgets.
    #[must_use]
    pub fn azure_limits(self) -> Self {
        Self { azure_limits: true, ..self }
    }

    /// Workers read the source as one identity and write the target as another.
    #[must_use]
    pub fn identities(self, source: &str, target: &str) -> Self {
        Self { identities: [source, target].map(str::to_owned), ..self }
    }

    /// The roles log all that they and their libraries have to say.
    #[must_use]
    pub fn traced(self) -> Self {
        Self { log: "trace".to_owned(), ..self }
    }

    /// NATS has three servers, and every stream is on all of them.
    #[must_use]
    pub fn replicated(self) -> Self {
        Self { servers: 3, ..self }
    }

    /// Starts everything, and waits until it can do its job.
    pub async fn start(self) -> Result<Cluster> {
        let (tools, folder) = (Tools::find()?, tempfile::tempdir()?);
        let ports = ports::free(3)?;
        let nats = NatsCluster::start(&tools, folder.path(), self.servers).await?;
        let settings = Settings::write(folder.path(), &self, &nats, ports[0])?;
        let emulator = start_emulator(&tools, folder.path(), &self, ports[0], ports[1]).await?;
        let replicas = self.servers.to_string();
        run(keyferry(&tools, &["nats", "provision", "--replicas", &replicas]).arg("--settings").arg(&settings.file))?;
        let token = run(keyferry(&tools, &["token", "create", "--name", "test", "--role", "admin"])
            .arg("--settings")
            .arg(&settings.file))?;
        let gateway = start_gateway(&tools, folder.path(), &settings, ports[2])?;
        let mut cluster = Cluster {
            api: Api::new(ports[2], token.trim().to_owned())?,
            admin: EmulatorAdmin::new(ports[1])?,
            emulator_at: SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])),
            token: token.trim().to_owned(),
            gateway_port: ports[2],
            coordinators: Vec::new(),
            workers: Vec::new(),
            nats,
            emulator,
            gateway,
            settings,
            tools,
            folder,
        };
        for _ in 0..self.workers {
            cluster.start_worker()?;
        }
        cluster.start_coordinator()?;
        until("the gateway to be ready", START_LIMIT, || async { Ok(cluster.api.is_ready().await.then_some(())) })
            .await?;
        Ok(cluster)
    }
}

/// A running system. Everything is killed when it is dropped.
pub struct Cluster {
    api: Api,
    admin: EmulatorAdmin,
    emulator_at: SocketAddr,
    token: String,
    gateway_port: u16,
    pub coordinators: Vec<Process>,
    pub workers: Vec<Process>,
    pub gateway: Process,
    pub emulator: Process,
    pub nats: NatsCluster,
    settings: Settings,
    tools: Tools,
    folder: TempDir,
}

impl Cluster {
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Address of the gateway.
    pub fn server(&self) -> String {
        format!("http://127.0.0.1:{}", self.gateway_port)
    }

    /// A token that may do everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn admin(&self) -> &EmulatorAdmin {
        &self.admin
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    pub fn emulator_at(&self) -> SocketAddr {
        self.emulator_at
    }

    /// Where the emulator's CA is.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join(CA)
    }

    /// The command line as a user has it, signed in.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = keyferry(&self.tools, args);
        command.env("KEYFERRY_SERVER", self.server()).env("KEYFERRY_TOKEN", &self.token);
        command
    }

    pub async fn reader(&self, vaults: &[&str]) -> Result<AzureReader> {
        AzureReader::connect(self.emulator_at, &self.ca(), vaults).await
    }

    /// One more worker.
    pub fn start_worker(&mut self) -> Result<()> {
        self.start_worker_with(&[])
    }

    /// One more worker, which hears NATS over a line.
    pub fn start_worker_over(&mut self, line: &TcpLine) -> Result<()> {
        self.start_worker_with(&["--nats", &format!("nats://127.0.0.1:{}", line.port())])
    }

    fn start_worker_with(&mut self, args: &[&str]) -> Result<()> {
        let name = format!("worker-{}", self.workers.len() + 1);
        self.workers.push(start_role(&self.tools, self.folder.path(), &self.settings, "worker", &name, args)?);
        Ok(())
    }

    /// One more coordinator.
    pub fn start_coordinator(&mut self) -> Result<()> {
        let name = format!("coordinator-{}", self.coordinators.len() + 1);
        let coordinator = start_role(&self.tools, self.folder.path(), &self.settings, "coordinator", &name, &[])?;
        self.coordinators.push(coordinator);
        Ok(())
    }

    /// A gateway in place of the one that was killed, where that was.
    pub fn restart_gateway(&mut self) -> Result<()> {
        self.gateway = start_gateway(&self.tools, self.folder.path(), &self.settings, self.gateway_port)?;
        Ok(())
    }

    /// Peak memory of every process that still runs, by name, in bytes.
    pub fn peak_memory(&self) -> Result<Vec<(String, u64)>> {
        let roles = self.coordinators.iter().chain(&self.workers).chain([&self.gateway, &self.emulator]);
        let processes = roles.chain(self.nats.servers());
        processes.map(|process| Ok((process.name().to_owned(), process.peak_memory_bytes()?))).collect()
    }

    /// The last lines that every process wrote, for a failed test.
    pub fn logs(&self) -> String {
        const LINES: usize = 40;
        let processes = self.coordinators.iter().chain(&self.workers).chain([&self.gateway]);
        processes
            .map(|process| {
                let output = process.output();
                let lines: Vec<&str> = output.lines().collect();
                format!("--- {}\n{}\n", process.name(), lines[lines.len().saturating_sub(LINES)..].join("\n"))
            })
            .collect()
    }
}

const CA: &str = "ca.pem";

/// The settings file that every role of a cluster shares.
struct Settings {
    file: PathBuf,
    log: String,
}

impl Settings {
    fn write(folder: &Path, builder: &ClusterBuilder, nats: &NatsCluster, emulator: u16) -> Result<Self> {
        let budgets = builder.budgets.map_or_else(String::new, |(writes, reads)| {
            format!("creating_writes_per_10s = {writes}\nreads_per_10s = {reads}\n")
        });
        let ca = folder.join(CA);
        let [source, target] = builder.identities.each_ref().map(|client_id| {
            format!(
                "{{ kind = \"client_secret\", tenant = \"{TENANT}\", client_id = \"{client_id}\", secret_env = \"KEYFERRY_TEST_SECRET\" }}"
            )
        });
        let text = format!(
            "[nats]\nurl = \"{}\"\n\n[coordinator]\n{budgets}\n[worker.azure]\n\
             source = {source}\ntarget = {target}\nca_file = \"{}\"\nauthority_host = \"https://login.localhost:{emulator}\"\n\
             management_endpoint = \"https://management.localhost:{emulator}\"\nvault_suffix = \"vault.localhost:{emulator}\"\n\
             resolve_localhost = true\n",
            nats.url(),
            ca.display()
        );
        let file = folder.join("keyferry.toml");
        fs::write(&file, text)?;
        Ok(Self { file, log: builder.log.clone() })
    }
}

fn keyferry(tools: &Tools, args: &[&str]) -> Command {
    let mut command = Command::new(&tools.keyferry);
    command.args(args);
    command
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().context("keyferry could not be started")?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn start_role(
    tools: &Tools,
    folder: &Path,
    settings: &Settings,
    role: &str,
    name: &str,
    args: &[&str],
) -> Result<Process> {
    let mut command = keyferry(tools, &[role]);
    command
        .args(args)
        .arg("--settings")
        .arg(&settings.file)
        .env("KEYFERRY_TEST_SECRET", CLIENT_SECRET)
        .env("KEYFERRY_LOG", &settings.log);
    Process::start(name, command, folder)
}

fn start_gateway(tools: &Tools, folder: &Path, settings: &Settings, port: u16) -> Result<Process> {
    start_role(tools, folder, settings, "gateway", "gateway", &["--listen", &format!("127.0.0.1:{port}")])
}

async fn start_emulator(
    tools: &Tools,
    folder: &Path,
    builder: &ClusterBuilder,
    port: u16,
    admin: u16,
) -> Result<Process> {
    let estate = folder.join("estate.yaml");
    fs::write(&estate, builder.estate.yaml())?;
    let mut command = keyferry(tools, &["emulator"]);
    command
        .args(["--listen", &format!("127.0.0.1:{port}"), "--admin-listen", &format!("127.0.0.1:{admin}")])
        .args(["--latency", &format!("{}ms", builder.latency.as_millis())])
        .args(["--limits", if builder.azure_limits { "azure" } else { "off" }])
        .arg("--estate")
        .arg(&estate)
        .arg("--ca-out")
        .arg(folder.join(CA));
    let process = Process::start("emulator", command, folder)?;
    until("the emulator to listen", START_LIMIT, || async {
        Ok(process.output().contains("\"listening\"").then_some(()))
    })
    .await?;
    Ok(process)
}
