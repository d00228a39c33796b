//! A source that is switched off.

use proto_msgs::{
    DriftPolicy, ErrorCode, ItemType, Status,
    record::{LeaveKind, OutcomeKind},
};
use vault::{
    Operation,
    memory::{End, Owner},
};

use crate::fixtures::{holds, newest, versions};
use crate::stage::{Stage, name, off, on};

/// A secret that was synced and then disabled at the source.
async fn switched_off() -> Stage {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.pass(60).await;
    set(&stage.source(), false);
    stage.pass(60).await;
    stage
}

/// Its next version was written, nobody heard of that, and then it was disabled at the source.
async fn in_doubt(policy: DriftPolicy) -> Stage {
    let mut stage = Stage::new(ItemType::Secrets).await;
    stage.set_policy(policy);
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.pass(60).await;
    stage.source().set_secret(&name(), "two", on()).unwrap();
    stage.pass(60).await;
    stage.fail(Operation::WriteSecret, End::Lost);
    assert!(stage.sync().await.unresolved.is_some());
    stage.mend();
    set(&stage.source(), false);
    stage
}

fn set(owner: &Owner, is_on: bool) {
    owner.update(ItemType::Secrets, &name(), &if is_on { on() } else { off() }).unwrap();
}

fn is_on(owner: &Owner) -> bool {
    newest(owner, ItemType::Secrets).attributes.enabled
}

#[tokio::test(start_paused = true)]
async fn a_disabled_secret_is_disabled_at_the_target_and_enabled_again_with_the_source() {
    let stage = switched_off().await;
    let record = stage.sync().await;
    assert_eq!(record.status, Status::Active);
    assert!(!is_on(&stage.target()));
    set(&stage.source(), true);
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(is_on(&stage.target()));
    assert_eq!(versions(&stage.target()), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_listed_disabled_looks_unchanged_in_the_next_cycle() {
    let stage = switched_off().await;
    let (listed, listed_at) = stage.listed().await.unwrap();
    let baseline = stage.sync().await.baseline.unwrap();
    assert_eq!((baseline.source.updated, baseline.read_at), (listed.updated, listed_at));
    assert_eq!(baseline.source.attributes, listed.attributes);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_came_while_it_was_disabled_follows_once_it_is_enabled() {
    let stage = switched_off().await;
    stage.source().set_secret(&name(), "two", off()).unwrap();
    stage.sync_later().await;
    assert!(holds(&stage.target(), "one"));
    set(&stage.source(), true);
    stage.sync_later().await;
    assert!(holds(&stage.target(), "two"));
    assert!(is_on(&stage.target()));
}

#[tokio::test(start_paused = true)]
async fn a_disabled_source_is_found_out_without_a_listing() {
    let stage = switched_off().await;
    let retry = stage.retry().await;
    stage.run(retry).await.unwrap();
    assert_eq!(stage.head().await.envelope.body.status, Status::Active);
    assert!(!is_on(&stage.target()));
}

#[tokio::test(start_paused = true)]
async fn a_disabled_source_that_was_never_synced_is_blocked() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", off()).unwrap();
    let record = stage.sync().await;
    assert_eq!((record.status, record.code), (Status::BlockedSourceDisabled, Some(ErrorCode::SourceDisabled)));
    assert_eq!(versions(&stage.target()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_told_from_nothing_while_the_source_is_disabled() {
    let stage = in_doubt(DriftPolicy::Report).await;
    for _ in 0..2 {
        let record = stage.sync_later().await;
        assert_eq!((record.status, record.late.len()), (Status::BlockedSourceDisabled, 1));
        assert!(!is_on(&stage.target()));
    }
    // What the target holds could not be compared: it is written once more.
    set(&stage.source(), true);
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved, record.late.len()), (Status::Active, None, 0));
    assert!(holds(&stage.target(), "two") && is_on(&stage.target()));
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_left_as_it_is_where_drift_blocks_and_compared_once_it_can_be() {
    let stage = in_doubt(DriftPolicy::Block).await;
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved.is_some()), (Status::BlockedSourceDisabled, true));
    set(&stage.source(), true);
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved), (Status::Active, None));
    assert_eq!(versions(&stage.target()), 2);
}

