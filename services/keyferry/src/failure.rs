//! Why a command ended without doing what it should: the words on standard error, and the exit code.
//!
//! Invariant: every failure has a code, a fix and a correlation id, whoever found it.

use std::{
    fmt::{Display, Write},
    io,
    path::Path,
};

use clap::error::ErrorKind;
use proto_msgs::{CorrelationId, Problem, RequestCode};

/// What helps where Keyferry itself is at fault.
pub const FIX_INTERNAL: &str = "try it again; if it lasts, report it with everything that is printed here";

/// A command that failed.
#[derive(Debug)]
pub enum Failure {
    /// The gateway refused.
    Refused(Box<Problem>),
    /// Found out here, with a code and a fix.
    Coded { code: RequestCode, detail: String, fix: String },
    /// Whoever read standard output has left: nobody is there to tell, and nothing is wrong.
    OutputClosed,
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

    /// A file or folder that the user named and that cannot be used.
    pub fn path(path: &Path, what: &str, error: &io::Error, fix: impl Into<String>) -> Self {
        Self::input(format!("{} cannot be {what}: {error}", path.display()), fix)
    }

    /// None: nothing is wrong.
    pub fn code(&self) -> Option<RequestCode> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            Self::Coded { code, .. } => Some(*code),
            Self::OutputClosed => None,
        }
    }

    pub fn exit_code(&self) -> u8 {
        self.code().map_or(0, RequestCode::exit_code)
    }

    /// What is said of it: one line, unless the detail itself has several. None: nothing is to be said.
    pub fn text(&self, correlation: CorrelationId) -> Option<String> {
        let (code, detail, fix, correlation) = match self {
            Self::Refused(problem) => (problem.code, &problem.detail, &problem.fix, problem.correlation_id),
            Self::Coded { code, detail, fix } => (*code, detail, fix, correlation),
            Self::OutputClosed => return None,
        };
        Some(sentence(code, detail, fix, correlation))
    }
}

/// How whatever is wrong is said, so that scripts can read it. What somebody typed stands in it, and must not steer a
/// terminal.
pub fn sentence(code: impl Display, detail: &str, fix: &str, correlation: CorrelationId) -> String {
    let then = if detail.contains('\n') { "\n" } else { "; " };
    let text = format!("keyferry: {code}: {detail}{then}fix: {fix}; correlation id: {correlation}");
    text.replace(|char: char| char.is_control() && char != '\n', "\u{fffd}")
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

impl From<clap::Error> for Failure {
    /// With all that clap has to say in one line, but for the usage and its pointer to `--help`, which is the fix. Where
    /// nothing at all was given, the help is what was asked for.
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let detail = if error.kind() == ErrorKind::MissingSubcommand {
            "a command is missing".to_owned()
        } else if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            format!("a command is missing\n\n{}", text.trim_end())
        } else {
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let said = text.split("\n\n").filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
            said.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
        };
        Self::input(detail, "correct the command line; `--help` after a command shows what it takes")
    }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_failure_is_one_line_with_code_fix_and_correlation_id() {
        let correlation = CorrelationId::from_random(7);
        let text = Failure::input("port 1 is taken", "give another").text(correlation).unwrap();
        assert_eq!(
            text,
            format!("keyferry: invalid_input: port 1 is taken; fix: give another; correlation id: {correlation}")
        );
        assert_eq!(Failure::OutputClosed.text(correlation), None);
        let text = Failure::input("no `\u{1b}[31m`\nnor \u{7}", "").text(correlation).unwrap();
        assert!(text.contains("no `\u{fffd}[31m`\nnor \u{fffd}"), "{text}");
    }

    #[test]
    fn a_bad_command_line_is_one_line_that_names_what_is_wrong() {
        for (line, word) in [
            ("records lits", "similar subcommand"),
            ("records list", "<CONFIG>"),
            ("config create", "--file <FILE.yaml>"),
            ("config list -o xml", "possible values: table, json, yaml"),
            ("up --workers many", "invalid digit"),
            ("up --colour", "--colour"),
        ] {
            let words = ["keyferry"].into_iter().chain(line.split(' '));
            let failure = Failure::from(crate::cli::Cli::try_parse_from(words).unwrap_err());
            let text = failure.text(CorrelationId::from_random(7)).unwrap();
            assert!(text.lines().count() == 1 && text.contains(word) && !text.contains("Usage"), "{line}: {text}");
        }
    }
}
