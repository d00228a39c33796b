//! Which path goes where.

mod configs;
mod control;
mod decisions;
mod edits;
mod errors;
mod events;
mod health;
mod plan;
mod records;
mod runs;

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};
use broker::Entry;
use proto_msgs::{Config, ConfigId, RequestCode};

use crate::{
    GatewayParts,
    endpoint::{Content, Draft, Endpoint, delete, get, post, put},
    failure::Failure,
};

type Parts = web::Data<GatewayParts>;
type Answer = Result<HttpResponse, Failure>;

/// What every list takes.
const PAGING: &[&str] = &["query-limit", "query-cursor"];

/// Every endpoint, in the order of the document. A new one is a line here, its handler, and the schema of what it gives.
pub fn endpoints() -> Vec<Endpoint> {
    [about(), of_configs(), of_runs(), of_records()].into_iter().flatten().collect()
}

fn about() -> Vec<Endpoint> {
    use Content::{Json, Markdown, OpenApi};
    vec![
        get("/livez", "isAlive", health::livez).gives(Json("Health"), "The process lives").public(),
        get("/readyz", "isReady", health::readyz).gives(Json("Health"), "The gateway can answer").public(),
        get("/openapi.json", "getDocument", health::openapi).gives(OpenApi, "This document").public(),
        get("/docs/errors", "getErrorPages", errors::pages).gives(Markdown, "What each code means").public(),
        get("/api/v1/version", "getVersion", health::version).gives(Json("Version"), "The gateway's version"),
        get("/api/v1/errors/{code}", "explain", errors::explain)
            .gives(Json("Explanation"), "What one code or status means"),
        get("/api/v1/control", "getControl", control::get)
            .gives(Json("ControlView"), "Whether everything is stopped, and who did it")
            .with_etag(),
        post("/api/v1/control/stop-all", "stopAll", control::stop_all)
            .gives(Json("ControlView"), "No config starts anything, and within seconds no write begins")
            .status(200)
            .optional_body("ReasonBody")
            .takes(&["header-If-Match"])
            .with_etag(),
        post("/api/v1/control/resume-all", "resumeAll", control::resume_all)
            .gives(Json("ControlView"), "All configs go on, but those that are paused")
            .status(200)
            .optional_body("ReasonBody")
            .takes(&["header-If-Match"])
            .with_etag(),
    ]
}

fn of_configs() -> Vec<Endpoint> {
    use Content::{Json, WebSocket};
    const CONFIGS: &str = "/api/v1/configs";
    const CONFIG: &str = "/api/v1/configs/{config}";
    vec![
        get(CONFIGS, "listConfigs", configs::list).gives(Json("ConfigPage"), "All configs, by name").takes(PAGING),
        post(CONFIGS, "createConfig", configs::create)
            .gives(Json("ConfigView"), "A new config; it runs at once, unless its schedule is manual")
            .status(201)
            .body("ConfigSpec")
            .with_etag(),
        get(CONFIG, "getConfig", configs::get).gives(Json("ConfigView"), "A config and how it fares").with_etag(),
        put(CONFIG, "editConfig", edits::replace)
            .gives(Json("ConfigView"), "The config with another spec, for the same two vaults")
            .body("ConfigSpec")
            .takes(&["header-If-Match-required", "query-reason"])
            .with_etag(),
        delete(CONFIG, "deleteConfig", configs::delete)
            .gives(Json("Accepted"), "The config ends and its records go; no vault is touched")
            .takes(&["header-If-Match"]),
        post("/api/v1/configs/{config}/pause", "pauseConfig", edits::pause)
            .gives(Json("ConfigView"), "The config keeps its state and starts nothing")
            .status(200)
            .optional_body("ReasonBody")
            .takes(&["header-If-Match"])
            .with_etag(),
        post("/api/v1/configs/{config}/resume", "resumeConfig", edits::resume)
            .gives(Json("ConfigView"), "A paused config goes on")
            .status(200)
            .optional_body("ReasonBody")
            .takes(&["header-If-Match"])
            .with_etag(),
        get("/api/v1/configs/{config}/plan", "getPlan", plan::get)
            .gives(Json("PlanPage"), "What the next run would do, item by item; both vaults are listed for it")
            .takes(PAGING),
        post("/api/v1/configs/{config}/deletes/release", "releaseDeletes", decisions::release_deletes)
            .gives(Json("Done"), "The held deletes, as they were listed, are carried out")
            .status(200)
            .body("ReleaseBody"),
        get("/api/v1/configs/{config}/events", "followEvents", events::follow)
            .gives(WebSocket("Event"), "What happens to a config, as it happens")
            .status(101)
            .takes(&["query-after"]),
    ]
}

fn of_runs() -> Vec<Endpoint> {
    use Content::Json;
    vec![
        post("/api/v1/configs/{config}/sync", "syncConfig", configs::sync)
            .gives(Json("Accepted"), "A run over all records"),
        post("/api/v1/configs/{config}/expand", "expandConfig", configs::expand)
            .gives(Json("Accepted"), "Both vaults are listed again"),
        get("/api/v1/configs/{config}/runs", "listRuns", runs::list)
            .gives(Json("RunPage"), "Runs, newest first")
            .takes(PAGING),
        get("/api/v1/configs/{config}/runs/{run}", "getRun", runs::get).gives(Json("Run"), "One run"),
    ]
}

fn of_records() -> Vec<Endpoint> {
    use Content::Json;
    let decided = |draft: Draft, summary| draft.gives(Json("Done"), summary).status(200);
    vec![
        get("/api/v1/configs/{config}/records", "listRecords", records::list)
            .gives(Json("RecordPage"), "Records, by type and name, and the hash that stands for all that match")
            .takes(&["query-limit", "query-cursor", "query-status", "query-type", "query-name"]),
        decided(
            post("/api/v1/configs/{config}/records/leave", "leaveRecords", decisions::leave_all),
            "Leave for all records that match, as they were listed",
        )
        .body("LeaveAllBody"),
        decided(
            post("/api/v1/configs/{config}/records/enable", "enableRecords", decisions::enable_all),
            "All records that match, as they were listed, are replicated again",
        )
        .body("SetBody"),
        decided(
            post("/api/v1/configs/{config}/records/disable", "disableRecords", decisions::disable_all),
            "All records that match, as they were listed, are left alone",
        )
        .body("SetBody"),
        get("/api/v1/configs/{config}/records/{type}/{name}", "getRecord", records::get)
            .gives(Json("RecordView"), "One record with its history"),
        post("/api/v1/configs/{config}/records/{type}/{name}/sync", "syncRecord", records::sync)
            .gives(Json("Accepted"), "One record is synced at once"),
        decided(
            post("/api/v1/configs/{config}/records/{type}/{name}/leave", "leaveRecord", decisions::leave),
            "Leave for one record, as it was seen: its conflict is acknowledged, its drift corrected or accepted",
        )
        .body("LeaveBody"),
        decided(
            post("/api/v1/configs/{config}/records/{type}/{name}/enable", "enableRecord", decisions::enable),
            "One record is replicated again",
        ),
        decided(
            post("/api/v1/configs/{config}/records/{type}/{name}/disable", "disableRecord", decisions::disable),
            "One record is left alone until somebody enables it",
        ),
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
