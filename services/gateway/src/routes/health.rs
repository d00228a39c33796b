//! Whether the gateway lives, whether it can answer, and what.

use actix_web::HttpResponse;
use proto_msgs::RequestCode;
use serde_json::json;

use super::{Answer, Parts};
use crate::{caller::Bare, failure::Failure, openapi};

pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Ready: NATS is connected and its streams answer.
pub async fn readyz(parts: Parts) -> Answer {
    if !parts.broker.bus.is_connected() {
        let fix = "check that NATS runs and can be reached";
        return Err(Failure::new(RequestCode::Unavailable, "NATS is not connected", fix));
    }
    parts.broker.configs().list().await?;
    Ok(HttpResponse::Ok().json(json!({ "status": "ok" })))
}

pub async fn version(_: Bare) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// Nobody needs a token to read how the API is called.
pub async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi::document())
}
