//! The gateway: the REST API and the event stream, for the command line, the console and other programs.
//!
//! It keeps nothing: configs, tokens and the log are read from NATS, and what only a config's coordinator knows is asked
//! of it. Invariants: every answer carries a correlation id; every refusal is a problem with a code and a fix; no call
//! waits longer than its deadline. Deliberately absent: an Azure identity, values, TLS (a proxy's job), the console.

mod asking;
mod caller;
mod endpoint;
mod failure;
mod if_match;
mod openapi;
mod paging;
mod routes;
mod views;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
};

use actix_web::{App, HttpServer, middleware::from_fn, web};
use broker::Broker;
use runtime::{Origin, Shutdown};
use serde::Deserialize;

/// The largest request: a config with 5,000 names has well under this.
const BODY_MAX: usize = 1_000_000;
/// Seconds that open requests get at the end.
const GRACE_S: u64 = 5;

/// How a gateway is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Port 0: any that is free.
    pub listen: SocketAddr,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8_080)) }
    }
}

/// What a gateway works with. Cheap to clone.
#[derive(Clone)]
pub struct GatewayParts {
    pub broker: Broker,
    pub origin: Origin,
}

/// Why a gateway could not serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("{addr} cannot be listened on: choose another address with --listen, or stop what listens there")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("the server ended with an error")]
    Serve(#[source] std::io::Error),
}

/// A gateway that holds its port and does not answer yet.
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    parts: GatewayParts,
}

/// Takes the port.
pub fn bind(settings: GatewaySettings, parts: GatewayParts) -> Result<Bound, GatewayError> {
    let failed = |source| GatewayError::Listen { addr: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, addr, parts })
}

impl Bound {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers until told to leave.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), GatewayError> {
        let (addr, parts) = (self.addr, self.parts);
        let app = move || {
            App::new()
                .app_data(web::Data::new(parts.clone()))
                .app_data(web::PayloadConfig::new(BODY_MAX))
                .wrap(from_fn(failure::as_problem))
                .configure(routes::configure)
                .default_service(web::to(routes::nothing_here))
        };
        let server = HttpServer::new(app)
            .workers(2)
            .shutdown_timeout(GRACE_S)
            .disable_signals()
            .listen(self.listener)
            .map_err(|source| GatewayError::Listen { addr, source })?
            .run();
        let handle = server.handle();
        let mut server = pin!(server);
        tokio::select! {
            biased;
            ended = &mut server => {
                // Nobody asked for it: a process that serves nothing must not look alive.
                return Err(GatewayError::Serve(ended.err().unwrap_or_else(|| io::Error::other("it ended by itself"))));
            }
            () = shutdown.draining() => {}
        }
        let ((), ended) = futures::future::join(handle.stop(true), server).await;
        ended.map_err(GatewayError::Serve)
    }
}
