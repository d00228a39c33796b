//! The taxonomy of failed vault calls: which code a caller sees, and whether anything may have changed.

use std::time::Duration;

use proto_msgs::{
    ErrorCode,
    vault::{CallFailure, Detail, Side},
};

use crate::Operation;

/// What happened, before it is known what that means for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultErrorKind {
    /// The gate was closed: nothing was sent.
    GateClosed,
    /// 401, or no token could be got.
    Unauthenticated,
    /// 403 for want of a role or access policy.
    Forbidden,
    /// 403 ForbiddenByFirewall or ForbiddenByConnection.
    NetworkDenied,
    /// 403 SecretDisabled.
    Disabled,
    /// 403 SecretManagedByKeyVault or KeyManagedByKeyVault: a certificate of that name keeps it.
    ManagedByCertificate,
    /// Refused by Azure Policy.
    PolicyDenied,
    NotFound,
    /// 409 ObjectIsDeletedButRecoverable.
    SoftDeleted,
    /// 409 ObjectIsBeingDeleted, or on its way back from there.
    BeingDeleted,
    /// 409: a key of that name exists.
    AlreadyExists,
    /// 409: a plain secret or key of a certificate's name exists, or the other way round; or a request for a certificate
    /// of that name is under way, which Azure gives no code of its own.
    NameTaken,
    /// An expired certificate cannot be imported.
    CertificateExpired,
    /// More versions than a backup takes.
    TooManyVersions,
    /// A backup of another geography.
    OtherGeography,
    /// A backup of another subscription.
    OtherSubscription,
    /// 400: Azure does not take what was sent.
    Rejected,
    /// 429.
    Throttled,
    /// Time-out, 5xx, DNS, TLS, connection lost.
    Transient,
    /// Anything else.
    Unknown,
}

/// A vault call that failed. Its text names no value and no token.
#[derive(Debug, thiserror::Error)]
#[error("{operation} on the {} vault {vault} failed: {message}", side.as_str())]
pub struct VaultError {
    pub kind: VaultErrorKind,
    pub operation: Operation,
    pub side: Side,
    /// Name of the vault.
    pub vault: String,
    /// What Azure said or what went wrong, in one line.
    pub message: String,
    /// The innermost code of Azure's answer.
    pub azure_code: Option<String>,
    pub azure_request_id: Option<String>,
    /// The data action a 403 named.
    pub missing_action: Option<String>,
    pub retry_after: Option<Duration>,
    /// False: the request certainly changed nothing. True: it may have.
    pub may_have_written: bool,
}

impl VaultError {
    /// Whether the call certainly changed nothing. When false, read before trying again.
    pub fn left_no_trace(&self) -> bool {
        !self.may_have_written
    }

    /// The stable code for a record.
    pub fn code(&self) -> ErrorCode {
        let by_side = |source, target| match self.side {
            Side::Source => source,
            Side::Target => target,
        };
        match self.kind {
            VaultErrorKind::GateClosed | VaultErrorKind::Transient => ErrorCode::TransientNetwork,
            VaultErrorKind::Unauthenticated => by_side(ErrorCode::SourceAuthFailed, ErrorCode::TargetAuthFailed),
            VaultErrorKind::Forbidden => match self.operation {
                Operation::BackupKey => ErrorCode::RbacBackupKey,
                Operation::RestoreKey => ErrorCode::RbacRestoreKey,
                Operation::List
                | Operation::ListVersions
                | Operation::ReadMeta
                | Operation::ReadDeleted
                | Operation::ReadSecret
                | Operation::WriteSecret
                | Operation::ReadCertificate
                | Operation::ExportCertificate
                | Operation::ImportCertificate
                | Operation::ReadKey
                | Operation::ReadRotation
                | Operation::Update
                | Operation::Delete
                | Operation::Resolve => by_side(ErrorCode::SourceAuthFailed, ErrorCode::TargetAuthFailed),
            },
            VaultErrorKind::NetworkDenied => by_side(ErrorCode::SourceNetworkDenied, ErrorCode::TargetNetworkDenied),
            VaultErrorKind::Disabled => by_side(ErrorCode::SourceDisabled, ErrorCode::Drift),
            VaultErrorKind::ManagedByCertificate => {
                by_side(ErrorCode::ManagedByCertificate, ErrorCode::TargetNameTaken)
            }
            VaultErrorKind::PolicyDenied => ErrorCode::TargetPolicyDenied,
            VaultErrorKind::NotFound => by_side(ErrorCode::SourceNotFound, ErrorCode::Drift),
            VaultErrorKind::SoftDeleted => by_side(ErrorCode::SourceSoftDeleted, ErrorCode::TargetSoftDeleted),
            VaultErrorKind::BeingDeleted => by_side(ErrorCode::SourceSoftDeleted, ErrorCode::TargetBeingDeleted),
            VaultErrorKind::AlreadyExists => ErrorCode::TargetKeyExists,
            VaultErrorKind::NameTaken => ErrorCode::TargetNameTaken,
            VaultErrorKind::CertificateExpired => ErrorCode::CertificateExpired,
            VaultErrorKind::TooManyVersions => ErrorCode::TooManyVersions,
            VaultErrorKind::OtherGeography => ErrorCode::CrossGeographyKey,
            VaultErrorKind::OtherSubscription => ErrorCode::CrossSubscriptionKey,
            VaultErrorKind::Rejected => by_side(ErrorCode::Unknown, ErrorCode::TargetRejected),
            VaultErrorKind::Throttled => ErrorCode::Throttled,
            VaultErrorKind::Unknown => ErrorCode::Unknown,
        }
    }

