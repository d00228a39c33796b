//! Starting and stopping: sockets, certificates, items, and the tasks around them.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::AsFd,
    sync::{Arc, mpsc},
    time::Duration,
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{App, HttpServer, dev::ServerHandle, rt::net::TcpStream, web};
use tokio::task::JoinHandle;

use crate::{
    Settings,
    clock::Clock,
    error::EmulatorError,
    faults::MAX_DELAY_MS,
    keep::{Keeper, Kept},
    leaving,
    routes::{self, Socket},
    world::{Knobs, World},
};

/// Threads that answer; the arithmetic has its own.
const THREADS: usize = 2;
/// Azure's largest requests are restores of keys with hundreds of versions.
const BODY_MAX: usize = 32 * 1_024 * 1_024;
/// Connections waiting to be accepted: a fleet of workers connects at once.
const BACKLOG: u32 = 1_024;
/// Seconds that open connections get at the end.
const GRACE_S: u64 = 1;
/// Longer than any client keeps an idle connection: one that is closed while a request is on its way fails a call that
/// Azure would have answered.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// A fleet that connects at once to a busy machine gets its turn.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);
/// None: clients open connections ahead of need, and a 408 on one that is still idle answers a question nobody asked.
const REQUEST_LIMIT: Duration = Duration::ZERO;

/// An emulator that answers.
pub struct Running {
    pub addr: SocketAddr,
    pub admin_addr: Option<SocketAddr>,
    /// What clients must trust.
    pub ca_pem: String,
    world: web::Data<World>,
    servers: Vec<(ServerHandle, JoinHandle<std::io::Result<()>>)>,
    keeping: Option<Keeping>,
    leaving: JoinHandle<()>,
}

/// The task that writes the state file; it writes once more, and ends, when `stop` is dropped.
struct Keeping {
    stop: mpsc::Sender<()>,
    task: JoinHandle<Result<(), EmulatorError>>,
}

impl Running {
    /// Ends all listeners and keeps what changed last.
    pub async fn stop(self) -> Result<(), EmulatorError> {
        self.leaving.abort();
        for (handle, server) in self.servers {
            handle.stop(true).await;
            // A server that broke down has said so in the log.
            let _ = server.await;
        }
        // A call that outlived its client ends with the server's threads at the latest.
        self.world.calls.close();
        self.world.calls.wait().await;
        match self.keeping {
            None => Ok(()),
            Some(Keeping { stop, task }) => {
                drop(stop);
                task.await.map_err(|error| EmulatorError::Serve(error.into()))?
            }
        }
    }
}

/// Makes what the estate lists, and listens.
pub async fn start(settings: Settings) -> Result<Running, EmulatorError> {
    if let Some(admin) = settings.admin_listen.filter(|admin| !admin.ip().is_loopback()) {
        return Err(EmulatorError::AdminNotLoopback(admin));
    }
    if settings.latency > Duration::from_millis(MAX_DELAY_MS) {
        return Err(EmulatorError::LatencyTooLong(settings.latency));
    }
    let listener = bind(settings.listen)?;
    let admin = settings.admin_listen.map(bind).transpose()?;
    let addr = address(&listener, settings.listen)?;
    let (estate, state_file) = (settings.estate.clone(), settings.state_file.clone());
    let kept = tokio::task::spawn_blocking(move || Kept::load(state_file.as_deref(), &estate, Clock::new().now()));
    let Kept { keyring, mut vaults } = kept.await.map_err(|error| EmulatorError::Serve(error.into()))??;
    let knobs = Knobs::new(settings.latency, settings.limits);
    let world = World::new(&settings.estate, keyring.clone(), knobs, addr.port())?;
    for vault in &world.vaults {
        if let Some(state) = vaults.remove(&vault.name.to_ascii_lowercase()) {
            *vault.state.lock() = state;
        }
    }
    let world = web::Data::new(world);
    let tls = keyring.ca.server_config(world.clock.host())?;
    let ca_pem = keyring.ca.certificate_pem.clone();
    if let Some(path) = &settings.ca_out {
        std::fs::write(path, &ca_pem).map_err(|source| EmulatorError::Write { path: path.clone(), source })?;
    }
    let mut servers = vec![serve_tls(listener, addr, tls, world.clone())?];
    let mut admin_addr = None;
    if let Some(listener) = admin {
        let addr = address(&listener, addr)?;
        servers.push(serve_admin(listener, addr, world.clone())?);
        admin_addr = Some(addr);
    }
    let keeper = |path| Keeper::new(path, world.clone(), &keyring, &vaults).and_then(keep);
    let keeping = settings.state_file.map(keeper).transpose()?;
    let leaving = spawn(leaving::see_off(leaving::of(&settings.estate), world.clone()));
    Ok(Running { addr, admin_addr, ca_pem, world, servers, keeping, leaving })
}

fn keep(mut keeper: Keeper) -> Result<Keeping, EmulatorError> {
    // What was made now is kept from now on.
    keeper.write()?;
    let (stop, stopped) = mpsc::channel();
    let task = tokio::task::spawn_blocking(move || keeper.follow(&stopped));
    Ok(Keeping { stop, task })
}

fn bind(addr: SocketAddr) -> Result<TcpListener, EmulatorError> {
    let listener = TcpListener::bind(addr).map_err(|source| EmulatorError::Listen { addr, source })?;
    listener.set_nonblocking(true).map_err(|source| EmulatorError::Listen { addr, source })?;
    Ok(listener)
}

fn address(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, EmulatorError> {
    listener.local_addr().map_err(|source| EmulatorError::Listen { addr: asked, source })
}

/// Starts a task that [`Running`] holds and ends.
#[expect(clippy::disallowed_methods, reason = "the handle is kept, and waited for at the end")]
fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(task)
}

type Server = (ServerHandle, JoinHandle<std::io::Result<()>>);

fn serve_tls(
    listener: TcpListener,
    addr: SocketAddr,
    tls: rustls::ServerConfig,
    world: web::Data<World>,
) -> Result<Server, EmulatorError> {
    let app = move || {
        App::new()
            .app_data(world.clone())
            .app_data(web::PayloadConfig::new(BODY_MAX))
            .default_service(web::to(routes::serve))
    };
    let server = HttpServer::new(app)
        .on_connect(|connection, data| {
            let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
            if let Ok(socket) = stream.get_ref().0.as_fd().try_clone_to_owned() {
                data.insert(Arc::new(Socket(socket)));
            }
        })
        .workers(THREADS)
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_LIMIT)
        .tls_handshake_timeout(HANDSHAKE_LIMIT)
        .backlog(BACKLOG)
        .shutdown_timeout(GRACE_S)
        .disable_signals()
        .listen_rustls_0_23(listener, tls)
        .map_err(|source| EmulatorError::Listen { addr, source })?
        .run();
    Ok((server.handle(), spawn(server)))
}

fn serve_admin(listener: TcpListener, addr: SocketAddr, world: web::Data<World>) -> Result<Server, EmulatorError> {
    let app = move || App::new().app_data(world.clone()).configure(routes::admin::configure);
    let server = HttpServer::new(app)
        .workers(1)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_LIMIT)
        .shutdown_timeout(GRACE_S)
        .disable_signals()
        .listen(listener)
        .map_err(|source| EmulatorError::Listen { addr, source })?
        .run();
    Ok((server.handle(), spawn(server)))
}

#[cfg(test)]
mod tests;
