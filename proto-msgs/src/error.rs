//! Error codes: what a caller may rely on when something is refused or failed.
//!
//! Two closed sets. [`ErrorCode`] says why a record is not in sync; [`RequestCode`] says why a request was refused.
//! Each code has a page in `docs/errors.md`; a test holds the two together. Never renamed, never used again.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, InvalidId, text_serde};

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recoverability {
    /// Keyferry tries again by itself.
    Auto,
    /// Somebody must change something in Azure.
    Operator,
    /// Somebody must decide, with one click or command.
    User,
    /// Information: the item is outside what can be replicated.
    Scope,
    /// Tried once more, then an operator's.
    AutoThenOperator,
    /// Nobody knows yet; the detail has Azure's own words.
    Manual,
}

impl Recoverability {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Operator => "operator",
            Self::User => "user",
            Self::Scope => "scope",
            Self::AutoThenOperator => "auto_then_operator",
            Self::Manual => "manual",
        }
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
                    .ok_or_else(|| InvalidId::new($what, text, "see `keyferry explain` for the list"))
            }
        }

        text_serde!($name);
    };
}
pub(crate) use codes;

codes!(
    /// Why a record is not in sync.
    ErrorCode, "error code", {
    SourceAuthFailed = "source_auth_failed",
    TargetAuthFailed = "target_auth_failed",
    RbacBackupKey = "rbac_backup_key",
    RbacRestoreKey = "rbac_restore_key",
    SourceNetworkDenied = "source_network_denied",
    TargetNetworkDenied = "target_network_denied",
    SourceNotFound = "source_not_found",
    TargetSoftDeleted = "target_soft_deleted",
    TargetBeingDeleted = "target_being_deleted",
    TargetConflictActive = "target_conflict_active",
    TargetClaimed = "target_claimed",
    TargetNameTaken = "target_name_taken",
    ManagedByCertificate = "managed_by_certificate",
    CertificateExpired = "certificate_expired",
    CertificatePending = "certificate_pending",
    GeographyUnknown = "geography_unknown",
    AttributeCannotBeCleared = "attribute_cannot_be_cleared",
    TargetRejected = "target_rejected",
    SourceSoftDeleted = "source_soft_deleted",
    SourceDisabled = "source_disabled",
    Excluded = "excluded",
    DeleteHeld = "delete_held",
    Drift = "drift",
    SourceGone = "source_gone",
    RuleNoMatch = "rule_no_match",
    OperatorDisabled = "operator_disabled",
    VaultReplaced = "vault_replaced",
    TargetKeyExists = "target_key_exists",
    CrossGeographyKey = "cross_geography_key",
    CrossSubscriptionKey = "cross_subscription_key",
    CertificateNotExportable = "certificate_not_exportable",
    TooManyVersions = "too_many_versions",
    TargetPolicyDenied = "target_policy_denied",
    UnknownKeyType = "unknown_key_type",
    Throttled = "throttled",
    TransientNetwork = "transient_network",
    Unknown = "unknown",
});

impl ErrorCode {
    pub fn recoverability(self) -> Recoverability {
        match self {
            Self::SourceNotFound | Self::TargetBeingDeleted | Self::Throttled | Self::TransientNetwork => {
                Recoverability::Auto
            }
            Self::SourceAuthFailed
            | Self::TargetAuthFailed
            | Self::RbacBackupKey
            | Self::RbacRestoreKey
            | Self::SourceNetworkDenied
            | Self::TargetNetworkDenied
            | Self::TargetSoftDeleted
            | Self::TargetNameTaken
            | Self::ManagedByCertificate
            | Self::CertificateExpired
            | Self::CertificatePending
            | Self::GeographyUnknown
            | Self::AttributeCannotBeCleared
            | Self::TargetRejected
            | Self::VaultReplaced
            | Self::TargetKeyExists
            | Self::TooManyVersions
            | Self::TargetPolicyDenied => Recoverability::Operator,
            Self::TargetConflictActive
            | Self::TargetClaimed
            | Self::DeleteHeld
            | Self::Drift
            | Self::OperatorDisabled => Recoverability::User,
            Self::SourceSoftDeleted
            | Self::SourceDisabled
            | Self::Excluded
            | Self::SourceGone
            | Self::RuleNoMatch
            | Self::CrossGeographyKey
            | Self::CrossSubscriptionKey
            | Self::CertificateNotExportable => Recoverability::Scope,
            Self::UnknownKeyType => Recoverability::AutoThenOperator,
            Self::Unknown => Recoverability::Manual,
        }
    }
}

