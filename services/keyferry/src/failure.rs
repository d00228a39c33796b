//! Why a command ended without doing what it should: the words on standard error, and the exit code.

use std::fmt::Write;

use proto_msgs::{Problem, RequestCode};

/// A command that failed.
#[derive(Debug)]
pub enum Failure {
    /// The gateway refused.
    Refused(Box<Problem>),
    /// Found out here, with a code and a fix.
    Coded { code: RequestCode, detail: String, fix: String },
}

impl Failure {
    pub fn new(code: RequestCode, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Coded { code, detail: detail.into(), fix: fix.into() }
    }

    pub fn input(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(RequestCode::InvalidInput, detail, fix)
    }

    /// An error of a library, with all its causes.
    pub fn of(code: RequestCode, error: &dyn std::error::Error, fix: impl Into<String>) -> Self {
        Self::new(code, chain(error), fix)
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(problem) => problem.code.exit_code(),
            Self::Coded { code, .. } => code.exit_code(),
        }
    }

    pub fn print(&self) {
        match self {
            Self::Refused(problem) => {
                eprintln!("keyferry: {}: {}", problem.code, problem.detail);
                eprintln!("  fix: {}", problem.fix);
                eprintln!("  correlation id: {}", problem.correlation_id);
            }
            Self::Coded { code, detail, fix } => {
                eprintln!("keyferry: {code}: {detail}");
                if !fix.is_empty() {
                    eprintln!("  fix: {fix}");
                }
            }
        }
    }
}

/// An error and its causes in one line, none said twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<runtime::settings::SettingsError> for Failure {
    fn from(error: runtime::settings::SettingsError) -> Self {
        Self::of(RequestCode::InvalidInput, &error, "correct the settings; README.md lists them")
    }
}

impl From<broker::ConnectError> for Failure {
    fn from(error: broker::ConnectError) -> Self {
        let code = match error {
            broker::ConnectError::Settings { .. } => RequestCode::InvalidInput,
            broker::ConnectError::Unreachable { .. }
            | broker::ConnectError::TooOld { .. }
            | broker::ConnectError::Provision { .. } => RequestCode::Unavailable,
        };
        Self::of(
            code,
            &error,
            "check that nats-server 2.12 or newer runs with JetStream, and `keyferry nats provision` was run",
        )
    }
}

impl From<broker::LogError> for Failure {
    fn from(error: broker::LogError) -> Self {
        Self::of(error.code(), &error, "check that NATS runs, and that `keyferry nats provision` was run")
    }
}
