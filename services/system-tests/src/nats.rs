//! A nats-server of one test.

use std::{fs, net::Ipv4Addr, path::Path, process::Command, time::Duration};

use anyhow::Result;
use tempfile::TempDir;

use crate::{ports, process::Process, tools::Tools, wait::until};

/// Longest it may take to listen, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server with an empty store, which goes with it.
pub struct NatsServer {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl NatsServer {
    pub async fn start() -> Result<Self> {
        let (tools, folder, port) = (Tools::find()?, tempfile::tempdir()?, ports::free(1)?[0]);
        Ok(Self { port, _process: start(&tools, folder.path(), port).await?, _folder: folder })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

/// Starts a server that keeps its store in `folder`, and waits until it listens.
pub(crate) async fn start(tools: &Tools, folder: &Path, port: u16) -> Result<Process> {
    let store = folder.join("nats");
    let config = folder.join("nats.conf");
    let text = format!("listen: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n");
    fs::write(&config, text)?;
    let mut command = Command::new(&tools.nats_server);
    command.arg("-c").arg(&config);
    let process = Process::start("nats", command, folder)?;
    until("nats-server to listen", START_LIMIT, || async {
        Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok())
    })
    .await?;
    Ok(process)
}
