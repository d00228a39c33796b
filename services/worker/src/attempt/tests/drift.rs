//! A target that is not as it was left.

use domain::compare::print_of_carried;
use proto_msgs::{
    DriftPolicy, Epoch, ErrorCode, ItemType, MessageId, Record, Revision, Status,
    record::{Arrival, LeaveKind, OutcomeKind, UnresolvedAttempt},
    vault::Side,
};
use vault::Operation;

use crate::fixtures::{holds, newest, versions};
use crate::stage::{Stage, name, off, on, tagged};

const SECRETS: ItemType = ItemType::Secrets;

/// An item that was synced a while ago, under a policy.
async fn synced(kind: ItemType, policy: DriftPolicy) -> Stage {
    let mut stage = Stage::new(kind).await;
    stage.set_policy(policy);
    stage.make(&stage.source());
    stage.pass(60).await;
    assert_eq!(stage.sync().await.status, Status::Active);
    stage.pass(60).await;
    stage
}

/// A secret whose copy somebody wrote over.
async fn meddled(policy: DriftPolicy) -> Stage {
    let stage = synced(SECRETS, policy).await;
    stage.target().set_secret(&name(), "meddled", on()).unwrap();
    stage.pass(60).await;
    stage
}

/// The copy of a secret is taken away.
fn take_away(stage: &Stage) {
    stage.target().delete(SECRETS, &name()).unwrap();
    stage.target().purge(SECRETS, &name()).unwrap();
}

fn is_drifted(stage: &Stage, record: &Record) {
    assert_eq!((record.status, record.code), (Status::Drifted, Some(ErrorCode::Drift)), "{record:?}");
    assert_eq!((record.leave.clone(), record.unresolved.clone()), (None, None));
    let seen = record.target_seen.as_ref().and_then(|seen| seen.version.clone());
    assert_eq!(seen, Some(newest(&stage.target(), stage.kind()).id));
}

#[tokio::test(start_paused = true)]
async fn under_report_drift_is_shown_as_long_as_the_source_does_not_change() {
    let stage = meddled(DriftPolicy::Report).await;
    let record = stage.sync_thoroughly().await;
    is_drifted(&stage, &record);
    assert!(holds(&stage.target(), "meddled"));
}

#[tokio::test(start_paused = true)]
async fn a_key_rotated_at_the_target_has_drifted_and_is_in_the_way_of_whoever_corrects_that() {
    for policy in [DriftPolicy::Report, DriftPolicy::Block, DriftPolicy::Correct] {
        let stage = synced(ItemType::Keys, policy).await;
        stage.target().make_key(&name(), "RSA", on()).unwrap();
        stage.pass(60).await;
        if policy != DriftPolicy::Correct {
            for _ in 0..2 {
                is_drifted(&stage, &stage.sync_thoroughly().await);
            }
            stage.give(LeaveKind::Correct).await;
        }
        assert_eq!(stage.sync_thoroughly().await.status, Status::BlockedTargetKeyExists, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn under_report_a_change_of_the_source_overwrites_drift_and_says_so() {
    let stage = meddled(DriftPolicy::Report).await;
    stage.source().set_secret(&name(), "two", on()).unwrap();
    let record = stage.sync_thoroughly().await;
    assert_eq!((record.status, record.target_seen), (Status::Active, None));
    assert!(record.detail.unwrap().message.contains("not as Keyferry had left it"));
    assert!(holds(&stage.target(), "two"));
    stage.source().set_secret(&name(), "three", on()).unwrap();
    assert_eq!(stage.sync_later().await.detail, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_as_drifted_is_looked_at_when_the_source_changes() {
    let stage = meddled(DriftPolicy::Report).await;
    stage.sync_thoroughly().await;
    stage.source().set_secret(&name(), "two", on()).unwrap();
    let record = stage.sync_later().await;
    assert!(record.detail.is_some());
    assert!(holds(&stage.target(), "two"));
}

#[tokio::test(start_paused = true)]
async fn under_correct_the_source_is_written_back_and_a_missing_item_made_again() {
    let stage = meddled(DriftPolicy::Correct).await;
    let value = stage.source();
    let record = stage.sync_thoroughly().await;
    assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Active, OutcomeKind::Written));
    assert!(record.detail.is_some());
    assert_eq!(newest(&stage.target(), SECRETS).content, newest(&value, SECRETS).content);
    take_away(&stage);
    assert_eq!(stage.sync_thoroughly().await.status, Status::Active);
    assert_eq!(versions(&stage.target()), 1);
}

#[tokio::test(start_paused = true)]
async fn under_correct_attributes_are_set_back_without_a_new_version() {
    for kind in ItemType::ALL {
        let stage = synced(kind, DriftPolicy::Correct).await;
        let left = newest(&stage.target(), kind);
        stage.target().update(kind, &name(), &tagged("theirs")).unwrap();
        let record = stage.sync_thoroughly().await;
        assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Active, OutcomeKind::Updated));
        assert_eq!((newest(&stage.target(), kind).id, record.detail.is_some()), (left.id, true));
        assert_eq!(newest(&stage.target(), kind).attributes.tags, on().tags);
    }
}

#[tokio::test(start_paused = true)]
async fn under_block_nothing_is_written_over_drift_by_any_attempt() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.source().set_secret(&name(), "two", on()).unwrap();
    let record = stage.sync().await;
    is_drifted(&stage, &record);
    is_drifted(&stage, &stage.sync_thoroughly().await);
    assert!(holds(&stage.target(), "meddled"));
}

