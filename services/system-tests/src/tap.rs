//! Hears everything that passes over NATS, as bytes.
//!
//! Speaks just enough of the protocol to subscribe to every subject. Deliberately absent: what the messages mean.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
    task::JoinSet,
};

/// Listens until it is dropped. Keeps all it heard: for tests with few messages.
pub struct NatsTap {
    heard: Arc<Mutex<Vec<u8>>>,
    _hearing: JoinSet<()>,
}

impl NatsTap {
    /// Subscribes to all subjects of a server on this machine, its own inboxes and JetStream's among them.
    pub async fn on(port: u16) -> Result<Self> {
        let (from, mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?.into_split();
        let mut from = BufReader::new(from);
        to.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nSUB > 1\r\nPING\r\n").await?;
        let mut line = String::new();
        while line != "PONG\r\n" {
            line.clear();
            ensure!(from.read_line(&mut line).await? > 0 && !line.starts_with("-ERR"), "NATS refused: {line}");
        }
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut hearing = JoinSet::new();
        hearing.spawn(hear(from, to, heard.clone()));
        Ok(Self { heard, _hearing: hearing })
    }

    /// All bytes so far.
    pub async fn heard(&self) -> Vec<u8> {
        self.heard.lock().await.clone()
    }
}

async fn hear(mut from: BufReader<OwnedReadHalf>, mut to: OwnedWriteHalf, heard: Arc<Mutex<Vec<u8>>>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        heard.lock().await.extend_from_slice(&piece[..count]);
        // Whether or not it is a ping of the server: an answer that nobody waits for does no harm.
        if piece[..count].windows(6).any(|bytes| bytes == b"PING\r\n") && to.write_all(b"PONG\r\n").await.is_err() {
            return;
        }
    }
}
