//! Secrets, where nothing is left of earlier attempts.

use std::time::Duration;

use proto_msgs::{
    ErrorCode, ItemType, Status,
    record::{Arrival, OutcomeKind},
    vault::Side,
};
use vault::{Operation, VaultErrorKind, memory::End};

use crate::fixtures::{holds, versions};
use crate::stage::{Stage, name, on, tagged};

#[tokio::test(start_paused = true)]
async fn a_first_write_takes_three_calls() {
    let stage = Stage::new(ItemType::Secrets).await;
    let version = stage.source().set_secret(&name(), "one", tagged("a")).unwrap();
    let record = stage.sync().await;
    assert_eq!((record.status, record.attempt, record.unresolved), (Status::Active, 0, None));
    let (baseline, report) = (record.baseline.unwrap(), record.last_attempt.unwrap());
    assert_eq!(baseline.source.version, Some(version));
    assert_eq!(baseline.target.attributes, tagged("a"));
    assert_eq!((report.outcome, report.calls.get, report.calls.set), (OutcomeKind::Written, 2, 1));
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn what_is_equal_is_adopted_and_what_differs_is_left_alone() {
    for (there, status) in [("one", Status::Active), ("other", Status::BlockedTargetConflict)] {
        let stage = Stage::new(ItemType::Secrets).await;
        stage.source().set_secret(&name(), "one", on()).unwrap();
        stage.target().set_secret(&name(), there, on()).unwrap();
        let record = stage.sync().await;
        assert_eq!(record.status, status);
        assert_eq!(record.baseline.map(|baseline| baseline.how), (there == "one").then_some(Arrival::Adopted));
        assert_eq!(versions(&stage.target()), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_values_may_not_be_read_is_written_where_nothing_is() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.target().revoke(Side::Target, Operation::ReadSecret.data_action(ItemType::Secrets).unwrap());
    stage.source().set_secret(&name(), "one", on()).unwrap();
    assert_eq!(stage.sync().await.status, Status::Active);
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_values_may_not_be_read_is_left_alone_where_something_is() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.target().revoke(Side::Target, Operation::ReadSecret.data_action(ItemType::Secrets).unwrap());
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.target().set_secret(&name(), "one", on()).unwrap();
    assert_eq!(stage.sync().await.status, Status::BlockedTargetConflict);
    assert_eq!(versions(&stage.target()), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_synced_has_not_drifted() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.fail(Operation::WriteSecret, End::Refused { kind: VaultErrorKind::NotFound, retry_after: None });
    let record = stage.sync().await;
    assert_eq!((record.status, record.code), (Status::Failed, Some(ErrorCode::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_says_which_vault_asked_to_be_left_alone_and_for_how_long() {
    let wait = Some(Duration::from_millis(1_500));
    for (operation, side, kind, code, wait) in [
        (Operation::ReadSecret, Side::Source, VaultErrorKind::Throttled, ErrorCode::Throttled, wait),
        (Operation::WriteSecret, Side::Target, VaultErrorKind::Throttled, ErrorCode::Throttled, None),
        (Operation::ReadSecret, Side::Source, VaultErrorKind::Transient, ErrorCode::TransientNetwork, wait),
        (Operation::WriteSecret, Side::Target, VaultErrorKind::Transient, ErrorCode::TransientNetwork, wait),
    ] {
        let stage = Stage::new(ItemType::Secrets).await;
        stage.source().set_secret(&name(), "one", on()).unwrap();
        stage.fail(operation, End::Refused { kind, retry_after: wait });
        let record = stage.sync().await;
        let report = record.last_attempt.unwrap();
        assert_eq!((record.code, report.throttled), (Some(code), Some(side)));
        assert_eq!(report.retry_after_ms.map(Duration::from_millis), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nats_is_not_heard() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    let record = stage.sync().await;
    assert_eq!((record.status, record.unresolved), (Status::Retrying, None));
    assert_eq!(versions(&stage.target()), 0);
    stage.beat();
    assert_eq!(stage.sync().await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_an_edit_that_was_heard_of() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    let command = stage.command().await;
    stage.edit(|config| config.spec.exclude.push("x*".to_owned())).await;
    let edited = stage.others.configs().get(&command.record.id.config).await.unwrap().unwrap();
    stage.fences.hear(&edited);
    stage.run(command).await.unwrap();
    assert_eq!(versions(&stage.target()), 0);
    let record = stage.head().await.envelope.body;
    assert_eq!((record.status, record.code, record.attempt), (Status::Pending, None, 0), "no failure of a vault");
    assert!(record.unresolved.is_none() && record.detail.is_some());
}
