//! What the admin listener says when it refuses: always a code, what is wrong, and what helps.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    error::JsonPayloadError,
    http::{StatusCode, header},
};
use serde_json::{Value, json};

/// Where the bodies are described.
const SEE: &str = "services/emulator/README.md shows what may be in it";

/// A call that is refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    status: StatusCode,
    /// A word for programs, one for each status.
    code: &'static str,
    message: String,
    fix: String,
    /// The methods there are, where the method is what is wrong.
    allow: Option<&'static str>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fix: fix.into(), allow: None }
    }

    /// 400: what was sent cannot be meant.
    pub fn input(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message, fix)
    }

    /// 404: what the path names is not there.
    pub fn not_found(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message, fix)
    }

    /// 405: something is there, but not for that method.
    pub fn method(request: &HttpRequest, allow: &'static str) -> Self {
        let message = format!("{} does not take {}", request.path(), request.method());
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message, format!("use {allow}"));
        Self { allow: Some(allow), ..refusal }
    }

    /// A body that cannot be used.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the framework may add to its errors; the rest is no JSON")]
    pub fn body(error: &JsonPayloadError) -> Self {
        match error {
            JsonPayloadError::ContentType => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "the body is not said to be JSON",
                "send the header Content-Type: application/json",
            ),
            JsonPayloadError::Overflow { limit } | JsonPayloadError::OverflowKnownLength { limit, .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                format!("the body is too large: it may have {limit} bytes"),
                "send a smaller one",
            ),
            JsonPayloadError::Deserialize(error) if error.is_data() => {
                Self::input(format!("the body does not fit: {error}"), format!("correct the body: {SEE}"))
            }
            error => Self::input(format!("the body is not JSON: {error}"), format!("send a JSON object: {SEE}")),
        }
    }

    /// 500: the emulator itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            message,
            "try it again, and report it if it lasts",
        )
    }

    pub fn json(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message, "fix": self.fix } })
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        response.json(self.json())
    }
}
