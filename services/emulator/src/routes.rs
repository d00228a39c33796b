//! From a request to an answer: which host, which call, and how the answer is written.
//!
//! One port serves every host, told apart by the `Host` header, as Azure's front ends do. The framework's own router is
//! not used: every call must go through the same steps in the same order (see [`data_plane`]).

pub mod admin;
mod arm;
mod certificate_writes;
mod certificates;
pub mod data_plane;
mod key_use;
mod keys;
mod login;
mod page;
mod path;
mod secrets;

use std::{os::fd::OwnedFd, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::{BodySize, MessageBody},
    http::{StatusCode, header},
    web,
};
use serde_json::Value;

use crate::{error::ApiError, world::World};

/// Longest a call that is never answered is held; every client gives up before that.
const HANG_LIMIT: Duration = Duration::from_secs(600);

/// The socket below a connection, kept so that a fault can reset it.
pub struct Socket(pub OwnedFd);

/// An answer that is not yet written.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Option<Value>,
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body), headers: Vec::new() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let reply = Self { status: error.status, body: Some(error.body()), headers: Vec::new() };
        match error.retry_after {
            Some(seconds) => reply.header("Retry-After", seconds.to_string()),
            None => reply,
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Served {
    Reply(Reply),
    /// Nothing is ever answered.
    Hang,
    /// The TCP connection is reset.
    Reset,
}

impl<E: Into<Reply>> From<Result<Reply, E>> for Served {
    fn from(result: Result<Reply, E>) -> Self {
        Self::Reply(result.unwrap_or_else(Into::into))
    }
}

/// Answers one request of the TLS port.
pub async fn serve(request: HttpRequest, body: web::Bytes, world: web::Data<World>) -> HttpResponse {
    let latency = world.knobs.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let host = host(&request);
    let served = match host.as_str() {
        "login.localhost" => login::serve(&world, &request, &body),
        "management.localhost" => arm::serve(&world, &request, &body),
        host => match host.strip_suffix(".vault.localhost") {
            Some(name) => data_plane::serve(&world, name, &request, body).await,
            None => Served::Reply(unknown_host(host).into()),
        },
    };
    write(&world, &request, served).await
}

fn unknown_host(host: &str) -> ApiError {
    let message = format!(
        "The emulator does not serve `{host}`: it serves <vault>.vault.localhost, login.localhost and management.localhost."
    );
    ApiError::new(404, "HostNotFound", message)
}

/// The host a request is for, in lower case and without its port.
fn host(request: &HttpRequest) -> String {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri().host()).unwrap_or_default();
    host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase()
}

async fn write(world: &World, request: &HttpRequest, served: Served) -> HttpResponse {
    match served {
        Served::Reply(reply) => respond(world, request, reply),
        Served::Hang => {
            tokio::time::sleep(HANG_LIMIT).await;
            reset(request)
        }
        Served::Reset => reset(request),
    }
}

fn respond(world: &World, request: &HttpRequest, reply: Reply) -> HttpResponse {
    let mut response = builder(reply.status);
    response
        .insert_header((header::DATE, world.clock.http_date()))
        .insert_header(("x-ms-request-id", uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::PRAGMA, "no-cache"))
        .insert_header((header::EXPIRES, "-1"))
        .insert_header((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000;includeSubDomains"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if let Some(id) = request.headers().get("x-ms-client-request-id") {
        response.insert_header(("x-ms-client-request-id", id.clone()));
    }
    for (name, value) in reply.headers {
        response.insert_header((name, value));
    }
    match reply.body {
        Some(body) => response.content_type("application/json; charset=utf-8").body(body.to_string()),
        None => response.finish(),
    }
}

fn builder(status: u16) -> HttpResponseBuilder {
    // Every status here is one of ours, or was checked when a fault was set.
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Ends the connection with a reset: the socket is told not to linger, and a body that fails makes the server drop it
/// before anything was sent.
fn reset(request: &HttpRequest) -> HttpResponse {
    if let Some(socket) = request.conn_data::<std::sync::Arc<Socket>>()
        && let Err(error) = socket2::SockRef::from(&socket.0).set_linger(Some(Duration::ZERO))
    {
        tracing::warn!(%error, "connection is closed instead of reset");
    }
    HttpResponse::Ok().body(Broken)
}

/// A body that fails before its first byte.
struct Broken;

impl MessageBody for Broken {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<web::Bytes, Self::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

/// The query of a request, decoded, with names in lower case.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
        Self(pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The `Authorization` header.
pub fn authorization(request: &HttpRequest) -> Option<&str> {
    request.headers().get(header::AUTHORIZATION)?.to_str().ok()
}