    pub fn detail(&self) -> Detail {
        Detail {
            message: self.to_string(),
            azure_code: self.azure_code.clone(),
            azure_request_id: self.azure_request_id.clone(),
            missing_action: self.missing_action.clone(),
        }
    }

    pub fn failure(&self) -> CallFailure {
        let retry_after_ms = self.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        CallFailure { code: self.code(), detail: self.detail(), retry_after_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: VaultErrorKind, operation: Operation, side: Side) -> ErrorCode {
        let error = VaultError {
            kind,
            operation,
            side,
            vault: "a-kv".to_owned(),
            message: String::new(),
            azure_code: None,
            azure_request_id: None,
            missing_action: None,
            retry_after: None,
            may_have_written: false,
        };
        error.code()
    }

    #[test]
    fn every_failure_has_the_code_of_its_side_and_call() {
        use ErrorCode as Code;
        use VaultErrorKind as Kind;
        for (kind, operation, source, target) in [
            (Kind::GateClosed, Operation::WriteSecret, Code::TransientNetwork, Code::TransientNetwork),
            (Kind::Transient, Operation::List, Code::TransientNetwork, Code::TransientNetwork),
            (Kind::Throttled, Operation::List, Code::Throttled, Code::Throttled),
            (Kind::Unauthenticated, Operation::Resolve, Code::SourceAuthFailed, Code::TargetAuthFailed),
            (Kind::Forbidden, Operation::ReadSecret, Code::SourceAuthFailed, Code::TargetAuthFailed),
            (Kind::Forbidden, Operation::Delete, Code::SourceAuthFailed, Code::TargetAuthFailed),
            (Kind::Forbidden, Operation::BackupKey, Code::RbacBackupKey, Code::RbacBackupKey),
            (Kind::Forbidden, Operation::RestoreKey, Code::RbacRestoreKey, Code::RbacRestoreKey),
            (Kind::NetworkDenied, Operation::ReadKey, Code::SourceNetworkDenied, Code::TargetNetworkDenied),
            (Kind::NotFound, Operation::ReadSecret, Code::SourceNotFound, Code::Drift),
            (Kind::Disabled, Operation::ReadSecret, Code::SourceDisabled, Code::Drift),
            (Kind::SoftDeleted, Operation::WriteSecret, Code::SourceSoftDeleted, Code::TargetSoftDeleted),
            (Kind::BeingDeleted, Operation::WriteSecret, Code::SourceSoftDeleted, Code::TargetBeingDeleted),
            (Kind::ManagedByCertificate, Operation::WriteSecret, Code::ManagedByCertificate, Code::TargetNameTaken),
            (Kind::NameTaken, Operation::ImportCertificate, Code::TargetNameTaken, Code::TargetNameTaken),
            (Kind::AlreadyExists, Operation::RestoreKey, Code::TargetKeyExists, Code::TargetKeyExists),
            (
                Kind::CertificateExpired,
                Operation::ImportCertificate,
                Code::CertificateExpired,
                Code::CertificateExpired,
            ),
            (Kind::TooManyVersions, Operation::BackupKey, Code::TooManyVersions, Code::TooManyVersions),
            (Kind::OtherGeography, Operation::RestoreKey, Code::CrossGeographyKey, Code::CrossGeographyKey),
            (Kind::OtherSubscription, Operation::RestoreKey, Code::CrossSubscriptionKey, Code::CrossSubscriptionKey),
            (Kind::PolicyDenied, Operation::WriteSecret, Code::TargetPolicyDenied, Code::TargetPolicyDenied),
            (Kind::Rejected, Operation::WriteSecret, Code::Unknown, Code::TargetRejected),
            (Kind::Unknown, Operation::List, Code::Unknown, Code::Unknown),
        ] {
            assert_eq!(code(kind, operation, Side::Source), source, "{kind:?} {operation:?}");
            assert_eq!(code(kind, operation, Side::Target), target, "{kind:?} {operation:?}");
        }
    }
}