#[tokio::test(start_paused = true)]
async fn under_block_attributes_are_not_written_over_drift_either() {
    for kind in ItemType::ALL {
        let stage = synced(kind, DriftPolicy::Block).await;
        stage.target().update(kind, &name(), &tagged("theirs")).unwrap();
        stage.source().update(kind, &name(), &tagged("ours")).unwrap();
        let record = stage.sync_later().await;
        is_drifted(&stage, &record);
        assert_eq!(newest(&stage.target(), kind).attributes.tags, tagged("theirs").tags);
    }
}

#[tokio::test(start_paused = true)]
async fn under_block_a_missing_item_is_not_made_again_and_under_report_it_is_with_the_next_change() {
    for (policy, expected) in [(DriftPolicy::Block, Status::Drifted), (DriftPolicy::Report, Status::Active)] {
        let stage = synced(SECRETS, policy).await;
        take_away(&stage);
        let record = stage.sync_thoroughly().await;
        assert_eq!((record.status, record.target_seen), (Status::Drifted, None));
        stage.source().set_secret(&name(), "two", on()).unwrap();
        assert_eq!(stage.sync_later().await.status, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_write_glances_at_the_target_first_and_what_is_not_written_does_not() {
    for policy in [DriftPolicy::Block, DriftPolicy::Report, DriftPolicy::Correct] {
        let stage = synced(SECRETS, policy).await;
        let calls =
            |record: Record| record.last_attempt.map(|report| (report.outcome, report.calls.get, report.calls.list));
        assert_eq!(calls(stage.sync_later().await), Some((OutcomeKind::Equal, 1, 0)));
        stage.source().set_secret(&name(), "two", on()).unwrap();
        assert_eq!(calls(stage.sync_later().await), Some((OutcomeKind::Written, 1, 1)));
        assert!(holds(&stage.target(), "two"));
    }
}

#[tokio::test(start_paused = true)]
async fn under_block_a_target_whose_values_may_not_be_read_is_guarded_too() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.target().revoke(Side::Target, Operation::ReadSecret.data_action(SECRETS).unwrap());
    stage.source().set_secret(&name(), "two", on()).unwrap();
    is_drifted(&stage, &stage.sync_thoroughly().await);
    assert!(holds(&stage.target(), "meddled"));
}

#[tokio::test(start_paused = true)]
async fn under_block_a_disabled_source_disables_nothing_that_drifted() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.source().update(SECRETS, &name(), &off()).unwrap();
    is_drifted(&stage, &stage.sync_later().await);
    assert!(newest(&stage.target(), SECRETS).attributes.enabled);
}

#[tokio::test(start_paused = true)]
async fn drift_that_was_corrected_by_leave_is_written_over_under_every_policy() {
    for policy in [DriftPolicy::Block, DriftPolicy::Report] {
        let stage = meddled(policy).await;
        stage.sync_thoroughly().await;
        stage.give(LeaveKind::Correct).await;
        let record = stage.sync_later().await;
        assert_eq!((record.status, record.leave), (Status::Active, None), "{policy:?}");
        assert!(!holds(&stage.target(), "meddled"));
    }
}

#[tokio::test(start_paused = true)]
async fn leave_to_correct_a_missing_item_makes_it_again_and_covers_nothing_else() {
    let stage = synced(SECRETS, DriftPolicy::Block).await;
    take_away(&stage);
    stage.sync_thoroughly().await;
    stage.give(LeaveKind::Correct).await;
    stage.target().set_secret(&name(), "meddled", on()).unwrap();
    is_drifted(&stage, &stage.sync_later().await);
    take_away(&stage);
    stage.sync_thoroughly().await;
    stage.give(LeaveKind::Correct).await;
    assert_eq!(stage.sync_later().await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn leave_that_does_not_fit_what_is_there_any_more_is_dropped() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.sync_thoroughly().await;
    stage.give(LeaveKind::Correct).await;
    stage.target().set_secret(&name(), "meddled again", on()).unwrap();
    let record = stage.sync_later().await;
    is_drifted(&stage, &record);
    assert!(holds(&stage.target(), "meddled again"));
}

#[tokio::test(start_paused = true)]
async fn leave_stays_until_an_attempt_came_through() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.sync_thoroughly().await;
    stage.give(LeaveKind::Correct).await;
    stage.fail(Operation::WriteSecret, vault::memory::End::Unreachable);
    assert!(stage.sync_later().await.leave.is_some());
    stage.mend();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(!holds(&stage.target(), "meddled"));
}

#[tokio::test(start_paused = true)]
async fn accepted_drift_is_written_over_by_the_next_change_and_by_nothing_before() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.sync_thoroughly().await;
    stage.give(LeaveKind::Accept).await;
    assert_eq!(stage.sync_later().await.last_attempt.unwrap().outcome, OutcomeKind::Equal);
    assert!(holds(&stage.target(), "meddled"));
    stage.source().set_secret(&name(), "two", on()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(holds(&stage.target(), "two"));
}

#[tokio::test(start_paused = true)]
async fn accepted_drift_stays_though_the_source_had_changed_before_and_whoever_asks() {
    let stage = meddled(DriftPolicy::Block).await;
    stage.source().set_secret(&name(), "two", on()).unwrap();
    assert_eq!(stage.sync_thoroughly().await.status, Status::Drifted);
    stage.give(LeaveKind::Accept).await;
    for record in [stage.sync_later().await, stage.sync_thoroughly().await] {
        assert_eq!((record.status, record.last_attempt.unwrap().outcome), (Status::Active, OutcomeKind::Equal));
        assert!(holds(&stage.target(), "meddled"));
    }
    stage.source().set_secret(&name(), "three", on()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(holds(&stage.target(), "three"));
}

#[tokio::test(start_paused = true)]
async fn what_equals_the_source_needs_no_leave_and_is_not_ours() {
    let mut stage = Stage::new(SECRETS).await;
    stage.set_policy(DriftPolicy::Block);
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.sync().await;
    stage.target().set_secret(&name(), "one", on()).unwrap();
    let record = stage.sync_thoroughly().await;
    let baseline = record.baseline.unwrap();
    assert_eq!((record.status, baseline.how), (Status::Active, Arrival::Adopted));
    assert_eq!(baseline.target.version, Some(newest(&stage.target(), SECRETS).id));
}

#[tokio::test(start_paused = true)]
async fn what_was_put_there_since_it_was_listed_is_written_over_whole_and_that_is_said() {
    let stage = meddled(DriftPolicy::Report).await;
    let content = newest(&stage.source(), SECRETS).content;
    stage.source().update(SECRETS, &name(), &tagged("a")).unwrap();
    let record = stage.sync_later().await;
    assert!(record.status == Status::Active && record.detail.unwrap().message.contains("not as Keyferry had left it"));
    let target = newest(&stage.target(), SECRETS);
    assert_eq!((target.content, target.attributes.tags), (content, tagged("a").tags));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_put_there_between_a_look_and_an_update_does_not_pass_for_what_was_left() {
    for policy in [DriftPolicy::Report, DriftPolicy::Block, DriftPolicy::Correct] {
        let stage = synced(SECRETS, policy).await;
        stage.source().update(SECRETS, &name(), &tagged("a")).unwrap();
        let travel = std::time::Duration::from_secs(4);
        stage.fate(Operation::Update, move || vault::memory::Fate { travel, ..vault::memory::Fate::FINE });
        let (record, ()) = tokio::join!(stage.sync_thoroughly(), async {
            tokio::time::sleep(travel / 2).await;
            stage.target().set_secret(&name(), "meddled", on()).unwrap();
        });
        assert_eq!(record.last_attempt.unwrap().outcome, OutcomeKind::Updated);
        assert!(record.detail.unwrap().message.contains("another version"), "{policy:?}");
        let left = record.baseline.unwrap().target;
        assert_ne!(left.version, Some(newest(&stage.target(), SECRETS).id), "{policy:?}");
        stage.pass(60).await;
        stage.mend();
        let record = stage.sync_thoroughly().await;
        match policy {
            DriftPolicy::Report | DriftPolicy::Block => is_drifted(&stage, &record),
            DriftPolicy::Correct => assert!(!holds(&stage.target(), "meddled")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_content_under_a_disabled_source_is_shown_and_does_not_pass_for_what_was_left() {
    let stage = synced(SECRETS, DriftPolicy::Report).await;
    stage.source().update(SECRETS, &name(), &off()).unwrap();
    stage.sync_later().await;
    stage.target().set_secret(&name(), "meddled", off()).unwrap();
    is_drifted(&stage, &stage.sync_thoroughly().await);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_outcome_is_not_drift() {
    let stage = synced(SECRETS, DriftPolicy::Block).await;
    stage.source().set_secret(&name(), "two", on()).unwrap();
    stage.fail(Operation::WriteSecret, vault::memory::End::Lost);
    assert!(stage.sync_later().await.unresolved.is_some());
    stage.mend();
    stage.source().set_secret(&name(), "three", on()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::Active);
    assert!(holds(&stage.target(), "three"));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_shows_what_was_seen_and_leave_for_that_overwrites_it() {
    for may_read in [true, false] {
        let stage = Stage::new(SECRETS).await;
        stage.source().set_secret(&name(), "one", on()).unwrap();
        stage.target().set_secret(&name(), "somebody's", on()).unwrap();
        stage.pass(60).await;
        if !may_read {
            stage.target().revoke(Side::Target, Operation::ReadSecret.data_action(SECRETS).unwrap());
        }
        let record = stage.sync().await;
        let seen = record.target_seen.unwrap().version;
        assert_eq!((record.status, seen), (Status::BlockedTargetConflict, Some(newest(&stage.target(), SECRETS).id)));
        stage.give(LeaveKind::Acknowledge).await;
        stage.target().set_secret(&name(), "somebody's again", on()).unwrap();
        let record = stage.sync_later().await;
        assert_eq!((record.status, record.leave), (Status::BlockedTargetConflict, None));
        assert!(holds(&stage.target(), "somebody's again"));
        stage.give(LeaveKind::Acknowledge).await;
        assert_eq!(stage.sync_later().await.status, Status::Active);
        assert!(holds(&stage.target(), "one"));
    }
}

#[tokio::test(start_paused = true)]
async fn leave_is_not_for_attributes_that_somebody_changed_since() {
    let stage = meddled(DriftPolicy::Block).await;
    is_drifted(&stage, &stage.sync_thoroughly().await);
    stage.give(LeaveKind::Correct).await;
    stage.target().update(SECRETS, &name(), &tagged("later")).unwrap();
    is_drifted(&stage, &stage.sync_later().await);
    assert_eq!(newest(&stage.target(), SECRETS).attributes, tagged("later"));

    let stage = Stage::new(SECRETS).await;
    stage.make(&stage.source());
    stage.target().set_secret(&name(), "theirs", on()).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::BlockedTargetConflict);
    stage.give(LeaveKind::Acknowledge).await;
    stage.target().update(SECRETS, &name(), &tagged("later")).unwrap();
    assert_eq!(stage.sync_later().await.status, Status::BlockedTargetConflict);
    assert_eq!(newest(&stage.target(), SECRETS).attributes, tagged("later"));
    stage.give(LeaveKind::Acknowledge).await;
    assert_eq!(stage.sync_later().await.status, Status::Active);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_asks_for_a_sync_gives_no_leave_with_that() {
    let stage = meddled(DriftPolicy::Report).await;
    let record = stage.head().await.envelope.body;
    stage.append(domain::lifecycle::asked(record, Revision(1))).await;
    is_drifted(&stage, &stage.sync().await);
    assert!(holds(&stage.target(), "meddled"));
}

#[tokio::test(start_paused = true)]
async fn attributes_that_a_late_attempt_left_are_set_right_without_anybody_and_others_are_not() {
    for (brought, status) in [("late", Status::Active), ("later", Status::Drifted)] {
        let stage = synced(SECRETS, DriftPolicy::Report).await;
        let record = stage.head().await.envelope.body;
        let report = record.last_attempt.clone().unwrap();
        let late = UnresolvedAttempt {
            operation: MessageId::from_random(99),
            worker: report.worker,
            epoch: Epoch(1),
            started: report.started,
            source_version: report.source_version,
            source_updated: None,
            x5t: None,
            brings: Some(print_of_carried(SECRETS, &tagged(brought))),
            deletes: false,
        };
        stage.append(domain::lifecycle::doubted(record, late)).await;
        stage.target().update(SECRETS, &name(), &tagged("late")).unwrap();
        let record = stage.sync_later().await;
        assert_eq!((record.status, record.late), (status, vec![]));
        let tags = if status == Status::Active { on().tags } else { tagged("late").tags };
        assert_eq!(newest(&stage.target(), SECRETS).attributes.tags, tags);
    }
}
