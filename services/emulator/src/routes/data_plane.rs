//! A call to a vault, step by step: token, version, faults, firewall and role, limits, effect, count.
//!
//! The order is Azure's as far as it shows: who has no token learns nothing else, and what is throttled was allowed.

use actix_web::web;
use serde::de::DeserializeOwned;

use crate::{
    Limits,
    auth::{Audience, Caller, bearer},
    counts::Ended,
    error::ApiError,
    faults::Sender,
    routes::{
        Query, Reply, Request, Served, certificate_writes, certificates, charge, fault, keys,
        path::{self, Route},
        secrets,
    },
    state::collection::Moment,
    throttle::Throttle,
    vault::{Named, Vault},
    world::World,
};

/// All answered alike.
const API_VERSIONS: &[&str] = &[
    "7.4",
    "7.5-preview.1",
    "7.5",
    "7.6-preview.1",
    "7.6-preview.2",
    "7.6",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-04-01",
];

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
pub async fn serve(world: &web::Data<World>, name: &str, request: &Request) -> Served {
    let Some(vault) = world.vault(name) else {
        let message = format!("There is no vault `{name}` in the estate.");
        return Served::Reply(ApiError::new(404, "VaultNotFound", message).into());
    };
    let route = path::parse(&request.method, request.path());
    let caller = match token(world, request) {
        Ok(caller) => caller,
        Err(error) => return challenge(world, vault, route.as_ref(), error).await,
    };
    let Some(route) = route else {
        let message = format!("The request {} {} is not supported.", request.method, request.path());
        return Served::Reply(ApiError::new(404, "NotFound", message).into());
    };
    let operation = route.operation;
    let call = Call { world, vault, route, query: request.query(), body: request.body.clone() };
    let hit = world.faults.hit(Sender::Caller, operation, &vault.name, call.name());
    let answer = async { answer(&call, caller, request).await.unwrap_or_else(Reply::from) };
    let served = fault::serve(hit, answer).await;
    vault.counts.ended(operation, Ended::of(&served));
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

fn token(world: &World, request: &Request) -> Result<Caller, ApiError> {
    let token = bearer(request.authorization())?;
    world.tokens.check(token, Audience::Vault, world.clock.host())
}

/// Tells a request without a good token where to get one.
async fn challenge(world: &World, vault: &Vault, route: Option<&Route>, error: ApiError) -> Served {
    let challenge = world.tokens.authority().challenge(Audience::Vault);
    let reply = Reply::from(error).header("WWW-Authenticate", challenge);
    let Some(route) = route else { return Served::Reply(reply) };
    let name = route.name.as_deref().unwrap_or_default();
    let hit = world.faults.hit(Sender::Probe, route.operation, &vault.name, name);
    let served = fault::serve(hit, std::future::ready(reply)).await;
    vault.counts.ended(route.operation, Ended::Challenged);
    served
}

async fn answer(call: &Call<'_>, caller: Caller, request: &Request) -> Result<Reply, ApiError> {
    check_version(&call.query)?;
    call.route.check()?;
    let world = call.world;
    let identity =
        world.identities.get(caller.identity).ok_or_else(|| ApiError::internal("a caller without identity"))?;
    let address = request.peer.map(|address| address.to_string()).unwrap_or_default();
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
    let Some(subscription) = call.world.subscriptions.get(call.vault.subscription) else { return Ok(()) };
    let now = call.world.clock.monotonic_ms();
    Throttle::take(&call.vault.throttle, &subscription.throttle, charge::of(call), now).map_err(|wait_ms| {
        let retry_after = Some(wait_ms.div_ceil(1_000).max(1));
        ApiError { retry_after, ..fault::throttled() }
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
