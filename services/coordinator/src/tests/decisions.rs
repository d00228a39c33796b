//! What somebody decides about records.

use std::time::Duration;

use proto_msgs::{
    Config, ErrorCode, Record, RequestCode, Revision, Sequence, Status,
    api::{ConfigCommand, LeaveAllBody, LeaveBody, RecordFilter, SetBody},
    config::DeleteTrigger,
    record::LeaveKind,
    vault::Side,
};
use tokio::time::sleep;

use super::{
    INTERVAL, saved_pair,
    stage::{Fate, Stage},
};
use crate::fixtures::key;

fn actor() -> String {
    "ann".to_owned()
}

fn acknowledge(name: &str, sequence: Sequence) -> ConfigCommand {
    let leave = LeaveBody { kind: LeaveKind::Acknowledge, sequence, target_version: None };
    ConfigCommand::Leave { actor: actor(), key: key(name), leave }
}

fn enable(name: &str, enabled: bool) -> ConfigCommand {
    ConfigCommand::SetEnabled { actor: actor(), key: key(name), enabled }
}

/// A config with two conflicts.
async fn with_conflicts(stage: &Stage) -> Config {
    for name in ["a", "b"] {
        stage.set("source-kv", name);
        stage.set("target-kv", name);
        stage.fate(name, Fate::Fails(ErrorCode::TargetConflictActive, Side::Target));
    }
    let (config, _) = saved_pair(stage).await;
    for name in ["a", "b"] {
        stage.until_status(&config, name, Status::BlockedTargetConflict).await;
        stage.fate(name, Fate::Success);
    }
    config
}

