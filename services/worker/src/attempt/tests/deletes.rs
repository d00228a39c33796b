//! Deletes that are propagated.

use domain::lifecycle;
use proto_msgs::{
    ErrorCode, ItemType, Record, Status,
    config::DeleteTrigger,
    record::{Arrival, OutcomeKind},
    vault::Side,
};
use vault::{
    Operation,
    memory::{End, Owner, Slot},
};

use crate::fixtures::newest;
use crate::stage::{Stage, name, on, tagged};

const SECRETS: ItemType = ItemType::Secrets;

/// An item that was synced, is gone from the source as said, and is to be deleted at the target.
async fn gone(kind: ItemType, seen: DeleteTrigger) -> Stage {
    let stage = Stage::new(kind).await;
    stage.make(&stage.source());
    stage.pass(60).await;
    assert_eq!(stage.sync().await.status, Status::Active);
    stage.pass(60).await;
    stage.source().delete(kind, &name()).unwrap();
    if seen == DeleteTrigger::Purged {
        stage.source().purge(kind, &name()).unwrap();
    }
    stage.delete_is_due(seen).await;
    stage
}

fn is_live(owner: &Owner, kind: ItemType) -> bool {
    matches!(owner.slot(kind, &name()), Some(Slot::Live { .. }))
}

/// Nothing was asked of the target that deletes.
fn was_left_alone(stage: &Stage) {
    assert_eq!(stage.target().calls(Operation::Delete), 0);
    assert!(is_live(&stage.target(), stage.kind()));
}

