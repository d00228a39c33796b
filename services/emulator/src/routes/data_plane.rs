//! A call to a vault, step by step: token, version, faults, firewall and role, limits, effect, count.
//!
//! The order is Azure's as far as it shows: who has no token learns nothing else, and what is throttled was allowed.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use serde::de::DeserializeOwned;

use crate::{
    Limits,
    auth::{Audience, Caller, bearer},
    counts::Ended,
    error::ApiError,
    faults::{Outcome, When},
    operation::Load,
    routes::{
        Query, Reply, Served, authorization, certificate_writes, certificates, key_use, keys,
        path::{self, Route},
        secrets,
    },
    state::collection::Moment,
    throttle::{Bucket, Throttle},
    vault::{Named, Vault},
    world::World,
};

/// All answered alike.
const API_VERSIONS: &[&str] = &["7.4", "7.5", "7.6", "7.6-preview.2", "2025-06-01-preview", "2025-07-01", "2026-04-01"];

/// One call, authorised.
pub struct Call<'a> {
    pub world: &'a web::Data<World>,
    pub vault: &'a std::sync::Arc<Vault>,
    pub route: Route,
    pub query: Query,
    pub body: web::Bytes,
}

impl Call<'_> {
    /// The item the path names.
    pub fn name(&self) -> &str {
        self.route.name.as_deref().unwrap_or_default()
    }

    /// The version the path names; none: the newest.
    pub fn version(&self) -> Option<&str> {
        self.route.version.as_deref()
    }

    pub fn moment(&self) -> Moment {
        self.world.moment(self.vault)
    }

    /// The body, read.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // What went wrong is named, what was sent is not: it may be a value.
        serde_json::from_slice(&self.body).map_err(|error| {
            let place = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Eof if self.body.is_empty() => "The request body is missing".to_owned(),
                serde_json::error::Category::Data => {
                    format!("A property has an invalid value or is missing, near line {}, column {}", place.0, place.1)
                }
                serde_json::error::Category::Io
                | serde_json::error::Category::Syntax
                | serde_json::error::Category::Eof => {
                    format!("The request body is not JSON, near line {}, column {}", place.0, place.1)
                }
            };
            ApiError::bad_parameter(format!("{what}.\r\n"))
        })
    }
}

/// Answers a request to a vault's host.
pub async fn serve(world: &web::Data<World>, name: &str, request: &HttpRequest, body: web::Bytes) -> Served {
    let Some(vault) = world.vault(name) else {
        let message = format!("There is no vault `{name}` in the estate.");
        return Served::Reply(ApiError::new(404, "VaultNotFound", message).into());
    };
    let route = path::parse(request.method(), request.path());
    let caller = match token(world, request) {
        Ok(caller) => caller,
        Err(error) => {
            if let Some(route) = &route {
                vault.counts.ended(route.operation, Ended::Challenged);
            }
            let challenge = world.tokens.authority().challenge(Audience::Vault);
            return Served::Reply(Reply::from(error).header("WWW-Authenticate", challenge));
        }
    };
    let Some(route) = route else {
        let message = format!("The request {} {} is not supported.", request.method(), request.path());
        return Served::Reply(ApiError::new(404, "NotFound", message).into());
    };
    let operation = route.operation;
    let call = Call { world, vault, route, query: Query::of(request), body };
    let served = with_faults(&call, caller, request).await;
    vault.counts.ended(
        operation,
        match &served {
            Served::Reply(reply) => Ended::of_status(reply.status),
            Served::Hang | Served::Reset => Ended::NoAnswer,
        },
    );
    match served {
        Served::Reply(reply) => Served::Reply(
            reply
                .header("x-ms-keyvault-region", vault.region.name)
                .header("x-ms-keyvault-service-version", "1.9.2300.1")
                .header("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
        ),
        Served::Hang | Served::Reset => served,
    }
}

fn token(world: &World, request: &HttpRequest) -> Result<Caller, ApiError> {
    let token = bearer(authorization(request))?;
    world.tokens.check(token, Audience::Vault, world.clock.host())
}

async fn with_faults(call: &Call<'_>, caller: Caller, request: &HttpRequest) -> Served {
    match call.world.faults.hit(call.route.operation, &call.vault.name, call.name()) {
        None => answer(call, caller, request).await.into(),
        Some((When::Before, Outcome::Delay { ms })) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            answer(call, caller, request).await.into()
        }
        Some((When::After, Outcome::Delay { ms })) => {
            let answered = answer(call, caller, request).await;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            answered.into()
        }
        Some((When::Before, outcome)) => fail(outcome),
        Some((When::After, outcome)) => match answer(call, caller, request).await {
            // What would have been refused anyway had no effect to hide.
            Err(error) => Served::Reply(error.into()),
            Ok(_) => fail(outcome),
        },
    }
}

