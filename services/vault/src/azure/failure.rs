//! From an error of the SDK to what it means. Inner codes before the status; always from the raw body, because the SDK's
//! own code is the bare status whenever the message holds an escape, as real ones do.

use std::{error::Error as _, time::Duration};

use azure_core::{
    error::ErrorKind,
    http::{
        RawResponse, StatusCode,
        headers::{HeaderName, Headers},
    },
};
use serde::Deserialize;

use super::{
    call::{Call, time_of},
    gated::GateClosed,
    tokens::NoToken,
};
use crate::{Operation, VaultError, VaultErrorKind};

/// Longest message that is kept of an answer: enough to read, too little for a page of HTML.
const MESSAGE_MAX: usize = 500;

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: ErrorBody,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Box<ErrorBody>>,
}

pub(super) fn deadline(call: &Call) -> VaultError {
    transient(call, "no answer within the deadline", call.was_sent())
}

/// What was to be sent cannot be: nothing was.
pub(super) fn unsendable(call: &Call, message: &str) -> VaultError {
    new(call, VaultErrorKind::Rejected, message.to_owned())
}

/// The answer says so by what it leaves out.
pub(super) fn not_found(call: &Call, request_id: Option<String>) -> VaultError {
    let message = "there is no such item".to_owned();
    VaultError { azure_request_id: request_id, ..new(call, VaultErrorKind::NotFound, message) }
}

pub(super) fn unreadable(call: &Call, request_id: Option<String>) -> VaultError {
    VaultError {
        azure_request_id: request_id,
        // The call itself succeeded.
        ..misread(call, "the answer cannot be read")
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the SDK's kinds are an open set; what is not named is transient")]
pub(super) fn of(call: &Call, error: &azure_core::Error) -> VaultError {
    match error.kind() {
        ErrorKind::HttpResponse { status, raw_response, .. } => match raw_response {
            Some(raw) => from_response(call, *status, raw),
            None => from_status(call, *status),
        },
        ErrorKind::Credential => match source::<NoToken>(error) {
            // Whoever gives tokens out may be back soon; the vault was not asked.
            Some(NoToken { is_transient: true, .. }) => transient(call, &one_line(&error.to_string()), false),
            Some(NoToken { is_transient: false, .. }) | None => {
                new(call, VaultErrorKind::Unauthenticated, one_line(&error.to_string()))
            }
        },
        // No connection: nothing was sent.
        ErrorKind::Connection => transient(call, &one_line(&chain(error)), false),
        ErrorKind::DataConversion => misread(call, &one_line(&chain(error))),
        _ if source::<GateClosed>(error).is_some() => new(call, VaultErrorKind::GateClosed, GateClosed.to_string()),
        _ => transient(call, &one_line(&chain(error)), call.was_sent()),
    }
}

fn from_response(call: &Call, status: StatusCode, raw: &RawResponse) -> VaultError {
    let body: Body = serde_json::from_slice(raw.body().as_ref()).unwrap_or_default();
    let mut innermost = &body.error;
    let mut message = body.error.message.as_str();
    while let Some(inner) = innermost.innererror.as_deref() {
        innermost = inner;
        if message.is_empty() {
            message = &inner.message;
        }
    }
    let header = |name: &'static str| raw.headers().get_optional_str(&HeaderName::from_static(name));
    let kind = kind_of(call.operation, u16::from(status), &body.error, innermost);
    VaultError {
        message: one_line(&format!("{} {}: {message}", u16::from(status), innermost.code)),
        azure_code: Some(innermost.code.clone()).filter(|code| !code.is_empty()),
        azure_request_id: header("x-ms-request-id").map(str::to_owned),
        missing_action: (kind == VaultErrorKind::Forbidden).then(|| action_in(message)).flatten(),
        retry_after: retry_after(raw.headers()),
        may_have_written: call.operation.writes() && kind == VaultErrorKind::Transient,
        ..new(call, kind, String::new())
    }
}

fn from_status(call: &Call, status: StatusCode) -> VaultError {
    let empty = ErrorBody::default();
    let kind = kind_of(call.operation, u16::from(status), &empty, &empty);
    let may_have_written = call.operation.writes() && kind == VaultErrorKind::Transient;
    VaultError { may_have_written, ..new(call, kind, u16::from(status).to_string()) }
}

fn kind_of(operation: Operation, status: u16, outer: &ErrorBody, inner: &ErrorBody) -> VaultErrorKind {
    if let Some(kind) = kind_of_code(&inner.code) {
        return kind;
    }
    let says = |text: &str| outer.message.to_ascii_lowercase().contains(text);
    match status {
        401 => VaultErrorKind::Unauthenticated,
        403 if says("policy") && says("disallowed") => VaultErrorKind::PolicyDenied,
        403 => VaultErrorKind::Forbidden,
        404 => VaultErrorKind::NotFound,
        408 => VaultErrorKind::Transient,
        409 if operation == Operation::RestoreKey => VaultErrorKind::AlreadyExists,
        409 if operation == Operation::ImportCertificate => VaultErrorKind::NameTaken,
        409 => VaultErrorKind::Unknown,
        429 => VaultErrorKind::Throttled,
        400 if operation == Operation::RestoreKey && says("geograph") => VaultErrorKind::OtherGeography,
        400 if operation == Operation::RestoreKey && says("subscription") => VaultErrorKind::OtherSubscription,
        400 if operation == Operation::BackupKey && says("version") => VaultErrorKind::TooManyVersions,
        400 if operation == Operation::ImportCertificate && says("expired") => VaultErrorKind::CertificateExpired,
        400 | 413 => VaultErrorKind::Rejected,
        500..=599 => VaultErrorKind::Transient,
        _ => VaultErrorKind::Unknown,
    }
}

fn kind_of_code(code: &str) -> Option<VaultErrorKind> {
    Some(match code {
        "ForbiddenByRbac" | "AccessDenied" => VaultErrorKind::Forbidden,
        "ForbiddenByFirewall" | "ForbiddenByConnection" => VaultErrorKind::NetworkDenied,
        "ForbiddenByPolicy" | "RequestDisallowedByPolicy" => VaultErrorKind::PolicyDenied,
        "SecretDisabled" => VaultErrorKind::Disabled,
        "SecretManagedByKeyVault" | "KeyManagedByKeyVault" => VaultErrorKind::ManagedByCertificate,
        "ObjectIsDeletedButRecoverable" => VaultErrorKind::SoftDeleted,
        "ObjectIsBeingDeleted" | "ObjectIsBeingRecovered" => VaultErrorKind::BeingDeleted,
        "Throttled" => VaultErrorKind::Throttled,
        _ => return None,
    })
}

/// `Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'` in the message of a 403.
fn action_in(message: &str) -> Option<String> {
    let at = message.find("Microsoft.KeyVault/")?;
    let action: String =
        message[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '*')).collect();
    Some(action)
}

/// In seconds, or as a time by the server's own clock.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let header = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name));
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let millis = header("retry-after-ms").or(header("x-ms-retry-after-ms")).and_then(number);
    let after = header("retry-after");
    let until = || Some(time_of(after?)?.since(time_of(header("date")?)?));
    millis.map(Duration::from_millis).or_else(|| after.and_then(number).map(Duration::from_secs)).or_else(until)
}

