//! Overwriting what is not Keyferry's.

use domain::lifecycle;
use proto_msgs::{ErrorCode, ItemType, Record, Status, record::LeaveKind, worker::SyncRecord};

use crate::fixtures::{holds, versions};
use crate::stage::{Stage, name, on, tagged};

/// A conflict, and leave to overwrite it.
async fn conflict() -> (Stage, SyncRecord) {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.target().set_secret(&name(), "somebody's", on()).unwrap();
    let mut command = stage.command().await;
    command.behaviour.overwrite_on_conflict = true;
    (stage, command)
}

async fn left_alone(stage: &Stage) -> Record {
    let record = stage.head().await.envelope.body;
    assert_eq!((record.status, record.code), (Status::Retrying, Some(ErrorCode::TransientNetwork)));
    assert_eq!((record.unresolved.clone(), record.next_attempt.is_some()), (None, true));
    assert!(holds(&stage.target(), "somebody's"));
    assert_eq!(versions(&stage.target()), 1);
    record
}

#[tokio::test(start_paused = true)]
async fn a_foreign_item_is_overwritten_where_that_is_wanted() {
    let (stage, command) = conflict().await;
    stage.run(command).await.unwrap();
    assert_eq!(stage.head().await.envelope.body.status, Status::Active);
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_item_is_left_alone_after_an_edit_nobody_told_the_worker_of() {
    let (stage, command) = conflict().await;
    stage.edit(|config| config.spec.exclude.push("item".to_owned())).await;
    stage.run(command).await.unwrap();
    left_alone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_item_is_left_alone_under_a_deleted_config() {
    let (stage, mut command) = conflict().await;
    command.revision = stage.edit(|config| config.deleted = true).await;
    stage.run(command).await.unwrap();
    left_alone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_item_is_left_alone_after_a_stop_or_a_pause_nobody_told_the_worker_of() {
    let (stage, command) = conflict().await;
    stage.stop_all().await;
    stage.run(command).await.unwrap();
    left_alone(&stage).await;

    let (stage, mut command) = conflict().await;
    command.revision = stage.edit(|config| config.spec.paused = true).await;
    stage.run(command).await.unwrap();
    left_alone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_item_is_left_alone_by_an_owner_that_lost_its_slot() {
    let (stage, command) = conflict().await;
    stage.take_slot().await;
    stage.run(command).await.unwrap();
    left_alone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_item_is_left_alone_where_the_log_does_not_answer() {
    let (stage, command) = conflict().await;
    stage.config_is_unreadable();
    stage.run(command).await.unwrap();
    left_alone(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_put_over_our_copy_is_foreign_too() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    let record = stage.sync().await;
    stage.target().set_secret(&name(), "meddled", on()).unwrap();
    stage.source().set_secret(&name(), "two", on()).unwrap();
    stage.append(lifecycle::asked(record, proto_msgs::Revision(1))).await;
    let command = stage.command().await;
    stage.edit(|config| config.spec.exclude.push("item".to_owned())).await;
    stage.run(command).await.unwrap();
    assert!(holds(&stage.target(), "meddled"));
}

/// Keyferry's copy of "one", and what somebody did to it at the target, as an attempt showed it.
async fn drifted(meddle: impl FnOnce(&Stage)) -> Stage {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.pass(60).await;
    meddle(&stage);
    assert_eq!(stage.sync_thoroughly().await.status, Status::Drifted);
    stage
}

#[tokio::test(start_paused = true)]
async fn leave_to_write_a_soft_deleted_item_again_stands_until_its_name_is_free() {
    let stage = drifted(|stage| stage.target().delete(ItemType::Secrets, &name()).unwrap()).await;
    stage.give(LeaveKind::Correct).await;
    for _ in 0..2 {
        let record = stage.sync_later().await;
        assert_eq!((record.status, record.leave.is_some()), (Status::BlockedTargetSoftDeleted, true));
    }
    stage.target().purge(ItemType::Secrets, &name()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn accepted_content_is_said_to_differ_and_any_change_of_the_source_writes_it_whole() {
    let stage = drifted(|stage| stage.target().set_secret(&name(), "theirs", on()).map(drop).unwrap()).await;
    stage.give(LeaveKind::Accept).await;
    for record in [stage.sync_later().await, stage.sync_thoroughly().await] {
        assert!(record.detail.unwrap().message.contains("accepted"));
        assert!(record.status == Status::Active && holds(&stage.target(), "theirs"));
    }
    stage.source().update(ItemType::Secrets, &name(), &tagged("a")).unwrap();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.detail), (Status::Active, None));
    assert!(holds(&stage.target(), "one"));
}
