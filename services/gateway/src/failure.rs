//! Refusals, and how each becomes a problem (RFC 9457) under the request's correlation id.

use std::fmt;

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue, WWW_AUTHENTICATE},
    },
    middleware::Next,
    web,
};
use broker::{BusError, LogError};
use proto_msgs::{CorrelationId, Problem, RequestCode, error::Refusal};

use crate::GatewayParts;

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
        RequestCode::InvalidInput => "compare the request with the documentation",
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
    let mut response = match next.call(request).await {
        Ok(response) => {
            let refused = response.response().error().map(|error| problem(error, response.status(), correlation));
            match refused {
                Some(refused) => response.into_response(refused).map_into_boxed_body(),
                None => response.map_into_boxed_body(),
            }
        }
        Err(error) => return Err(error),
    };
    if let Ok(value) = HeaderValue::from_str(&correlation.to_string()) {
        response.headers_mut().insert(CORRELATION, value);
    }
    Ok(response)
}

fn problem(error: &Error, status: StatusCode, correlation: CorrelationId) -> HttpResponse {
    let refusal = match error.as_error::<Failure>() {
        Some(Failure(refusal)) => refusal.clone(),
        None => by_status(status, error),
    };
    let problem = Problem::new(refusal.code, refusal.detail, refusal.fix, correlation);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    if problem.code == RequestCode::Unauthenticated {
        builder.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    builder.content_type("application/problem+json").body(serde_json::json!(problem).to_string())
}

/// What the framework refused by itself.
fn by_status(status: StatusCode, error: &Error) -> Refusal {
    let code = match status.as_u16() {
        404 => RequestCode::NotFound,
        400..=499 => RequestCode::InvalidInput,
        _ => RequestCode::Internal,
    };
    Refusal::new(code, error.to_string(), fix(code))
}
