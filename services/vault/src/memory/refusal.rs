//! Why a simulated vault refuses a call, and what the caller sees of it.

use std::time::Duration;

use proto_msgs::{ItemName, ItemType};

use super::fate::MemoryCall;
use crate::{Operation, VaultError, VaultErrorKind};

/// A refusal, before it is known whom it meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub kind: VaultErrorKind,
    pub message: String,
    pub missing_action: Option<&'static str>,
    pub retry_after: Option<Duration>,
    /// The request never left.
    pub is_unsent: bool,
}

impl Refusal {
    pub(super) fn new(kind: VaultErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), missing_action: None, retry_after: None, is_unsent: false }
    }

    /// Nobody listens there.
    pub(super) fn unreachable(address: &str) -> Self {
        Self { is_unsent: true, ..Self::new(VaultErrorKind::Transient, format!("{address} cannot be reached")) }
    }

    pub(super) fn not_found(kind: ItemType, name: &ItemName) -> Self {
        Self::new(VaultErrorKind::NotFound, format!("404: there is no {} {name}", kind.singular()))
    }

    pub(super) fn rejected(message: impl Into<String>) -> Self {
        Self::new(VaultErrorKind::Rejected, message)
    }

    pub(super) fn managed(kind: ItemType, name: &ItemName) -> Self {
        let message = format!("403: the {} {name} is kept by Key Vault behind its certificate", kind.singular());
        Self::new(VaultErrorKind::ManagedByCertificate, message)
    }

    /// As the caller sees it. `request_id` is none where nobody answered.
    pub(super) fn error(self, call: &MemoryCall, request_id: Option<String>) -> VaultError {
        VaultError {
            kind: self.kind,
            operation: call.operation,
            side: call.side,
            vault: if call.operation == Operation::Resolve { "(management)".to_owned() } else { call.vault.clone() },
            message: self.message,
            azure_code: azure_code(self.kind).map(str::to_owned),
            azure_request_id: request_id.filter(|_| !self.is_unsent),
            missing_action: self.missing_action.map(str::to_owned),
            retry_after: self.retry_after,
            // Whoever sees an outage cannot know on which side of the effect it was.
            may_have_written: call.operation.writes() && self.kind == VaultErrorKind::Transient && !self.is_unsent,
        }
    }
}

/// The innermost code of the answer; none where there was none, or where Azure gives none that says more.
fn azure_code(kind: VaultErrorKind) -> Option<&'static str> {
    match kind {
        VaultErrorKind::Forbidden => Some("ForbiddenByRbac"),
        VaultErrorKind::NetworkDenied => Some("ForbiddenByFirewall"),
        VaultErrorKind::Disabled => Some("SecretDisabled"),
        VaultErrorKind::ManagedByCertificate => Some("SecretManagedByKeyVault"),
        VaultErrorKind::PolicyDenied => Some("ForbiddenByPolicy"),
        VaultErrorKind::SoftDeleted => Some("ObjectIsDeletedButRecoverable"),
        VaultErrorKind::BeingDeleted => Some("ObjectIsBeingDeleted"),
        VaultErrorKind::Throttled => Some("Throttled"),
        VaultErrorKind::AlreadyExists | VaultErrorKind::NameTaken => Some("Conflict"),
        VaultErrorKind::CertificateExpired
        | VaultErrorKind::TooManyVersions
        | VaultErrorKind::OtherGeography
        | VaultErrorKind::OtherSubscription
        | VaultErrorKind::Rejected => Some("BadParameter"),
        VaultErrorKind::GateClosed
        | VaultErrorKind::Unauthenticated
        | VaultErrorKind::NotFound
        | VaultErrorKind::Transient
        | VaultErrorKind::Unknown => None,
    }
}