/// An answer that makes no sense, which asking again would not change. What a write did is not known.
fn misread(call: &Call, message: &str) -> VaultError {
    match call.operation.writes() {
        true => transient(call, message, true),
        false => new(call, VaultErrorKind::Unknown, message.to_owned()),
    }
}

fn transient(call: &Call, message: &str, was_sent: bool) -> VaultError {
    let may_have_written = was_sent && call.operation.writes();
    VaultError { may_have_written, ..new(call, VaultErrorKind::Transient, message.to_owned()) }
}

fn new(call: &Call, kind: VaultErrorKind, message: String) -> VaultError {
    VaultError {
        kind,
        operation: call.operation,
        side: call.side,
        vault: call.vault.clone(),
        message,
        azure_code: None,
        azure_request_id: None,
        missing_action: None,
        retry_after: None,
        may_have_written: false,
    }
}

/// The first cause of this type.
pub(super) fn source<E: std::error::Error + 'static>(error: &azure_core::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(current) = source {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        source = current.source();
    }
    None
}

fn chain(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(current) = source {
        let next = current.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = current.source();
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_time_by_the_servers_clock() {
        let waits = |headers: &[(&'static str, &'static str)]| {
            let mut all = Headers::new();
            headers.iter().for_each(|(name, value)| all.insert(*name, *value));
            retry_after(&all).map(|wait| wait.as_millis())
        };
        let (date, later) = (("date", "Sun, 29 Nov 2026 10:00:00 GMT"), "Sun, 29 Nov 2026 10:00:20 GMT");
        assert_eq!(waits(&[("retry-after", "20")]), Some(20_000));
        assert_eq!(waits(&[("retry-after", "20"), ("x-ms-retry-after-ms", "300")]), Some(300));
        assert_eq!(waits(&[date, ("retry-after", later)]), Some(20_000));
        assert_eq!(waits(&[("date", later), ("retry-after", date.1)]), Some(0), "it is over");
        assert_eq!(waits(&[date, ("retry-after", "soon")]), None);
    }
}
