//! Who calls: a bearer token, known by its hash, with a role. And whether they say more than they should.

use std::{future::Future, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::ErrorRequestTimeout,
    http::{
        Method,
        header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING},
    },
    web,
};
use proto_msgs::{CorrelationId, RequestCode, api::ApiRole, config::Change};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    GatewayParts,
    failure::{Failure, correlation},
};

/// The largest body comes in this over any line that a console or a script has; one that stays away holds nothing longer.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Longest reason, in characters: what fits a line of the audit log.
const REASON_MAX: usize = 500;

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

    /// What this caller changes now, for the store and the audit log.
    pub fn change(&self, parts: &GatewayParts, action: &str, reason: Option<String>) -> Result<Change, Failure> {
        let is_good = |reason: &String| reason.chars().count() <= REASON_MAX && !reason.chars().any(char::is_control);
        if !reason.as_ref().is_none_or(is_good) {
            let fix = format!("give at most {REASON_MAX} printable characters, in one line");
            return Err(Failure::invalid("reason: it is too long, or has control characters", fix));
        }
        Ok(Change {
            actor: self.name.clone(),
            action: action.to_owned(),
            reason: reason.filter(|reason| !reason.trim().is_empty()),
            correlation_id: self.correlation,
            at: parts.origin.now(),
        })
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

/// Somebody with a good token whose request says nothing beyond its path. Anything more would be passed over in
/// silence, so it is refused.
#[derive(Debug, Clone)]
pub struct Bare(pub Caller);

impl FromRequest for Bare {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let said = with_body(request, payload);
        Box::pin(async move {
            match said.await? {
                (caller, Ok(body)) if body.is_empty() => Ok(Self(caller)),
                (_, Ok(_) | Err(_)) => Err(Failure::invalid("this takes no body", "send the request without one")),
            }
        })
    }
}

/// Somebody with a good token whose request says one thing beyond its path: its body.
#[derive(Debug, Clone)]
pub struct Saying {
    caller: Caller,
    body: web::Bytes,
}

impl FromRequest for Saying {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let said = with_body(request, payload);
        Box::pin(async move {
            let (caller, body) = said.await?;
            Ok(Self { caller, body: body? })
        })
    }
}

/// A body that came in time.
pub struct Body(pub web::Bytes);

impl FromRequest for Body {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body(request, payload);
        Box::pin(async move { Ok(Self(body.await?)) })
    }
}

fn body(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<web::Bytes, actix_web::Error>> + use<> {
    let body = web::Bytes::from_request(request, payload);
    async move {
        let late = |_| ErrorRequestTimeout("the body did not come as it was announced");
        tokio::time::timeout(BODY_WITHIN, body).await.map_err(late)?
    }
}

/// Who sends a request without a query, and its body, if that can be read.
fn with_body(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<(Caller, Result<web::Bytes, actix_web::Error>), Failure>> + use<> {
    let (request, body) = (request.clone(), body(request, payload));
    async move {
        let caller = of(&request).await?;
        query::<Nothing>(&request)?;
        Ok((caller, body.await))
    }
}

impl Saying {
    /// Who says it, and what, read strictly; refuses a caller with a lower role first. Nothing at all is read as `null`,
    /// which only a body that may be left out takes.
    pub fn with<T: DeserializeOwned>(self, role: ApiRole) -> Result<(Caller, T), Failure> {
        self.caller.needs(role)?;
        let text: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        let body = read(text).map_err(|error| {
            let misread = format!("the body cannot be read: {error}");
            let detail = if self.body.is_empty() { "the body is missing".to_owned() } else { misread };
            Failure::invalid(detail, "/openapi.json has the body of each path")
        })?;
        Ok((self.caller, body))
    }
}

/// Keys of bodies under which there are keys again.
const BLOCKS: [&str; 4] = ["source", "target", "rule", "behaviour"];

/// Reads a body; else what is wrong with it. A list is not taken for keys and values in the order in which this program
/// happens to know them.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let body: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let of_block = BLOCKS.into_iter().find(|key| body[*key].is_array());
    match body.is_array().then_some("the body").or(of_block) {
        Some(place) => Err(format!("{place}: keys and values belong here, in braces, and this is a list")),
        None => serde_json::from_slice(text).map_err(|error| error.to_string()),
    }
}

/// The query of a path that has none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The query of a request, read strictly.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Failure> {
    web::Query::<T>::from_query(request.query_string()).map(web::Query::into_inner).map_err(|error| {
        Failure::invalid(format!("the query cannot be read: {error}"), "/openapi.json has the parameters of each path")
    })
}

/// Whether a body is announced.
fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
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
    if [Method::GET, Method::HEAD].contains(request.method()) && has_body(request) {
        return Err(Failure::invalid("this takes no body", "send the request without one"));
    }
    Ok(Caller { name: known.name, role: known.role, correlation })
}

#[cfg(test)]
mod tests {
    use actix_web::{http::StatusCode, test::TestRequest};
    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stays_away_is_waited_for_no_longer_than_it_may_take() {
        let request = TestRequest::post().to_http_request();
        let mut payload = Payload::Stream { payload: futures::stream::pending().boxed_local() };
        let error = Body::from_request(&request, &mut payload).await.err().unwrap();
        assert_eq!(error.as_response_error().status_code(), StatusCode::REQUEST_TIMEOUT);
    }
}
