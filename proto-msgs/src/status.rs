//! The statuses of a record.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{ErrorCode, codes},
    ids::{InvalidId, text_serde},
};

codes!(
    /// Where a record stands. Every status but `pending`, `syncing` and `active` goes with exactly one [`ErrorCode`].
    Status, "status", {
    /// Will be synced in this run.
    Pending = "pending",
    /// Being attempted now.
    Syncing = "syncing",
    /// In sync as of the last cycle.
    Active = "active",
    /// A transient failure; the next attempt has a time.
    Retrying = "retrying",
    /// Needs somebody.
    Failed = "failed",
    /// The target is not as it was left.
    Drifted = "drifted",
    BlockedExcluded = "blocked_excluded",
    BlockedSourceSoftDeleted = "blocked_source_soft_deleted",
    BlockedSourceDisabled = "blocked_source_disabled",
    BlockedCrossGeographyKey = "blocked_cross_geography_key",
    BlockedCrossSubscriptionKey = "blocked_cross_subscription_key",
    BlockedTargetConflict = "blocked_target_conflict",
    BlockedTargetClaimed = "blocked_target_claimed",
    BlockedTargetNameTaken = "blocked_target_name_taken",
    BlockedTargetSoftDeleted = "blocked_target_soft_deleted",
    BlockedManagedByCertificate = "blocked_managed_by_certificate",
    BlockedGeographyUnknown = "blocked_geography_unknown",
    BlockedTargetKeyExists = "blocked_target_key_exists",
    BlockedCertificateNotExportable = "blocked_certificate_not_exportable",
    BlockedCertificatePending = "blocked_certificate_pending",
    BlockedCertificateExpired = "blocked_certificate_expired",
    BlockedDeleteHeld = "blocked_delete_held",
    /// Source gone, rule no longer matches, or switched off by an operator.
    Disabled = "disabled",
    /// Its delete was propagated; kept as a tombstone.
    Deleted = "deleted",
});

impl Status {
    /// The status a record takes when `code` blocks it; none if the code does not block.
    pub fn blocked_by(code: ErrorCode) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.is_blocked() && status.blocking_code() == Some(code))
    }

    /// The one code that goes with a `blocked_*` status.
    pub fn blocking_code(self) -> Option<ErrorCode> {
        Some(match self {
            Self::BlockedExcluded => ErrorCode::Excluded,
            Self::BlockedSourceSoftDeleted => ErrorCode::SourceSoftDeleted,
            Self::BlockedSourceDisabled => ErrorCode::SourceDisabled,
            Self::BlockedCrossGeographyKey => ErrorCode::CrossGeographyKey,
            Self::BlockedCrossSubscriptionKey => ErrorCode::CrossSubscriptionKey,
            Self::BlockedTargetConflict => ErrorCode::TargetConflictActive,
            Self::BlockedTargetClaimed => ErrorCode::TargetClaimed,
            Self::BlockedTargetNameTaken => ErrorCode::TargetNameTaken,
            Self::BlockedTargetSoftDeleted => ErrorCode::TargetSoftDeleted,
            Self::BlockedManagedByCertificate => ErrorCode::ManagedByCertificate,
            Self::BlockedGeographyUnknown => ErrorCode::GeographyUnknown,
            Self::BlockedTargetKeyExists => ErrorCode::TargetKeyExists,
            Self::BlockedCertificateNotExportable => ErrorCode::CertificateNotExportable,
            Self::BlockedCertificatePending => ErrorCode::CertificatePending,
            Self::BlockedCertificateExpired => ErrorCode::CertificateExpired,
            Self::BlockedDeleteHeld => ErrorCode::DeleteHeld,
            Self::Pending
            | Self::Syncing
            | Self::Active
            | Self::Retrying
            | Self::Failed
            | Self::Drifted
            | Self::Disabled
            | Self::Deleted => return None,
        })
    }

    pub fn is_blocked(self) -> bool {
        self.blocking_code().is_some()
    }

    /// Nothing more happens to the record in this run without somebody.
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Syncing | Self::Retrying)
    }

    /// Whether the status stands for itself; every other one carries a code.
    pub fn needs_no_code(self) -> bool {
        matches!(self, Self::Pending | Self::Syncing | Self::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blocked_status_has_a_code_of_its_own() {
        let blocked: Vec<_> = Status::ALL.iter().filter(|s| s.as_str().starts_with("blocked_")).collect();
        assert_eq!(blocked.len(), 16);
        for status in blocked {
            let code = status.blocking_code().unwrap();
            assert_eq!(Status::blocked_by(code), Some(*status));
        }
    }

    #[test]
    fn words_are_read_back_and_others_refused() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().as_ref(), Ok(status));
        }
        assert!("ACTIVE".parse::<Status>().is_err());
    }
}
