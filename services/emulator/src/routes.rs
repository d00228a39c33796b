//! From a request to an answer: which host, which call, and how the answer is written.
//!
//! One port serves every host, told apart by the `Host` header, as Azure's front ends do. The framework's own router is
//! not used: every call must go through the same steps in the same order (see [`data_plane`]).

pub mod admin;
mod arm;
mod certificate_writes;
mod certificates;
mod charge;
pub mod data_plane;
mod fault;
mod key_use;
mod keys;
mod login;
mod page;
mod path;
mod request;
mod secrets;

use std::{os::fd::OwnedFd, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::{BodySize, MessageBody},
    http::{StatusCode, header},
    web,
};
use serde_json::Value;

pub use self::request::{Query, Request};
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

/// Answers one request of the TLS port.
///
/// A task of the world's serves it, not the connection's handler, which ends with the connection: Azure completes what it
/// has received, whether or not somebody still waits for the answer.
pub async fn serve(
    http: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    world: web::Data<World>,
) -> HttpResponse {
    let body = match body {
        Ok(body) => body,
        Err(error) => return respond(&world, &http, unreadable(&error).into()),
    };
    let (request, shared) = (Request::new(&http, body), world.clone());
    let served = world.calls.spawn(async move { answer(&shared, request).await }).await;
    let served = served.unwrap_or_else(|_| Served::Reply(ApiError::internal("the call broke off").into()));
    write(&world, &http, served).await
}

fn unreadable(error: &actix_web::Error) -> ApiError {
    let status = error.as_response_error().status_code().as_u16();
    let code = if status == 413 { "RequestEntityTooLarge" } else { "BadParameter" };
    ApiError::new(status, code, format!("The request body cannot be read: {error}"))
}

async fn answer(world: &web::Data<World>, request: Request) -> Served {
    let latency = world.knobs.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if let Err(refused) = request.check() {
        return Served::Reply(refused.into());
    }
    match request.host.as_str() {
        "login.localhost" => login::serve(world, &request).await,
        "management.localhost" => arm::serve(world, &request).await,
        host => match host.strip_suffix(".vault.localhost") {
            Some(name) => data_plane::serve(world, name, &request).await,
            None => Served::Reply(unknown_host(host).into()),
        },
    }
}

fn unknown_host(host: &str) -> ApiError {
    let message = format!(
        "The emulator does not serve `{host}`: it serves <vault>.vault.localhost, login.localhost and management.localhost."
    );
    ApiError::new(404, "HostNotFound", message)
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