/// The attempt ended without a delete and is made again.
fn is_retried(record: &Record) {
    assert_eq!((record.status, record.delete.is_some()), (Status::Retrying, true), "{record:?}");
    assert!(record.baseline.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_from_the_source_is_soft_deleted_at_the_target_and_never_purged() {
    for kind in ItemType::ALL {
        for seen in [DeleteTrigger::Purged, DeleteTrigger::Deleted] {
            let stage = gone(kind, seen).await;
            let record = stage.sync().await;
            let report = record.last_attempt.unwrap();
            assert_eq!((record.status, record.code), (Status::Deleted, Some(ErrorCode::SourceGone)), "{kind} {seen:?}");
            assert_eq!((record.baseline, record.delete, record.unresolved), (None, None, None));
            assert!(record.deleted_at.is_some());
            assert_eq!((report.outcome, report.calls.set), (OutcomeKind::Deleted, 1));
            assert!(matches!(stage.target().slot(kind, &name()), Some(Slot::Deleted { .. })));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_intent_of_a_delete_says_so() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.fail(Operation::Delete, End::Lost);
    let record = stage.sync().await;
    assert!(record.unresolved.unwrap().deletes);
}

#[tokio::test(start_paused = true)]
async fn no_value_is_read_for_a_delete() {
    let stage = gone(SECRETS, DeleteTrigger::Deleted).await;
    let read = || [stage.source(), stage.target()].map(|owner| owner.calls(Operation::ReadSecret));
    let before = read();
    stage.sync().await;
    assert_eq!(read(), before);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_at_the_source_again_is_not_deleted_but_synced() {
    for kind in ItemType::ALL {
        let stage = gone(kind, DeleteTrigger::Deleted).await;
        stage.source().recover(kind, &name()).unwrap();
        let record = stage.sync().await;
        assert_eq!((record.status, record.delete, record.unresolved), (Status::Pending, None, None), "{kind}");
        was_left_alone(&stage);
        assert_eq!(stage.sync_later().await.status, Status::Active);
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_that_was_listed_as_purged_and_can_be_recovered_is_not_deleted() {
    let stage = gone(SECRETS, DeleteTrigger::Deleted).await;
    stage.delete_is_due(DeleteTrigger::Purged).await;
    let record = stage.sync().await;
    assert_eq!((record.status, record.delete), (Status::BlockedSourceSoftDeleted, None));
    was_left_alone(&stage);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_was_listed_as_soft_deleted_and_is_nowhere_is_not_deleted_yet() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.delete_is_due(DeleteTrigger::Deleted).await;
    let record = stage.sync().await;
    is_retried(&record);
    assert_eq!(record.code, Some(ErrorCode::SourceNotFound));
    was_left_alone(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_403_is_not_a_404() {
    for kind in ItemType::ALL {
        for operation in [Operation::ReadDeleted, Operation::ReadMeta] {
            let stage = gone(kind, DeleteTrigger::Purged).await;
            stage.fail(operation, End::Refused { kind: vault::VaultErrorKind::Forbidden, retry_after: None });
            let record = stage.sync().await;
            assert_eq!((record.status, record.code), (Status::Failed, Some(ErrorCode::SourceAuthFailed)));
            was_left_alone(&stage);
        }
    }
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.target().revoke(Side::Target, Operation::ReadMeta.data_action(SECRETS).unwrap());
    assert_eq!(stage.sync().await.code, Some(ErrorCode::TargetAuthFailed));
    was_left_alone(&stage);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_as_it_was_left_is_not_deleted() {
    for kind in ItemType::ALL {
        let changes: [fn(&Stage); 2] = [
            |stage| _ = stage.make(&stage.target()),
            |stage| _ = stage.target().update(stage.kind(), &name(), &tagged("theirs")).unwrap(),
        ];
        for change in changes {
            let stage = gone(kind, DeleteTrigger::Purged).await;
            change(&stage);
            let record = stage.sync().await;
            assert_eq!((record.status, record.code), (Status::Drifted, Some(ErrorCode::Drift)), "{kind}");
            assert_eq!(record.target_seen.unwrap().version, Some(newest(&stage.target(), kind).id));
            assert_eq!((record.delete, record.baseline.is_some()), (None, true));
            was_left_alone(&stage);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_touched_and_set_back_is_not_deleted() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.target().update(SECRETS, &name(), &on()).unwrap();
    assert_eq!(stage.sync().await.status, Status::Drifted);
    was_left_alone(&stage);
}

#[tokio::test(start_paused = true)]
async fn what_was_adopted_is_not_deleted() {
    let stage = Stage::new(SECRETS).await;
    for owner in [stage.source(), stage.target()] {
        owner.set_secret(&name(), "one", on()).unwrap();
    }
    assert_eq!(stage.sync().await.baseline.unwrap().how, Arrival::Adopted);
    stage.source().delete(SECRETS, &name()).unwrap();
    stage.delete_is_due(DeleteTrigger::Deleted).await;
    let record = stage.sync().await;
    assert_eq!((record.status, record.code), (Status::Disabled, Some(ErrorCode::SourceGone)));
    was_left_alone(&stage);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_is_not_deleted_however_equal_it_is() {
    let stage = Stage::new(SECRETS).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.pass(60).await;
    stage.target().set_secret(&name(), "one", on()).unwrap();
    let record = stage.sync_thoroughly().await;
    assert_eq!((record.status, record.baseline.unwrap().how), (Status::Active, Arrival::Adopted));
    stage.source().delete(SECRETS, &name()).unwrap();
    stage.delete_is_due(DeleteTrigger::Deleted).await;
    assert_eq!(stage.sync_later().await.status, Status::Disabled);
    was_left_alone(&stage);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deleted_already_is_not_counted_as_our_delete() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.target().delete(SECRETS, &name()).unwrap();
    let record = stage.sync().await;
    assert_eq!((record.status, record.deleted_at, record.baseline), (Status::Deleted, None, None));
    assert_eq!(record.last_attempt.unwrap().outcome, OutcomeKind::Equal);
    assert_eq!(stage.target().calls(Operation::Delete), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_answer_was_lost_is_settled_by_a_look_at_the_target() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.fail(Operation::Delete, End::Lost);
    let record = stage.sync().await;
    is_retried(&record);
    assert_eq!(record.last_attempt.unwrap().outcome, OutcomeKind::Unknown);
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved), (Status::Deleted, None));
    assert_eq!((record.last_attempt.unwrap().outcome, record.deleted_at.is_some()), (OutcomeKind::Settled, true));
    assert_eq!(stage.target().calls(Operation::Delete), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_never_arrived_is_made_again() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.fail(Operation::Delete, End::Never);
    is_retried(&stage.sync().await);
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Deleted, OutcomeKind::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_delete_takes_the_place_of_an_older_write_that_never_arrived() {
    let stage = Stage::new(SECRETS).await;
    stage.make(&stage.source());
    stage.sync().await;
    stage.pass(60).await;
    stage.make(&stage.source());
    stage.fail(Operation::WriteSecret, End::Never);
    assert!(stage.sync_later().await.unresolved.is_some_and(|older| !older.deletes));
    stage.source().delete(SECRETS, &name()).unwrap();
    stage.delete_is_due(DeleteTrigger::Deleted).await;
    stage.fail(Operation::Delete, End::Lost);
    assert!(stage.sync_later().await.unresolved.is_some_and(|older| older.deletes));
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Deleted, OutcomeKind::Settled));
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_after_a_delete_of_unknown_outcome_is_a_first_write() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.fail(Operation::Delete, End::Lost);
    stage.sync().await;
    stage.mend();
    stage.source().set_secret(&name(), "two", on()).unwrap();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.delete), (Status::Pending, None));
    assert!(record.unresolved.is_some_and(|older| older.deletes));
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.baseline), (Status::BlockedTargetSoftDeleted, None));
    assert!(record.deleted_at.is_some(), "it counts among the deletes of the day");
    stage.target().purge(SECRETS, &name()).unwrap();
    assert_eq!(stage.sync_later().await.baseline.unwrap().how, Arrival::Written);
}

#[tokio::test(start_paused = true)]
async fn an_item_of_somebody_else_is_not_taken_for_ours_after_a_delete_of_unknown_outcome() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.fail(Operation::Delete, End::Lost);
    stage.sync().await;
    stage.mend();
    stage.target().purge(SECRETS, &name()).unwrap();
    for owner in [stage.source(), stage.target()] {
        owner.set_secret(&name(), "two", on()).unwrap();
    }
    stage.sync_later().await;
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.baseline.unwrap().how), (Status::Active, Arrival::Adopted));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_after_an_edit_a_stop_or_a_take_over_or_where_the_log_does_not_answer() {
    for what in ["edit", "pause", "stop", "take-over", "silence"] {
        let stage = gone(SECRETS, DeleteTrigger::Purged).await;
        let mut command = stage.command().await;
        match what {
            "edit" => _ = stage.edit(|config| config.spec.behaviour.propagate_deletes = false).await,
            "pause" => command.revision = stage.edit(|config| config.spec.paused = true).await,
            "stop" => stage.stop_all().await,
            "take-over" => _ = stage.take_slot().await,
            _ => stage.config_is_unreadable(),
        }
        stage.run(command).await.unwrap();
        let record = stage.head().await.envelope.body;
        is_retried(&record);
        assert_eq!(record.unresolved, None, "{what}");
        was_left_alone(&stage);
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_of_a_write_holds_for_a_delete() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    let record = stage.sync().await;
    is_retried(&record);
    was_left_alone(&stage);
    let report = record.last_attempt.unwrap();
    assert_eq!((report.failed, report.calls.set), (None, 0), "it says nothing of a vault");
    assert!(record.detail.unwrap().message.starts_with("this attempt wrote nothing"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_was_overtaken_is_noted_as_one() {
    let stage = gone(SECRETS, DeleteTrigger::Purged).await;
    stage.fate(Operation::Delete, || vault::memory::Fate {
        travel: std::time::Duration::from_secs(5),
        ..vault::memory::Fate::FINE
    });
    let command = stage.command().await;
    let (ended, ()) = tokio::join!(stage.run(command), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let record = stage.head().await.envelope.body;
        stage.append(lifecycle::pending(record, None, proto_msgs::Revision(1))).await;
    });
    assert!(ended.is_err());
    let late = stage.head().await.envelope.body.late;
    assert!(late.len() == 1 && late[0].deletes, "{late:?}");
}
