//! Keys.

use std::time::Duration;

use proto_msgs::{
    ItemType, Status, VersionId,
    record::OutcomeKind,
    vault::{Attributes, KeyRotation, Side},
};
use vault::{
    Operation, VaultErrorKind,
    memory::{End, Fate},
};

use crate::fixtures::newest;
use crate::stage::{Stage, name, on, tagged};

const KIND: ItemType = ItemType::Keys;

async fn stage() -> (Stage, VersionId) {
    let stage = Stage::new(KIND).await;
    let version = stage.source().make_key(&name(), "RSA", on()).unwrap();
    stage.pass(60).await;
    (stage, version)
}

#[tokio::test(start_paused = true)]
async fn a_first_restore_takes_four_calls() {
    let (stage, version) = stage().await;
    let record = stage.sync().await;
    let report = record.last_attempt.unwrap();
    assert_eq!((record.status, report.outcome), (Status::Active, OutcomeKind::Written));
    assert_eq!((report.calls.get, report.calls.set), (3, 1));
    assert_eq!(newest(&stage.target(), KIND).id, version);
}

#[tokio::test(start_paused = true)]
async fn a_key_rotated_between_the_read_and_the_backup_is_remembered_as_it_was_restored() {
    let (stage, first) = stage().await;
    let owner = stage.source();
    stage.fate(Operation::BackupKey, move || {
        owner.make_key(&name(), "RSA", tagged("a")).unwrap();
        Fate::FINE
    });
    let baseline = stage.sync().await.baseline.unwrap();
    let second = newest(&stage.source(), KIND).id;
    assert_ne!(first, second);
    assert_eq!((baseline.source.version, baseline.target.version), (Some(second.clone()), Some(second)));
    assert_eq!(baseline.read_at, proto_msgs::Timestamp::default());
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Active, OutcomeKind::Equal));
}

#[tokio::test(start_paused = true)]
async fn a_key_restored_by_an_attempt_nobody_heard_of_is_known_again_after_a_rotation() {
    let (stage, first) = stage().await;
    stage.fail(Operation::RestoreKey, End::Lost);
    assert!(stage.sync().await.unresolved.is_some());
    stage.source().make_key(&name(), "RSA", on()).unwrap();
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved), (Status::BlockedTargetKeyExists, None));
    assert_eq!(record.baseline.unwrap().source.version, Some(first));
}

#[tokio::test(start_paused = true)]
async fn a_restored_key_whose_tags_changed_since_is_updated() {
    let (stage, _) = stage().await;
    stage.fail(Operation::RestoreKey, End::Lost);
    stage.sync().await;
    stage.source().update(KIND, &name(), &tagged("a")).unwrap();
    stage.mend();
    assert_eq!(stage.sync_later().await.last_attempt.unwrap().outcome, OutcomeKind::Updated);
    assert_eq!(newest(&stage.target(), KIND).attributes.tags, tagged("a").tags);
}

#[tokio::test(start_paused = true)]
async fn a_restored_key_that_nobody_heard_of_is_ours_whatever_somebody_tagged_it_with() {
    let (stage, first) = stage().await;
    stage.fail(Operation::RestoreKey, End::Lost);
    stage.sync().await;
    stage.target().update(KIND, &name(), &tagged("theirs")).unwrap();
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved), (Status::Drifted, None));
    assert_eq!(record.baseline.unwrap().source.version, Some(first));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_somebody_else_is_never_replaced() {
    let (stage, _) = stage().await;
    stage.target().make_key(&name(), "RSA", on()).unwrap();
    let mut command = stage.command().await;
    command.behaviour.overwrite_on_conflict = true;
    stage.run(command).await.unwrap();
    assert_eq!(stage.head().await.envelope.body.status, Status::BlockedTargetKeyExists);
}

#[tokio::test(start_paused = true)]
async fn key_operations_that_change_later_are_carried() {
    let (stage, version) = stage().await;
    stage.sync().await;
    let verify = Attributes { key_operations: Some(["verify".to_owned()].into()), ..on() };
    stage.source().update(KIND, &name(), &verify).unwrap();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Active, OutcomeKind::Updated));
    let target = newest(&stage.target(), KIND);
    assert_eq!((target.id, target.attributes), (version, verify));
    assert_eq!(stage.sync_later().await.last_attempt.unwrap().outcome, OutcomeKind::Equal);
}

#[tokio::test(start_paused = true)]
async fn key_operations_changed_at_the_target_are_drift() {
    let (stage, _) = stage().await;
    stage.sync().await;
    let verify = Attributes { key_operations: Some(["verify".to_owned()].into()), ..on() };
    stage.target().update(KIND, &name(), &verify).unwrap();
    let record = stage.sync_thoroughly().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Drifted, OutcomeKind::Blocked));
}

#[tokio::test(start_paused = true)]
async fn the_record_shows_how_the_restored_key_is_rotated() {
    for (rotates, expected) in [(false, KeyRotation::Manual), (true, KeyRotation::Automatic)] {
        let (stage, _) = stage().await;
        stage.source().set_rotates(&name(), rotates).unwrap();
        assert_eq!(stage.sync().await.baseline.unwrap().rotation, Some(expected));
        stage.source().update(KIND, &name(), &tagged("later")).unwrap();
        assert_eq!(stage.sync_later().await.baseline.unwrap().rotation, Some(expected), "after an update");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_policy_that_cannot_be_read_stops_no_restore_and_hides_nothing_that_is_known() {
    let (stage, _) = stage().await;
    stage.fail(Operation::ReadRotation, End::Never);
    let record = stage.sync().await;
    assert_eq!((record.status, record.baseline.unwrap().rotation), (Status::Active, Some(KeyRotation::Unknown)));
    stage.mend();
    stage.target().set_rotates(&name(), true).unwrap();
    assert_eq!(stage.sync_thoroughly().await.baseline.unwrap().rotation, Some(KeyRotation::Automatic));
    stage.target().revoke(Side::Target, Operation::ReadRotation.data_action(KIND).unwrap());
    assert_eq!(stage.sync_thoroughly().await.baseline.unwrap().rotation, Some(KeyRotation::Automatic));
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_throttles_is_left_alone_though_the_restore_went_on() {
    let (stage, _) = stage().await;
    let retry_after = Some(Duration::from_secs(7));
    stage.fail(Operation::ReadRotation, End::Refused { kind: VaultErrorKind::Throttled, retry_after });
    let record = stage.sync().await;
    let attempt = record.last_attempt.unwrap();
    assert_eq!((record.status, attempt.throttled), (Status::Active, Some(Side::Source)));
    assert_eq!(attempt.retry_after_ms, Some(7_000));
}

#[tokio::test(start_paused = true)]
async fn key_operations_are_carried_where_an_older_success_did_not_note_them() {
    let (stage, _) = stage().await;
    let mut old = stage.sync().await;
    let baseline = old.baseline.as_mut().unwrap();
    for side in [&mut baseline.source, &mut baseline.target] {
        side.attributes.key_operations = None;
    }
    stage.append(old).await;
    let verify = Attributes { key_operations: Some(["verify".to_owned()].into()), ..on() };
    stage.source().update(KIND, &name(), &verify).unwrap();
    stage.sync_later().await;
    assert_eq!(newest(&stage.target(), KIND).attributes, verify);
}
