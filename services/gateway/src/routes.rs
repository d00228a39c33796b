//! Which path goes where.

mod configs;
mod errors;
mod events;
mod health;
mod records;
mod runs;

use actix_web::{HttpRequest, HttpResponse, web};
use broker::Entry;
use proto_msgs::{Config, ConfigId, RequestCode};

use crate::{GatewayParts, failure::Failure};

type Parts = web::Data<GatewayParts>;
type Answer = Result<HttpResponse, Failure>;

/// Every endpoint.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(health::livez))
        .route("/readyz", web::get().to(health::readyz))
        .route("/docs/errors", web::get().to(errors::pages))
        .service(
            web::scope("/api/v1")
                .route("/version", web::get().to(health::version))
                .route("/errors/{code}", web::get().to(errors::explain))
                .route("/configs", web::get().to(configs::list))
                .route("/configs", web::post().to(configs::create))
                .route("/configs/{config}", web::get().to(configs::get))
                .route("/configs/{config}", web::delete().to(configs::delete))
                .route("/configs/{config}/sync", web::post().to(configs::sync))
                .route("/configs/{config}/expand", web::post().to(configs::expand))
                .route("/configs/{config}/runs", web::get().to(runs::list))
                .route("/configs/{config}/events", web::get().to(events::follow))
                .route("/configs/{config}/records", web::get().to(records::list))
                .route("/configs/{config}/records/{kind}/{name}", web::get().to(records::get))
                .route("/configs/{config}/records/{kind}/{name}/sync", web::post().to(records::sync)),
        );
}

/// Answers where there is no endpoint.
pub async fn nothing_here(request: HttpRequest) -> Answer {
    Err(Failure::new(
        RequestCode::NotFound,
        format!("there is no {} {}", request.method(), request.path()),
        "the API is under /api/v1; README.md lists its endpoints",
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

/// The query of a request, read strictly.
fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, Failure> {
    web::Query::<T>::from_query(request.query_string()).map(web::Query::into_inner).map_err(|error| {
        Failure::invalid(format!("the query cannot be read: {error}"), "compare it with the documentation")
    })
}
