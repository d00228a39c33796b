//! Attempts whose outcome was never known.

use std::time::Duration;

use proto_msgs::{
    DriftPolicy, ItemType, Status,
    record::{Arrival, OutcomeKind},
    vault::Side,
};
use vault::{
    Operation, VaultErrorKind,
    memory::{End, Fate},
};

use crate::fixtures::{holds, live, newest, versions};
use crate::stage::{Stage, name, on, tagged};

const THROTTLED: End = End::Refused { kind: VaultErrorKind::Throttled, retry_after: None };

/// A secret whose first write arrived, and its answer did not.
async fn lost() -> Stage {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.pass(60).await;
    stage.fail(Operation::WriteSecret, End::Lost);
    let record = stage.sync().await;
    assert_eq!(record.status, Status::Retrying);
    assert!(record.unresolved.is_some());
    stage.pass(60).await;
    stage.mend();
    stage
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_settled_without_another() {
    let stage = lost().await;
    let record = stage.sync().await;
    assert_eq!((record.status, record.unresolved), (Status::Active, None));
    assert_eq!(record.baseline.unwrap().how, Arrival::Written);
    let attempt = record.last_attempt.unwrap();
    assert_eq!((attempt.outcome, attempt.answered), (OutcomeKind::Settled, [Side::Source, Side::Target].into()));
    assert_eq!(versions(&stage.target()), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_remembered_as_such_when_the_source_moved_on_and_the_next_write_fails() {
    let stage = lost().await;
    let first = newest(&stage.source(), ItemType::Secrets).id;
    stage.source().set_secret(&name(), "two", tagged("a")).unwrap();
    stage.fail(Operation::WriteSecret, THROTTLED);
    let record = stage.sync_later().await;
    let baseline = record.baseline.unwrap();
    assert_eq!((record.status, record.unresolved), (Status::Retrying, None));
    assert_eq!((baseline.source.version, baseline.source.attributes), (Some(first), on()));
    stage.mend();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(holds(&stage.target(), "two"));
    assert_eq!(newest(&stage.target(), ItemType::Secrets).attributes, tagged("a"));
}

#[tokio::test(start_paused = true)]
async fn attributes_that_changed_meanwhile_are_not_taken_for_written() {
    let stage = lost().await;
    stage.source().update(ItemType::Secrets, &name(), &tagged("a")).unwrap();
    stage.fail(Operation::Update, THROTTLED);
    assert_eq!(stage.sync_later().await.status, Status::Retrying);
    stage.mend();
    stage.sync_later().await;
    assert_eq!(newest(&stage.target(), ItemType::Secrets).attributes, tagged("a"));
    assert_eq!(versions(&stage.target()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_arrived_is_made_again_though_nothing_changed_since() {
    let mut stage = Stage::new(ItemType::Secrets).await;
    stage.set_policy(DriftPolicy::Correct);
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.target().delete(ItemType::Secrets, &name()).unwrap();
    stage.target().purge(ItemType::Secrets, &name()).unwrap();
    stage.fail(Operation::WriteSecret, End::Never);
    let command = stage.retry().await;
    stage.run(proto_msgs::worker::SyncRecord { thorough: true, ..command }).await.unwrap();
    stage.mend();
    stage.pass(60).await;
    let retry = stage.retry().await;
    assert!(retry.outcome_unknown);
    stage.run(proto_msgs::worker::SyncRecord { thorough: false, ..retry }).await.unwrap();
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_item_does_not_become_a_written_one_by_an_attempt_that_wrote_nothing() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.target().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.source().update(ItemType::Secrets, &name(), &tagged("a")).unwrap();
    stage.fail(Operation::Update, End::Never);
    assert!(stage.sync_later().await.unresolved.is_some());
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!(record.baseline.unwrap().how, Arrival::Adopted);
    assert_eq!(newest(&stage.target(), ItemType::Secrets).attributes, tagged("a"));
}

#[tokio::test(start_paused = true)]
async fn what_was_equal_before_an_attempt_that_nobody_heard_of_is_adopted_and_not_called_written() {
    let stage = Stage::new(ItemType::Secrets).await;
    for owner in [stage.source(), stage.target()] {
        owner.set_secret(&name(), "one", on()).unwrap();
    }
    stage.pass(60).await;
    stage.fail(Operation::ReadSecret, End::Never);
    let dying = stage.run(stage.command().await);
    assert!(tokio::time::timeout(Duration::from_secs(1), dying).await.is_err());
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.baseline.unwrap().how), (Status::Active, Arrival::Adopted));
}

#[tokio::test(start_paused = true)]
async fn something_else_at_the_target_is_not_taken_for_what_was_to_be_written() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.fail(Operation::WriteSecret, End::Never);
    stage.sync().await;
    stage.mend();
    stage.target().set_secret(&name(), "somebody's", on()).unwrap();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.unresolved), (Status::BlockedTargetConflict, None));
    assert!(holds(&stage.target(), "somebody's"));
}

#[tokio::test(start_paused = true)]
async fn attributes_that_no_attempt_was_to_bring_make_an_equal_value_somebody_elses() {
    for has_arrived in [false, true] {
        let stage = Stage::new(ItemType::Secrets).await;
        stage.source().set_secret(&name(), "one", on()).unwrap();
        stage.pass(60).await;
        stage.fail(Operation::WriteSecret, if has_arrived { End::Lost } else { End::Never });
        assert!(stage.sync().await.unresolved.is_some());
        stage.mend();
        if !has_arrived {
            stage.target().set_secret(&name(), "one", on()).unwrap();
        }
        stage.target().update(ItemType::Secrets, &name(), &tagged("theirs")).unwrap();
        let record = stage.sync_later().await;
        assert_eq!((record.status, record.unresolved), (Status::BlockedTargetConflict, None));
        assert_eq!(newest(&stage.target(), ItemType::Secrets).attributes, tagged("theirs"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_names_what_it_brings_once_unless_its_listing_told_less() {
    // A listing of keys does not tell what they may be used for.
    for (kind, named) in [(ItemType::Secrets, 1), (ItemType::Certificates, 1), (ItemType::Keys, 2)] {
        let stage = Stage::new(kind).await;
        stage.make(&stage.source());
        stage.pass(60).await;
        let before = stage.head().await.sequence;
        assert_eq!(stage.sync().await.status, Status::Active);
        assert_eq!(stage.head().await.sequence.0 - before.0, named + 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_did_to_a_write_of_unknown_outcome_is_drift() {
    for (policy, is_written_over) in
        [(DriftPolicy::Block, false), (DriftPolicy::Report, false), (DriftPolicy::Correct, true)]
    {
        let mut stage = Stage::new(ItemType::Secrets).await;
        stage.set_policy(policy);
        stage.source().set_secret(&name(), "one", on()).unwrap();
        assert_eq!(stage.sync().await.status, Status::Active);
        stage.pass(60).await;
        stage.source().set_secret(&name(), "two", on()).unwrap();
        stage.fail(Operation::WriteSecret, End::Lost);
        assert!(stage.sync_later().await.unresolved.is_some());
        stage.mend();
        stage.target().update(ItemType::Secrets, &name(), &tagged("theirs")).unwrap();
        stage.pass(60).await;
        let record = stage.sync_later().await;
        let (status, left) = if is_written_over { (Status::Active, on()) } else { (Status::Drifted, tagged("theirs")) };
        assert_eq!((record.status, record.unresolved), (status, None), "{policy:?}");
        assert_eq!(newest(&stage.target(), ItemType::Secrets).attributes, left, "{policy:?}");
        assert!(record.detail.is_some(), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_of_what_was_made_after_the_listing_is_known_again_when_its_worker_died() {
    for (kind, write) in
        [(ItemType::Secrets, Operation::WriteSecret), (ItemType::Certificates, Operation::ImportCertificate)]
    {
        let stage = Stage::new(kind).await;
        stage.make(&stage.source());
        let command = stage.command().await;
        stage.pass(60).await;
        stage.make(&stage.source());
        stage.fate(write, || Fate { answer: Duration::from_secs(60), ..Fate::FINE });
        let died = tokio::time::timeout(Duration::from_secs(5), stage.run(command)).await;
        assert!(died.is_err() && written(&stage) == 1, "{kind}");
        stage.mend();
        stage.pass(60).await;
        stage.make(&stage.source());
        let record = stage.sync().await;
        assert_eq!((record.status, record.code), (Status::Active, None), "{kind}");
        assert_eq!(written(&stage), 2, "{kind}");
    }
}

/// Versions at the target, of whatever kind the stage is about.
fn written(stage: &Stage) -> usize {
    live(&stage.target(), stage.kind()).map_or(0, |item| item.versions.len())
}
