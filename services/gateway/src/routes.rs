//! Which path goes where.

mod configs;
mod errors;
mod events;
mod health;
mod records;
mod runs;

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};
use broker::Entry;
use proto_msgs::{Config, ConfigId, RequestCode};

use crate::{
    GatewayParts,
    endpoint::{Content, Endpoint, delete, get, post},
    failure::Failure,
};

type Parts = web::Data<GatewayParts>;
type Answer = Result<HttpResponse, Failure>;

/// What every list takes.
const PAGING: &[&str] = &["query-limit", "query-cursor"];

/// Every endpoint, in the order of the document. A new one is a line here, its handler, and the schema of what it gives.
pub fn endpoints() -> Vec<Endpoint> {
    use Content::{Json, Markdown, OpenApi, WebSocket};
    const CONFIGS: &str = "/api/v1/configs";
    const CONFIG: &str = "/api/v1/configs/{config}";
    vec![
        get("/livez", "isAlive", health::livez).gives(Json("Health"), "The process lives").public(),
        get("/readyz", "isReady", health::readyz).gives(Json("Health"), "The gateway can answer").public(),
        get("/openapi.json", "getDocument", health::openapi).gives(OpenApi, "This document").public(),
        get("/docs/errors", "getErrorPages", errors::pages).gives(Markdown, "What each code means").public(),
        get("/api/v1/version", "getVersion", health::version).gives(Json("Version"), "The gateway's version"),
        get("/api/v1/errors/{code}", "explain", errors::explain)
            .gives(Json("Explanation"), "What one code or status means"),
        get(CONFIGS, "listConfigs", configs::list).gives(Json("ConfigPage"), "All configs, by name").takes(PAGING),
        post(CONFIGS, "createConfig", configs::create)
            .gives(Json("ConfigView"), "A new config; it runs at once, unless its schedule is manual")
            .status(201)
            .body("ConfigSpec")
            .with_etag(),
        get(CONFIG, "getConfig", configs::get).gives(Json("ConfigView"), "A config and how it fares").with_etag(),
        delete(CONFIG, "deleteConfig", configs::delete)
            .gives(Json("Accepted"), "The config ends and its records go; no vault is touched")
            .takes(&["header-If-Match"]),
        post("/api/v1/configs/{config}/sync", "syncConfig", configs::sync)
            .gives(Json("Accepted"), "A run over all records"),
        post("/api/v1/configs/{config}/expand", "expandConfig", configs::expand)
            .gives(Json("Accepted"), "Both vaults are listed again"),
        get("/api/v1/configs/{config}/runs", "listRuns", runs::list)
            .gives(Json("RunPage"), "Runs, newest first")
            .takes(PAGING),
        get("/api/v1/configs/{config}/runs/{run}", "getRun", runs::get).gives(Json("Run"), "One run"),
        get("/api/v1/configs/{config}/events", "followEvents", events::follow)
            .gives(WebSocket("Event"), "What happens to a config, as it happens")
            .status(101)
            .takes(&["query-after"]),
        get("/api/v1/configs/{config}/records", "listRecords", records::list)
            .gives(Json("RecordPage"), "Records, by type and name")
            .takes(&["query-limit", "query-cursor", "query-status", "query-type", "query-name"]),
        get("/api/v1/configs/{config}/records/{type}/{name}", "getRecord", records::get)
            .gives(Json("RecordView"), "One record with its history"),
        post("/api/v1/configs/{config}/records/{type}/{name}/sync", "syncRecord", records::sync)
            .gives(Json("Accepted"), "One record is synced at once"),
    ]
}

/// Puts every endpoint where it belongs. A path knows its methods, so that it can tell them to whoever uses another.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut routes: BTreeMap<&str, Vec<Route>> = BTreeMap::new();
    for endpoint in endpoints() {
        routes.entry(endpoint.path).or_default().push(endpoint.route);
    }
    for (path, routes) in routes {
        config.service(routes.into_iter().fold(web::resource(path), Resource::route));
    }
}

/// Answers where there is no endpoint.
pub async fn nothing_here(request: HttpRequest) -> Answer {
    Err(Failure::new(
        RequestCode::NotFound,
        format!("there is no {} {}", request.method(), request.path()),
        "the API is under /api/v1; /openapi.json has every endpoint",
    ))
}

/// The config of that id or name, unless it is deleted.
async fn find(parts: &GatewayParts, config: &str) -> Result<Entry<Config>, Failure> {
    let configs = parts.broker.configs();
    let found = match config.parse::<ConfigId>() {
        Ok(id) => configs.get(&id).await?,
        Err(_) => None,
    };
    let found = match found {
        Some(found) => Some(found),
        None => {
            let all = configs.list().await?;
            all.into_iter().find(|entry| !entry.envelope.body.deleted && entry.envelope.body.spec.name == config)
        }
    };
    found.filter(|entry| !entry.envelope.body.deleted).ok_or_else(|| {
        let fix = "`keyferry config list` shows ids and names";
        Failure::new(RequestCode::NotFound, format!("there is no config `{config}`"), fix)
    })
}
