//! Refusals, and how each becomes a problem (RFC 9457) under the request's correlation id.

use std::fmt;

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{ALLOW, HeaderName, HeaderValue, WWW_AUTHENTICATE},
    },
    middleware::Next,
    web,
};
use broker::{BusError, LogError};
use proto_msgs::{CorrelationId, Problem, RequestCode, error::Refusal};

use crate::{BODY_MAX, GatewayParts, caller::BODY_WITHIN};

/// Given by the client, or made here; in every answer.
pub const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// A request that was refused.
#[derive(Debug)]
pub struct Failure(pub Refusal);

impl Failure {
    pub fn new(code: RequestCode, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self(Refusal::new(code, detail, fix))
    }

    pub fn invalid(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(RequestCode::InvalidInput, detail, fix)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let code = error.code();
        tracing::warn!(error = &error as &dyn std::error::Error, %code, "the log gave no answer");
        Self::new(code, error.to_string(), fix(code))
    }
}

impl From<BusError> for Failure {
    fn from(error: BusError) -> Self {
        let code = error.code();
        Self::new(code, error.to_string(), fix(code))
    }
}

/// What helps where nothing more is known than the code.
fn fix(code: RequestCode) -> &'static str {
    match code {
        RequestCode::RevisionMismatch => "read it again, and repeat the change",
        RequestCode::Unavailable => "try again in a few seconds; if it lasts, check that NATS and a coordinator run",
        RequestCode::InvalidInput => "compare the request with /openapi.json",
        RequestCode::NotFound => "check the path, and that what it names still exists",
        RequestCode::AlreadyExists => "choose another name",
        RequestCode::Unauthenticated => "send `Authorization: Bearer TOKEN`; `keyferry token create` makes one",
        RequestCode::Forbidden => "use a token with a higher role",
        RequestCode::Busy | RequestCode::RateLimited => "try again in a few seconds",
        RequestCode::NotValidated | RequestCode::StaleView | RequestCode::PlanChanged => {
            "look again, and repeat the request"
        }
        RequestCode::Internal => "look into the gateway's log under this correlation id",
    }
}

/// The request's correlation id.
pub fn correlation(request: &HttpRequest) -> Option<CorrelationId> {
    request.extensions().get::<CorrelationId>().copied()
}

/// Gives every request a correlation id, and every refused one a problem as its body.
pub async fn as_problem(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let given = request.headers().get(&CORRELATION).and_then(|value| value.to_str().ok()?.parse().ok());
    let made = || request.app_data::<web::Data<GatewayParts>>().map(|parts| parts.origin.correlation_id());
    let correlation: CorrelationId =
        given.or_else(made).ok_or_else(|| actix_web::error::ErrorInternalServerError(""))?;
    request.extensions_mut().insert(correlation);
    let response = next.call(request).await?;
    let refusal = match response.response().error() {
        Some(error) => match error.as_error::<Failure>() {
            Some(Failure(refusal)) => Some(refusal.clone()),
            None => Some(by_status(response.status(), error.to_string())),
        },
        // The framework's own answer where a path does not have the method.
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            Some(by_status(response.status(), format!("there is no {} here", response.request().method())))
        }
        None => None,
    };
    let mut response = match refusal {
        Some(refusal) => {
            let refused = problem(refusal, &response, correlation);
            response.into_response(refused).map_into_boxed_body()
        }
        None => response.map_into_boxed_body(),
    };
    if let Ok(value) = HeaderValue::from_str(&correlation.to_string()) {
        response.headers_mut().insert(CORRELATION, value);
    }
    Ok(response)
}

/// The refusal as a body, under the status that the answer has already.
fn problem<B>(refusal: Refusal, response: &ServiceResponse<B>, correlation: CorrelationId) -> HttpResponse {
    let status = response.status();
    let mut problem = Problem::new(refusal.code, refusal.detail, refusal.fix, correlation);
    problem.status = status.as_u16();
    let mut builder = HttpResponse::build(status);
    if problem.code == RequestCode::Unauthenticated {
        builder.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    if let Some(allowed) = response.headers().get(ALLOW) {
        builder.insert_header((ALLOW, allowed.clone()));
    }
    builder.content_type("application/problem+json").body(serde_json::json!(problem).to_string())
}

/// What the framework refused by itself. It keeps HTTP's own status, even where our code for it has another.
fn by_status(status: StatusCode, detail: String) -> Refusal {
    match status.as_u16() {
        404 => Refusal::new(RequestCode::NotFound, detail, fix(RequestCode::NotFound)),
        405 => Refusal::new(RequestCode::InvalidInput, detail, "use one of the methods that the header `Allow` names"),
        408 => {
            let fix = format!("send the whole body within {} s", BODY_WITHIN.as_secs());
            Refusal::new(RequestCode::InvalidInput, detail, fix)
        }
        413 => Refusal::new(RequestCode::InvalidInput, detail, format!("send at most {BODY_MAX} bytes")),
        400..=499 => Refusal::new(RequestCode::InvalidInput, detail, fix(RequestCode::InvalidInput)),
        _ => Refusal::new(RequestCode::Internal, detail, fix(RequestCode::Internal)),
    }
}