/// What a fault does instead of the answer.
pub fn fail(outcome: Outcome) -> Served {
    match outcome {
        Outcome::Timeout => Served::Hang,
        Outcome::Reset => Served::Reset,
        // A call to a host without effects has nothing to be late for.
        Outcome::Delay { .. } => Served::Reply(ApiError::internal("delays are for calls to vaults").into()),
        Outcome::Status { status, code, inner, message, retry_after } => {
            let (known, text) = default_fault(status);
            let code = code.unwrap_or_else(|| known.to_owned());
            let mut error = ApiError::new(status, code, message.unwrap_or_else(|| text.to_owned()));
            error.inner = inner;
            error.retry_after = retry_after;
            Served::Reply(error.into())
        }
    }
}

/// What Azure says with a status, if a fault does not say it itself.
const fn default_fault(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("BadParameter", "The request is not valid.\r\n"),
        401 => ("Unauthorized", "AKV10000: Request is missing a Bearer or PoP token."),
        403 => ("Forbidden", "Access denied.\r\n"),
        404 => ("NotFound", "The resource was not found."),
        409 => ("Conflict", "There was a conflict."),
        429 => (
            "Throttled",
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
        ),
        503 => ("ServiceUnavailable", "The service is temporarily unavailable."),
        504 => ("GatewayTimeout", "The gateway did not receive a response in time."),
        _ => ("InternalServerError", "An unexpected error occurred.\r\n"),
    }
}

async fn answer(call: &Call<'_>, caller: Caller, request: &HttpRequest) -> Result<Reply, ApiError> {
    check_version(&call.query)?;
    call.route.check()?;
    let world = call.world;
    let identity =
        world.identities.get(caller.identity).ok_or_else(|| ApiError::internal("a caller without identity"))?;
    let address = request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    let named = Named { caller, identity, authority: world.tokens.authority(), address: &address };
    call.vault.authorize(&named, call.route.operation, call.route.name.as_deref())?;
    throttle(call)?;
    let reply = execute(call).await?;
    call.vault.counts.applied(call.route.operation);
    Ok(reply)
}

fn check_version(query: &Query) -> Result<(), ApiError> {
    match query.get("api-version") {
        Some(version) if API_VERSIONS.contains(&version) => Ok(()),
        None => Err(ApiError::bad_parameter("The api-version query parameter is missing.")),
        Some(version) => Err(ApiError::bad_parameter(format!(
            "The specified api-version {version} is not supported. Supported versions are: {}.",
            API_VERSIONS.join(", ")
        ))),
    }
}

fn throttle(call: &Call<'_>) -> Result<(), ApiError> {
    if call.world.knobs.limits() == Limits::Off {
        return Ok(());
    }
    let bucket = match call.route.operation.facts().load {
        Load::Creating => Bucket::Creating,
        Load::Other | Load::Management => Bucket::Other,
        Load::KeyCreate => keys::creation_bucket(call),
        Load::KeyUse => key_use::bucket(call),
    };
    let Some(subscription) = call.world.subscriptions.get(call.vault.subscription) else { return Ok(()) };
    let now = call.world.clock.monotonic_ms();
    Throttle::take(&call.vault.throttle, &subscription.throttle, bucket, now).map_err(|wait_ms| {
        let (code, message) = default_fault(429);
        let mut error = ApiError::new(429, code, message);
        error.retry_after = Some(wait_ms.div_ceil(1_000).max(1));
        error
    })
}

async fn execute(call: &Call<'_>) -> Result<Reply, ApiError> {
    use crate::operation::Category;
    match call.route.operation.facts().category {
        Category::Secrets => secrets::execute(call).await,
        Category::Keys => keys::execute(call).await,
        Category::Certificates if certificate_writes::is_write(call.route.operation) => {
            certificate_writes::execute(call).await
        }
        Category::Certificates => certificates::execute(call),
    }
}
