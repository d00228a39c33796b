//! Who calls: a bearer token, known by its hash, with a role.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web};
use proto_msgs::{CorrelationId, RequestCode, api::ApiRole};
use sha2::{Digest, Sha256};

use crate::{
    GatewayParts,
    failure::{Failure, correlation},
};

/// Somebody with a good token.
#[derive(Debug, Clone)]
pub struct Caller {
    pub name: String,
    pub role: ApiRole,
    pub correlation: CorrelationId,
}

impl Caller {
    /// Refuses a caller with a lower role.
    pub fn needs(&self, role: ApiRole) -> Result<(), Failure> {
        if self.role >= role {
            return Ok(());
        }
        let word = match role {
            ApiRole::Viewer => "viewer",
            ApiRole::Operator => "operator",
            ApiRole::Admin => "admin",
        };
        Err(Failure::new(
            RequestCode::Forbidden,
            format!("the token {} may not do this", self.name),
            format!("use a token with the role {word}"),
        ))
    }
}

impl FromRequest for Caller {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { of(&request).await })
    }
}

async fn of(request: &HttpRequest) -> Result<Caller, Failure> {
    let refused = |detail: &str| {
        let fix = "send `Authorization: Bearer TOKEN`; `keyferry token create` makes one";
        Failure::new(RequestCode::Unauthenticated, detail, fix)
    };
    let internal = || Failure::new(RequestCode::Internal, "the gateway is not set up", "restart it");
    let parts = request.app_data::<web::Data<GatewayParts>>().ok_or_else(internal)?;
    let correlation = correlation(request).ok_or_else(internal)?;
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(refused("the request has no bearer token")),
    };
    let hash = hex::encode(Sha256::digest(token.as_bytes()));
    let known = parts.broker.tokens().find(&hash).await?;
    let known = known.ok_or_else(|| refused("the token is not known, or was taken back"))?;
    Ok(Caller { name: known.name, role: known.role, correlation })
}