#[tokio::test(start_paused = true)]
async fn leave_is_for_the_record_as_it_was_seen() {
    let stage = Stage::new();
    stage
        .play(async {
            let config = with_conflicts(&stage).await;
            let seen = stage.record(&config, "a").await.unwrap().sequence;
            let stale = stage.tell(&config, acknowledge("a", Sequence(seen.0 - 1))).await.unwrap_err();
            assert_eq!(stale.code, RequestCode::StaleView);
            let missing = stage.tell(&config, acknowledge("nothing", seen)).await.unwrap_err();
            assert_eq!(missing.code, RequestCode::NotFound);
            assert_eq!(stage.tell(&config, acknowledge("a", seen)).await, Ok(1));
            stage.until_status(&config, "a", Status::Active).await;
            assert_eq!(stage.record(&config, "b").await.unwrap().envelope.body.status, Status::BlockedTargetConflict);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn leave_for_all_is_for_exactly_those_that_were_listed() {
    let stage = Stage::new();
    stage
        .play(async {
            let config = with_conflicts(&stage).await;
            let all = |hash| {
                let filter = RecordFilter { status: Some(Status::BlockedTargetConflict), ..RecordFilter::default() };
                let leave = LeaveAllBody { kind: LeaveKind::Acknowledge, set: SetBody { filter, hash } };
                ConfigCommand::LeaveAll { actor: actor(), leave }
            };
            let (count, listed) = stage.list(&config, Status::BlockedTargetConflict).await;
            assert_eq!(count, 2);
            assert_eq!(stage.tell(&config, enable("a", false)).await, Ok(1));
            assert_eq!(stage.tell(&config, all(listed)).await.unwrap_err().code, RequestCode::StaleView);
            let (_, listed) = stage.list(&config, Status::BlockedTargetConflict).await;
            assert_eq!(stage.tell(&config, all(listed)).await, Ok(1));
            stage.until_status(&config, "b", Status::Active).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_switched_off_stays_so_until_it_is_switched_on() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until_status(&config, "a", Status::Active).await;
            stage.until_runs_ended(&config, 1).await;
            assert_eq!(stage.tell(&config, enable("a", false)).await, Ok(1));
            assert_eq!(stage.tell(&config, enable("a", false)).await, Ok(0), "it is so already");
            stage.set("source-kv", "a");
            sleep(INTERVAL * 2).await;
            let off = stage.record(&config, "a").await.unwrap().envelope.body;
            assert_eq!((off.status, off.code), (Status::Disabled, Some(ErrorCode::OperatorDisabled)));
            let on = stage.now();
            assert_eq!(stage.tell(&config, enable("a", true)).await, Ok(1));
            stage.until_status(&config, "a", Status::Active).await;
            assert!(stage.now().since(on) < Duration::from_secs(30), "it is looked for at once");
            assert_eq!(stage.tell(&config, enable("a", true)).await.unwrap_err().code, RequestCode::InvalidInput);
        })
        .await;
}

/// A config whose items are all gone from the source, and whose deletes are held.
async fn with_held_deletes(stage: &Stage) -> Config {
    let names = ["a", "b", "c", "d", "e"];
    names.iter().for_each(|name| stage.set("source-kv", name));
    let (mut config, revision) = saved_pair(stage).await;
    config.spec.behaviour.propagate_deletes = true;
    stage.save(&config, revision).await;
    for name in names {
        stage.until_status(&config, name, Status::Active).await;
    }
    // Later than what was written, by more than the second that Key Vault counts in.
    sleep(Duration::from_secs(10)).await;
    names.iter().for_each(|name| stage.purge("source-kv", name));
    for name in names {
        stage.until_status(&config, name, Status::BlockedDeleteHeld).await;
    }
    config
}

#[tokio::test(start_paused = true)]
async fn held_deletes_are_released_once_by_the_hash_of_exactly_those() {
    let stage = Stage::new();
    stage
        .play(async {
            let config = with_held_deletes(&stage).await;
            let release = |hash| ConfigCommand::ReleaseDeletes { actor: actor(), hash };
            let (count, held) = stage.list(&config, Status::BlockedDeleteHeld).await;
            assert_eq!((count, stage.world.borrow().names("target-kv").len()), (5, 5));
            let other = proto_msgs::SetHash(held.0 ^ 1);
            assert_eq!(stage.tell(&config, release(other)).await.unwrap_err().code, RequestCode::StaleView);
            assert_eq!(stage.tell(&config, release(held)).await, Ok(5));
            for name in ["a", "e"] {
                let deleted = stage.until_status(&config, name, Status::Deleted).await;
                assert!(deleted.deleted_at.is_some() && deleted.baseline.is_none());
            }
            assert_eq!(stage.world.borrow().names("target-kv").len(), 0);
            assert_eq!(stage.tell(&config, release(held)).await.unwrap_err().code, RequestCode::StaleView);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_waits_for_another_attempt_is_not_made_once_deletes_are_switched_off() {
    let stage = Stage::new();
    ["a", "b"].iter().for_each(|name| stage.set("source-kv", name));
    stage
        .play(async {
            let (mut config, revision) = saved_pair(&stage).await;
            config.spec.behaviour.propagate_deletes = true;
            let revision = stage.save(&config, revision).await;
            stage.until_status(&config, "a", Status::Active).await;
            sleep(Duration::from_secs(10)).await;
            stage.purge("source-kv", "a");
            stage.fate("a", Fate::Fails(ErrorCode::Throttled, Side::Target));
            let waiting = stage.until_status(&config, "a", Status::Retrying).await;
            assert_eq!(waiting.delete, Some(DeleteTrigger::Purged));
            config.spec.behaviour.propagate_deletes = false;
            stage.save(&config, revision).await;
            stage.fate("a", Fate::Success);
            let off = stage.until_status(&config, "a", Status::Disabled).await;
            assert_eq!((off.code, off.delete), (Some(ErrorCode::SourceGone), None));
            assert!(stage.world.borrow().names("target-kv").contains("a"), "the target is untouched");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_missing_once_keeps_its_record_and_one_that_comes_back_is_not_missing() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.set("source-kv", "b");
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until_status(&config, "a", Status::Active).await;
            stage.until_runs_ended(&config, 1).await;
            stage.purge("source-kv", "a");
            let record = async || stage.record(&config, "a").await.map(|entry| entry.envelope.body);
            let is_missing = async || record().await.is_some_and(|record: Record| record.miss.is_some());
            stage.until("it is missing", &is_missing).await;
            assert_eq!(record().await.unwrap().status, Status::Active);
            stage.set("source-kv", "a");
            stage.until("it is found", async || !is_missing().await).await;
            stage.purge("source-kv", "a");
            let gone = stage.until_status(&config, "a", Status::Disabled).await;
            assert_eq!((gone.code, gone.delete), (Some(ErrorCode::SourceGone), None::<DeleteTrigger>));
            assert!(stage.world.borrow().names("target-kv").contains("a"), "the target is untouched");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_edit_takes_out_is_not_written_for_anybody_who_asks_before_a_run_has_looked() {
    let stage = Stage::new();
    stage
        .play(async {
            let mut config = with_conflicts(&stage).await;
            let b = stage.record(&config, "b").await.unwrap();
            let attempts = stage.attempted().len();
            // A run could not look: only what is asked for goes.
            stage.world.borrow_mut().lists = false;
            config.spec.exclude = vec!["a".to_owned()];
            config.spec.rule = proto_msgs::Rule::Pattern { glob: "a*".to_owned() };
            stage.save(&config, b.envelope.body.revision).await;
            sleep(Duration::from_secs(5)).await;
            let sync = ConfigCommand::SyncRecord { actor: actor(), key: key("a") };
            assert!(stage.tell(&config, sync).await.is_ok());
            assert!(stage.tell(&config, acknowledge("b", b.sequence)).await.is_ok());
            let excluded = stage.until_status(&config, "a", Status::BlockedExcluded).await;
            let off = stage.until_status(&config, "b", Status::Disabled).await;
            assert_eq!((excluded.code, off.code), (Some(ErrorCode::Excluded), Some(ErrorCode::RuleNoMatch)));
            assert_eq!(stage.attempted().len(), attempts);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_no_longer_matches_the_rule_is_switched_off_at_once() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage
        .play(async {
            let (mut config, revision): (Config, Revision) = saved_pair(&stage).await;
            stage.until_status(&config, "a", Status::Active).await;
            config.spec.rule = proto_msgs::Rule::Pattern { glob: "b*".to_owned() };
            let edited = stage.now();
            stage.save(&config, revision).await;
            let off = stage.until_status(&config, "a", Status::Disabled).await;
            assert_eq!(off.code, Some(ErrorCode::RuleNoMatch));
            assert!(stage.now().since(edited) < Duration::from_secs(60));
        })
        .await;
}
