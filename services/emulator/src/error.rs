//! Failures as Azure words them, and failures of the emulator itself.
//!
//! [`ApiError`] is what a client sees: `{"error":{"code","message","innererror"}}`. [`EmulatorError`] is why the
//! emulator could not start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{estate::EstateError, faults::MAX_DELAY_MS};

/// A refusal in Azure's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// `error.innererror.code`.
    pub inner: Option<String>,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
}

impl ApiError {
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), inner: None, retry_after: None }
    }

    #[must_use]
    pub fn inner(mut self, code: impl Into<String>) -> Self {
        self.inner = Some(code.into());
        self
    }

    /// 400: what was sent cannot be used.
    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(400, "BadParameter", message)
    }

    /// 403 with an inner code.
    pub fn forbidden(inner: &'static str, message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message).inner(inner)
    }

    /// 409 with an inner code.
    pub fn conflict(inner: &'static str, message: impl Into<String>) -> Self {
        Self::new(409, "Conflict", message).inner(inner)
    }

    /// 500: the emulator itself failed. The text never holds a value.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalServerError", message)
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(inner), Some(fields)) = (&self.inner, error.as_object_mut()) {
            fields.insert("innererror".to_owned(), json!({ "code": inner }));
        }
        json!({ "error": error })
    }
}

/// Why the emulator could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    #[error("{addr} cannot be listened on: choose another port, or stop what listens there")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("the admin listener must be on a loopback address, not {0}: it can change everything without a token")]
    AdminNotLoopback(SocketAddr),
    #[error("a latency of {} ms is refused: {MAX_DELAY_MS} ms is the most, by which every client has given up", .0.as_millis())]
    LatencyTooLong(Duration),
    #[error("{path} cannot be read: check that it is a file of this emulator and that it may be read", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} cannot be written: check that the folder exists and may be written", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path} is not what this emulator writes: remove it to start afresh", path = path.display())]
    Corrupt { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the estate cannot be used")]
    Estate(#[from] EstateError),
    #[error("TLS certificates could not be made")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the key that signs tokens could not be made")]
    TokenKey(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a task of the emulator broke off")]
    Serve(#[source] std::io::Error),
}

impl EmulatorError {
    /// A stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "listen_failed",
            Self::AdminNotLoopback(_) => "admin_not_loopback",
            Self::LatencyTooLong(_) => "latency_too_long",
            Self::Read { .. } => "read_failed",
            Self::Write { .. } => "write_failed",
            Self::Corrupt { .. } => "file_corrupt",
            Self::Estate(_) => "estate_invalid",
            Self::Tls(_) => "tls_failed",
            Self::TokenKey(_) => "token_key_failed",
            Self::Serve(_) => "serve_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_code_is_written_as_azure_writes_it() {
        let error = ApiError::forbidden("SecretDisabled", "Operation get is not allowed on a disabled secret.");
        assert_eq!(
            error.body().to_string(),
            r#"{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled secret.","innererror":{"code":"SecretDisabled"}}}"#
        );
    }
}
