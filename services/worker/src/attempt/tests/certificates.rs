//! Certificates.

use proto_msgs::{ErrorCode, ItemType, Status, Timestamp, VersionId, record::OutcomeKind};
use vault::{
    Operation, VaultErrorKind,
    memory::{Content, End, Format, NewCertificate, Owner, Version},
};

use crate::fixtures::{at, newest};
use crate::stage::{Stage, name, off, on, tagged};

const KIND: ItemType = ItemType::Certificates;
const THROTTLED: End = End::Refused { kind: VaultErrorKind::Throttled, retry_after: None };

fn issue(owner: &Owner, not_after: Timestamp) -> VersionId {
    let certificate = NewCertificate {
        format: Format::Pkcs12,
        exportable: true,
        key_type: "RSA".to_owned(),
        not_before: at(-1_000),
        not_after,
        attributes: on(),
    };
    owner.issue(&name(), &certificate).unwrap()
}

fn x5t(owner: &Owner) -> String {
    let Version { content: Content::Certificate { x5t, .. }, .. } = newest(owner, KIND) else {
        panic!("not a certificate")
    };
    x5t
}

async fn stage() -> Stage {
    let stage = Stage::new(KIND).await;
    issue(&stage.source(), at(1_000_000));
    stage.pass(60).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_first_write_looks_at_both_ends_and_carries_one_version() {
    let stage = stage().await;
    let record = stage.sync().await;
    let report = record.last_attempt.unwrap();
    assert_eq!((record.status, report.outcome), (Status::Active, OutcomeKind::Written));
    assert_eq!((report.calls.get, report.calls.set), (3, 1));
    assert_eq!(x5t(&stage.target()), x5t(&stage.source()));
}

#[tokio::test(start_paused = true)]
async fn a_disabled_certificate_is_carried_as_attributes_until_it_is_enabled() {
    let stage = stage().await;
    stage.sync().await;
    let before = x5t(&stage.target());
    issue(&stage.source(), at(2_000_000));
    stage.source().update(KIND, &name(), &off()).unwrap();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Active, OutcomeKind::Updated));
    assert!(!newest(&stage.target(), KIND).attributes.enabled);
    assert_eq!(x5t(&stage.target()), before);
    assert_eq!(stage.sync_later().await.last_attempt.unwrap().outcome, OutcomeKind::Equal);
    stage.source().update(KIND, &name(), &on()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert_eq!(x5t(&stage.target()), x5t(&stage.source()));
    assert!(newest(&stage.target(), KIND).attributes.enabled);
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_is_not_exported() {
    let stage = Stage::new(KIND).await;
    issue(&stage.source(), at(30));
    stage.pass(60).await;
    let record = stage.sync().await;
    assert_eq!((record.status, record.code), (Status::BlockedCertificateExpired, Some(ErrorCode::CertificateExpired)));
    assert_eq!(stage.source().calls(Operation::ExportCertificate), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_imported_is_remembered_as_such_when_the_source_was_renewed_and_the_next_import_fails() {
    let stage = stage().await;
    stage.fail(Operation::ImportCertificate, End::Lost);
    assert!(stage.sync().await.unresolved.is_some());
    let first = x5t(&stage.target());
    issue(&stage.source(), at(2_000_000));
    stage.fail(Operation::ImportCertificate, THROTTLED);
    let record = stage.sync_later().await;
    let baseline = record.baseline.unwrap();
    assert_eq!((record.status, record.unresolved), (Status::Retrying, None));
    assert_eq!((baseline.source.x5t, baseline.source.version), (Some(first), None));
    stage.mend();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert_eq!(x5t(&stage.target()), x5t(&stage.source()));
}

#[tokio::test(start_paused = true)]
async fn tags_that_changed_after_a_lost_import_are_brought_over() {
    let stage = stage().await;
    stage.fail(Operation::ImportCertificate, End::Lost);
    stage.sync().await;
    stage.source().update(KIND, &name(), &tagged("a")).unwrap();
    stage.mend();
    assert_eq!(stage.sync_later().await.last_attempt.unwrap().outcome, OutcomeKind::Updated);
    assert_eq!(newest(&stage.target(), KIND).attributes.tags, tagged("a").tags);
}