#[tokio::test(start_paused = true)]
async fn an_update_of_unknown_outcome_is_settled_where_both_are_disabled() {
    let stage = switched_off().await;
    stage.fail(Operation::Update, End::Lost);
    assert!(stage.sync().await.unresolved.is_some());
    stage.mend();
    assert!(!is_on(&stage.target()));
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved), (Status::Active, None));
    assert_eq!(record.last_attempt.unwrap().outcome, OutcomeKind::Equal);
}

#[tokio::test(start_paused = true)]
async fn content_of_somebody_else_is_disabled_with_the_source_and_stays_drift_until_it_is_enabled() {
    let mut stage = switched_off().await;
    stage.set_policy(DriftPolicy::Correct);
    stage.target().set_secret(&name(), "theirs", on()).unwrap();
    for _ in 0..2 {
        let record = stage.sync_thoroughly().await;
        assert_eq!((record.status, record.code), (Status::Drifted, Some(ErrorCode::Drift)));
        assert!(record.detail.unwrap().message.contains("the source is disabled"));
        assert!(holds(&stage.target(), "theirs") && !is_on(&stage.target()));
    }
    set(&stage.source(), true);
    assert_eq!(stage.sync_thoroughly().await.status, Status::Active);
    assert!(holds(&stage.target(), "one") && is_on(&stage.target()));
}

#[tokio::test(start_paused = true)]
async fn under_report_drift_of_before_the_source_was_disabled_is_overwritten_once_it_is_enabled() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.pass(60).await;
    stage.target().set_secret(&name(), "theirs", on()).unwrap();
    assert_eq!(stage.sync_thoroughly().await.status, Status::Drifted);
    set(&stage.source(), false);
    for _ in 0..2 {
        assert_eq!(stage.sync_thoroughly().await.status, Status::Drifted);
        assert!(holds(&stage.target(), "theirs") && !is_on(&stage.target()));
    }
    stage.pass(60).await;
    set(&stage.source(), true);
    assert_eq!(stage.sync_thoroughly().await.status, Status::Active);
    assert!(holds(&stage.target(), "one") && is_on(&stage.target()));
}

#[tokio::test(start_paused = true)]
async fn accepted_content_is_said_to_differ_while_the_source_is_disabled() {
    let stage = switched_off().await;
    stage.target().set_secret(&name(), "theirs", on()).unwrap();
    assert_eq!(stage.sync_thoroughly().await.status, Status::Drifted);
    stage.give(LeaveKind::Accept).await;
    let record = stage.sync_thoroughly().await;
    assert_eq!(record.status, Status::Active);
    assert!(record.detail.unwrap().message.contains("the target may differ from it"));
    set(&stage.source(), true);
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(holds(&stage.target(), "one") && is_on(&stage.target()));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_while_the_source_is_disabled_has_drifted() {
    let stage = switched_off().await;
    stage.target().delete(ItemType::Secrets, &name()).unwrap();
    stage.target().purge(ItemType::Secrets, &name()).unwrap();
    let record = stage.sync().await;
    assert_eq!((record.status, record.code), (Status::Drifted, Some(ErrorCode::Drift)));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_somebody_disabled_is_enabled_where_drift_is_corrected() {
    let mut stage = Stage::new(ItemType::Secrets).await;
    stage.set_policy(DriftPolicy::Correct);
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    set(&stage.target(), false);
    let command = stage.retry().await;
    stage.run(proto_msgs::worker::SyncRecord { thorough: true, ..command }).await.unwrap();
    assert!(is_on(&stage.target()));
    assert_eq!(versions(&stage.target()), 1);
}
