//! Whether the gateway lives, and whether it can answer.

use actix_web::HttpResponse;
use proto_msgs::RequestCode;
use serde_json::json;

use super::{Answer, Parts};
use crate::{caller::Caller, failure::Failure};

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

pub async fn version(_: Caller) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}
