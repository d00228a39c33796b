//! The nats-servers of one test.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{http, ports, process::Process, tools::Tools, wait::until};

/// Longest it may take to listen or to choose a leader, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server with an empty store, which goes with it.
pub struct NatsServer {
    cluster: NatsCluster,
    _folder: TempDir,
}

impl NatsServer {
    pub async fn start() -> Result<Self> {
        let (tools, folder) = (Tools::find()?, tempfile::tempdir()?);
        Ok(Self { cluster: NatsCluster::start(&tools, folder.path(), 1).await?, _folder: folder })
    }

    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    pub fn url(&self) -> String {
        self.cluster.url()
    }
}

/// The servers that are one NATS, each with a store of its own.
pub struct NatsCluster {
    tools: Tools,
    folder: PathBuf,
    ports: Vec<Ports>,
    processes: Vec<Process>,
}

/// Where one server listens.
#[derive(Clone, Copy)]
struct Ports {
    clients: u16,
    peers: u16,
    monitor: u16,
}

impl NatsCluster {
    pub(crate) async fn start(tools: &Tools, folder: &Path, servers: usize) -> Result<Self> {
        let free = ports::free(3 * servers)?;
        let ports = free.chunks(3).map(|three| Ports { clients: three[0], peers: three[1], monitor: three[2] });
        let mut cluster =
            Self { tools: tools.clone(), folder: folder.to_owned(), ports: ports.collect(), processes: Vec::new() };
        for index in 0..servers {
            let process = cluster.launch(index)?;
            cluster.processes.push(process);
        }
        for index in 0..servers {
            cluster.listens(index).await?;
        }
        Ok(cluster)
    }

    /// Where the first of them listens.
    pub fn port(&self) -> u16 {
        self.ports[0].clients
    }

    /// All of them, as clients are told.
    pub fn url(&self) -> String {
        let urls: Vec<_> = self.ports.iter().map(|ports| format!("nats://127.0.0.1:{}", ports.clients)).collect();
        urls.join(",")
    }

    pub fn servers(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter()
    }

    /// `kill -9` of one of them.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.processes[index].kill()
    }

    /// Starts one that was killed again, on what it kept.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        self.processes[index] = self.launch(index)?;
        self.listens(index).await
    }

    /// The server that leads a stream.
    pub async fn leader(&self, stream: &str) -> Result<usize> {
        let http = http::client().build()?;
        let url = format!("http://127.0.0.1:{}/jsz?streams=true", self.ports[0].monitor);
        until(&format!("a leader of {stream}"), START_LIMIT, || async {
            let told: Value = http.get(&url).send().await?.json().await?;
            let accounts = told["account_details"].as_array().into_iter().flatten();
            let mut streams = accounts.filter_map(|account| account["stream_detail"].as_array()).flatten();
            let found = streams.find(|detail| detail["name"] == stream);
            let leader = found.and_then(|detail| detail["cluster"]["leader"].as_str());
            Ok(leader.and_then(|name| (0..self.ports.len()).find(|&index| name == server_name(index))))
        })
        .await
    }

    fn launch(&self, index: usize) -> Result<Process> {
        let Ports { clients, peers, monitor } = self.ports[index];
        let name = server_name(index);
        let (store, config) = (self.folder.join(&name), self.folder.join(format!("{name}.conf")));
        let mut text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{clients}\nhttp: 127.0.0.1:{monitor}\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
        );
        if self.ports.len() > 1 {
            let routes: Vec<_> = self.ports.iter().map(|ports| format!("nats://127.0.0.1:{}", ports.peers)).collect();
            let routes = routes.join(", ");
            text += &format!("cluster {{ name: test, listen: 127.0.0.1:{peers}, routes: [{routes}] }}\n");
        }
        fs::write(&config, text)?;
        let mut command = Command::new(&self.tools.nats_server);
        command.arg("-c").arg(&config);
        Process::start(&name, command, &self.folder).context("nats-server")
    }

    async fn listens(&self, index: usize) -> Result<()> {
        let port = self.ports[index].clients;
        until("nats-server to listen", START_LIMIT, || async move {
            Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok().map(|_| ()))
        })
        .await
    }
}

fn server_name(index: usize) -> String {
    format!("nats-{}", index + 1)
}
