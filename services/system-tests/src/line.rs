//! A TCP line to a server on this machine that can be cut, and can lose what comes back.
//!
//! Absent on purpose: delays and lost packets, which TCP hides from both ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Connections to a port of its own go on to the server's. Gone when it is dropped.
pub struct TcpLine {
    port: u16,
    passes: Arc<watch::Sender<Passes>>,
    _carrying: JoinSet<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Passes {
    /// Connections of an earlier one are closed.
    generation: u64,
    there: bool,
    back: bool,
}

impl TcpLine {
    /// A line to `server`, a port on this machine.
    pub async fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let passes = Arc::new(watch::Sender::new(Passes { generation: 0, there: true, back: true }));
        let mut carrying = JoinSet::new();
        carrying.spawn(serve(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, server)), passes.clone()));
        Ok(Self { port, passes, _carrying: carrying })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes every connection, and each new one at once.
    pub fn cut(&self) {
        self.change(|passes| Passes { generation: passes.generation + 1, there: false, back: false });
    }

    /// From now on, what the server sends is lost.
    pub fn deafen(&self) {
        self.change(|passes| Passes { back: false, ..passes });
    }

    /// New connections pass everything; the ones there are, are closed.
    pub fn mend(&self) {
        self.change(|passes| Passes { generation: passes.generation + 1, there: true, back: true });
    }

    fn change(&self, how: impl FnOnce(Passes) -> Passes) {
        self.passes.send_modify(|passes| *passes = how(*passes));
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, passes: Arc<watch::Sender<Passes>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if passes.borrow().there {
            connections.spawn(carry(client, server, passes.subscribe()));
        }
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut passes: watch::Receiver<Passes>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (generation, back) = (passes.borrow().generation, passes.clone());
    tokio::select! {
        biased;
        _ = passes.wait_for(|passes| passes.generation != generation) => {}
        () = copy(from_client, to_server, || true) => {}
        () = copy(from_server, to_client, || back.borrow().back) => {}
    }
}

/// Copies until one end is gone. What does not pass is read, and lost.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passes: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if passes() && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