codes!(
    /// Why a request was refused.
    RequestCode, "request code", {
    InvalidInput = "invalid_input",
    NotFound = "not_found",
    AlreadyExists = "already_exists",
    RevisionMismatch = "revision_mismatch",
    NotValidated = "not_validated",
    StaleView = "stale_view",
    PlanChanged = "plan_changed",
    Forbidden = "forbidden",
    Unauthenticated = "unauthenticated",
    RateLimited = "rate_limited",
    Busy = "busy",
    Unavailable = "unavailable",
    Internal = "internal",
});

impl RequestCode {
    pub fn http_status(self) -> u16 {
        match self {
            Self::InvalidInput => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::StaleView | Self::PlanChanged => 409,
            Self::RevisionMismatch => 412,
            Self::NotValidated => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Busy | Self::Unavailable => 503,
        }
    }

    /// Who can mend it.
    pub fn recoverability(self) -> Recoverability {
        match self {
            Self::RateLimited | Self::Busy | Self::Unavailable => Recoverability::Auto,
            Self::Forbidden | Self::Unauthenticated | Self::NotValidated => Recoverability::Operator,
            Self::InvalidInput
            | Self::NotFound
            | Self::AlreadyExists
            | Self::RevisionMismatch
            | Self::StaleView
            | Self::PlanChanged => Recoverability::User,
            Self::Internal => Recoverability::Manual,
        }
    }

    /// What the command line exits with; 0 is success, 1 an error without a code, 2 records that failed.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::InvalidInput => 64,
            Self::NotFound => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::AlreadyExists => 73,
            Self::Busy | Self::RateLimited => 75,
            Self::RevisionMismatch | Self::StaleView | Self::PlanChanged => 76,
            Self::Unauthenticated | Self::Forbidden => 77,
            Self::NotValidated => 78,
        }
    }

    /// Short, for the title of a problem.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidInput => "The request is not valid",
            Self::NotFound => "There is no such thing",
            Self::AlreadyExists => "It exists already",
            Self::RevisionMismatch => "It was changed in the meantime",
            Self::NotValidated => "The vault pair did not pass validation",
            Self::StaleView => "What was seen is no longer so",
            Self::PlanChanged => "The plan is another one now",
            Self::Forbidden => "Not allowed",
            Self::Unauthenticated => "Not signed in",
            Self::RateLimited => "Too many requests",
            Self::Busy => "Busy",
            Self::Unavailable => "Not available at the moment",
            Self::Internal => "Keyferry failed",
        }
    }
}

/// The body of every failed request (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A page about the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub code: RequestCode,
    pub recoverability: Recoverability,
    /// What was wrong with this request.
    pub detail: String,
    /// What to do about it.
    pub fix: String,
    pub correlation_id: CorrelationId,
}

impl Problem {
    pub fn new(
        code: RequestCode,
        detail: impl Into<String>,
        fix: impl Into<String>,
        correlation_id: CorrelationId,
    ) -> Self {
        Self {
            kind: format!("/docs/errors#{code}"),
            title: code.title().to_owned(),
            status: code.http_status(),
            recoverability: code.recoverability(),
            code,
            detail: detail.into(),
            fix: fix.into(),
            correlation_id,
        }
    }
}

/// A refused request between roles: what a [`Problem`] is made of, before HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub code: RequestCode,
    pub detail: String,
    pub fix: String,
}

impl Refusal {
    pub fn new(code: RequestCode, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fix: fix.into() }
    }
}
