//! What keeps an item from its target: each code comes out of an attempt.

use std::time::Duration;

use proto_msgs::{
    DriftPolicy, ErrorCode, ItemType, Record, Status,
    vault::{Attributes, Side},
};
use vault::{
    Operation, VaultErrorKind,
    memory::{End, Format, NewCertificate},
};

use crate::fixtures::at;
use crate::stage::{Stage, name, on};

const LONG: Duration = Duration::from_secs(30);

async fn stage(kind: ItemType) -> Stage {
    let stage = Stage::new(kind).await;
    stage.make(&stage.source());
    stage.pass(60).await;
    stage
}

fn is(record: &Record, status: Status, code: ErrorCode) {
    assert_eq!((record.status, record.code), (status, Some(code)), "{record:?}");
}

/// While the target's item is being deleted, and after that.
async fn is_told_apart(stage: &Stage) {
    let kind = stage.kind();
    stage.azure.set_phase(LONG);
    stage.target().delete(kind, &name()).unwrap();
    is(&stage.sync().await, Status::Retrying, ErrorCode::TargetBeingDeleted);
    let record = stage.sync_later().await;
    is(&record, Status::BlockedTargetSoftDeleted, ErrorCode::TargetSoftDeleted);
    let seen = record.target_seen.expect("what is soft-deleted was seen");
    assert_eq!((seen.version, seen.attributes.tags), (None, on().tags));
    stage.target().purge(kind, &name()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn soft_deleted_and_being_deleted_are_told_apart_at_a_first_write() {
    for kind in ItemType::ALL {
        let stage = stage(kind).await;
        stage.make(&stage.target());
        stage.pass(60).await;
        is_told_apart(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn soft_deleted_and_being_deleted_are_told_apart_at_a_later_write() {
    for kind in [ItemType::Secrets, ItemType::Certificates] {
        let stage = stage(kind).await;
        stage.sync().await;
        stage.pass(60).await;
        stage.make(&stage.source());
        stage.pass(60).await;
        is_told_apart(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn soft_deleted_and_being_deleted_are_told_apart_where_a_missing_key_is_restored() {
    let mut stage = stage(ItemType::Keys).await;
    stage.set_policy(DriftPolicy::Correct);
    stage.sync().await;
    stage.pass(60).await;
    let record = stage.head().await.envelope.body;
    stage.append(domain::lifecycle::asked(record, proto_msgs::Revision(1))).await;
    is_told_apart(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_is_refused_without_a_reason_finds_one() {
    let stage = stage(ItemType::Keys).await;
    stage.make(&stage.target());
    stage.azure.set_phase(LONG);
    stage.target().delete(ItemType::Keys, &name()).unwrap();
    stage.fail(Operation::RestoreKey, End::Refused { kind: VaultErrorKind::AlreadyExists, retry_after: None });
    is(&stage.sync().await, Status::Retrying, ErrorCode::TargetBeingDeleted);
    let record = stage.sync_later().await;
    is(&record, Status::BlockedTargetSoftDeleted, ErrorCode::TargetSoftDeleted);
    assert!(record.target_seen.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_at_the_target_is_no_name_that_is_taken() {
    let mut stage = stage(ItemType::Certificates).await;
    stage.overwrite();
    stage.target().request_certificate(&name()).unwrap();
    let record = stage.sync().await;
    is(&record, Status::Failed, ErrorCode::Unknown);
    assert!(record.detail.unwrap().message.contains("under way"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_certificate_takes_is_shown_with_what_is_there() {
    for kind in [ItemType::Secrets, ItemType::Keys] {
        let stage = stage(kind).await;
        let theirs = stage.target().issue(&name(), &certificate(true, 1_000_000)).unwrap();
        let record = stage.sync().await;
        if kind == ItemType::Secrets {
            assert_eq!(record.target_seen.as_ref().and_then(|seen| seen.version.clone()), Some(theirs));
        }
        is(&record, Status::BlockedTargetNameTaken, ErrorCode::TargetNameTaken);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_plain_secret_or_key_takes_is_in_a_certificates_way() {
    let stage = stage(ItemType::Certificates).await;
    stage.target().set_secret(&name(), "plain", on()).unwrap();
    is(&stage.sync().await, Status::BlockedTargetNameTaken, ErrorCode::TargetNameTaken);
}

fn certificate(exportable: bool, not_after: i64) -> NewCertificate {
    NewCertificate {
        format: Format::Pkcs12,
        exportable,
        key_type: "RSA".to_owned(),
        not_before: at(-1_000),
        not_after: at(not_after),
        attributes: on(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_whose_key_cannot_leave_is_blocked_and_not_exported() {
    let stage = Stage::new(ItemType::Certificates).await;
    stage.source().issue(&name(), &certificate(false, 1_000_000)).unwrap();
    let record = stage.sync().await;
    is(&record, Status::BlockedCertificateNotExportable, ErrorCode::CertificateNotExportable);
    assert_eq!(stage.source().calls(Operation::ExportCertificate), 0);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_was_never_issued_is_pending_and_follows_once_it_is() {
    let stage = Stage::new(ItemType::Certificates).await;
    stage.source().request_certificate(&name()).unwrap();
    is(&stage.sync().await, Status::BlockedCertificatePending, ErrorCode::CertificatePending);
    stage.make(&stage.source());
    assert_eq!(stage.sync_later().await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_on_its_way_is_expired() {
    let stage = Stage::new(ItemType::Certificates).await;
    stage.source().issue(&name(), &certificate(true, 1_000_000)).unwrap();
    stage.fail(
        Operation::ImportCertificate,
        End::Refused { kind: VaultErrorKind::CertificateExpired, retry_after: None },
    );
    is(&stage.sync().await, Status::BlockedCertificateExpired, ErrorCode::CertificateExpired);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_more_versions_than_a_backup_takes_needs_somebody() {
    let stage = stage(ItemType::Keys).await;
    for _ in 0..500 {
        stage.make(&stage.source());
    }
    is(&stage.sync().await, Status::Failed, ErrorCode::TooManyVersions);
    assert_eq!(stage.target().calls(Operation::RestoreKey), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_exists_is_shown_with_what_is_there_at_first_and_after_a_rotation() {
    let stage = stage(ItemType::Keys).await;
    let theirs = stage.make(&stage.target());
    let record = stage.sync().await;
    is(&record, Status::BlockedTargetKeyExists, ErrorCode::TargetKeyExists);
    assert_eq!(record.target_seen.unwrap().version, Some(theirs));

    let stage = self::stage(ItemType::Keys).await;
    stage.sync().await;
    stage.pass(60).await;
    stage.make(&stage.source());
    is(&stage.sync_later().await, Status::BlockedTargetKeyExists, ErrorCode::TargetKeyExists);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_somebody_set_on_a_key_cannot_be_cleared() {
    let mut stage = stage(ItemType::Keys).await;
    stage.set_policy(DriftPolicy::Correct);
    stage.sync().await;
    stage.pass(60).await;
    let expiring = Attributes { expires: Some(at(1_000_000)), ..on() };
    stage.target().update(ItemType::Keys, &name(), &expiring).unwrap();
    let record = stage.sync_thoroughly().await;
    is(&record, Status::Failed, ErrorCode::AttributeCannotBeCleared);
    assert_eq!(record.target_seen.unwrap().attributes.expires, Some(at(1_000_000)));
    assert_eq!(stage.target().calls(Operation::Update), 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_azure_does_not_take_needs_somebody() {
    for kind in ItemType::ALL {
        let stage = stage(kind).await;
        let write = match kind {
            ItemType::Secrets => Operation::WriteSecret,
            ItemType::Certificates => Operation::ImportCertificate,
            ItemType::Keys => Operation::RestoreKey,
        };
        stage.fail(write, End::Refused { kind: VaultErrorKind::Rejected, retry_after: None });
        is(&stage.sync().await, Status::Failed, ErrorCode::TargetRejected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_azure_policy_refuses_needs_somebody() {
    for kind in ItemType::ALL {
        let stage = stage(kind).await;
        stage.target().set_policy_denies(true);
        is(&stage.sync().await, Status::Failed, ErrorCode::TargetPolicyDenied);
        stage.target().set_policy_denies(false);
        assert_eq!(stage.sync_later().await.status, Status::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_an_unknown_type_is_looked_at_once_more_and_then_needs_somebody() {
    let stage = Stage::new(ItemType::Keys).await;
    stage.source().make_key(&name(), "LATTICE", on()).unwrap();
    is(&stage.sync().await, Status::Retrying, ErrorCode::UnknownKeyType);
    is(&stage.sync_later().await, Status::Failed, ErrorCode::UnknownKeyType);
    assert_eq!(stage.source().calls(Operation::BackupKey), 0);
}

#[tokio::test(start_paused = true)]
async fn rights_that_are_missing_are_named_by_end_and_call() {
    for (side, operation, code) in [
        (Side::Source, Operation::ReadKey, ErrorCode::SourceAuthFailed),
        (Side::Source, Operation::BackupKey, ErrorCode::RbacBackupKey),
        (Side::Target, Operation::RestoreKey, ErrorCode::RbacRestoreKey),
    ] {
        let stage = stage(ItemType::Keys).await;
        let owner = if side == Side::Source { stage.source() } else { stage.target() };
        let action = operation.data_action(ItemType::Keys).unwrap();
        owner.revoke(side, action);
        // Whoever may not read may not list either.
        stage.run(stage.retry().await).await.unwrap();
        let record = stage.head().await.envelope.body;
        is(&record, Status::Failed, code);
        assert_eq!(record.detail.unwrap().missing_action.as_deref(), Some(action));
        assert!(stage.target().slot(ItemType::Keys, &name()).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_blocked_by_the_target_is_forgotten_once_it_is_in_sync() {
    let stage = stage(ItemType::Keys).await;
    stage.make(&stage.target());
    assert!(stage.sync().await.target_seen.is_some());
    stage.target().delete(ItemType::Keys, &name()).unwrap();
    stage.target().purge(ItemType::Keys, &name()).unwrap();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.target_seen), (Status::Active, None));
}
