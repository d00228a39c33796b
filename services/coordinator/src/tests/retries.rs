//! Vaults that fail, and what follows.

use std::time::Duration;

use proto_msgs::{
    ErrorCode, ScheduleMode, Status,
    api::{ConditionKind, ConfigCommand},
    run::Trigger,
    vault::Side,
};
use tokio::time::sleep;

use super::saved_pair;
use super::stage::{Fate, Stage};

#[tokio::test(start_paused = true)]
async fn a_vault_whose_calls_fail_alike_gets_probes_alone_until_one_succeeds() {
    let stage = Stage::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        stage.set("source-kv", name);
    }
    stage.world.borrow_mut().fate = Fate::Fails(ErrorCode::TransientNetwork, Side::Target);
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            let is_held = async || {
                let summary = stage.summary(&config).await;
                let target = summary.into_iter().flat_map(|summary| summary.conditions);
                target.into_iter().any(|condition| condition.kind == ConditionKind::TargetWritable && !condition.ok)
            };
            stage.until("the vault is held", &is_held).await;
            sleep(Duration::from_secs(10)).await;
            let attempts = stage.attempted().len();
            sleep(Duration::from_secs(45)).await;
            assert_eq!(stage.attempted().len(), attempts, "nothing before the first minute is over");
            sleep(Duration::from_secs(60)).await;
            assert_eq!(stage.attempted().len(), attempts + 1, "one probe");
            stage.world.borrow_mut().fate = Fate::Settles;
            for name in ["a", "h"] {
                stage.until_status(&config, name, Status::Active).await;
            }
            assert!(!is_held().await);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn records_that_find_no_worker_for_a_minute_are_told_of() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.world.borrow_mut().is_full = true;
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            let problem = async || {
                let summary = stage.summary(&config).await?;
                let mut conditions = summary.conditions.into_iter();
                conditions.find(|shown| shown.kind == ConditionKind::WorkersAvailable)?.message
            };
            stage.until_status(&config, "a", Status::Pending).await;
            let since = stage.now();
            stage.until("it is told", async || problem().await.is_some()).await;
            assert!(stage.now().since(since) >= Duration::from_secs(59));
            assert!(problem().await.unwrap().starts_with("1 of the records"), "{:?}", problem().await);
            stage.world.borrow_mut().is_full = false;
            stage.until_status(&config, "a", Status::Active).await;
            stage.until("it is over", async || problem().await.is_none()).await;
        })
        .await;
}

/// One item, whose attempts fail for a while: by an answer that is its own, so that no vault is held.
fn running_out() -> Stage {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.fate("a", Fate::Fails(ErrorCode::TargetBeingDeleted, Side::Target));
    stage
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_run_of_a_config_that_never_runs_by_itself() {
    let stage = running_out();
    stage
        .play(async {
            let mut config = crate::fixtures::config(1, "source-kv", "target-kv");
            config.spec.behaviour.schedule_mode = ScheduleMode::Manual;
            stage.save(&config, proto_msgs::Revision(0)).await;
            stage.until("it is heard", async || stage.summary(&config).await.is_some()).await;
            stage.tell(&config, ConfigCommand::Sync { actor: "ann".to_owned() }).await.unwrap();
            stage.until_status(&config, "a", Status::Failed).await;
            stage.until_runs_ended(&config, 1).await;
            stage.set("source-kv", "new");
            sleep(Duration::from_secs(20 * 60)).await;
            assert_eq!(stage.runs(&config).await.len(), 1);
            assert!(!stage.attempted().iter().any(|name| *name == "new"));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_is_switched_off_starts_nothing_more() {
    // A follow-up run is due as well.
    let stage = running_out();
    stage
        .play(async {
            let mut config = crate::fixtures::config(1, "source-kv", "target-kv");
            let revision = stage.save(&config, proto_msgs::Revision(0)).await;
            stage.until_status(&config, "a", Status::Failed).await;
            stage.until_runs_ended(&config, 1).await;
            config.spec.behaviour.schedule_mode = ScheduleMode::Manual;
            stage.save(&config, revision).await;
            stage
                .until("it is told", async || {
                    stage.summary(&config).await.is_some_and(|summary| summary.next_run.is_none())
                })
                .await;
            sleep(Duration::from_secs(20 * 60)).await;
            assert_eq!(stage.runs(&config).await.len(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_ran_out_of_attempts_is_tried_again_by_a_run_after_a_quarter_of_an_hour() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.set("source-kv", "b");
    // Azure's answer for one item of its own, so that no vault is held.
    stage.fate("a", Fate::Fails(ErrorCode::TargetBeingDeleted, Side::Target));
    stage.fate("b", Fate::Fails(ErrorCode::TargetRejected, Side::Target));
    stage
        .play(async {
            let config = crate::fixtures::config(1, "source-kv", "target-kv");
            stage.save(&config, proto_msgs::Revision(0)).await;
            stage.until_status(&config, "a", Status::Failed).await;
            stage.until_status(&config, "b", Status::Failed).await;
            stage.until_runs_ended(&config, 1).await;
            let since = stage.now();
            stage.fate("a", Fate::Success);
            stage.until_status(&config, "a", Status::Active).await;
            let waited = stage.now().since(since);
            assert!(waited >= Duration::from_secs(14 * 60) && waited <= Duration::from_secs(16 * 60), "{waited:?}");
            stage.until_runs_ended(&config, 2).await;
            let last = stage.runs(&config).await.pop().unwrap();
            assert_eq!((last.trigger, last.follow_up), (Trigger::FollowUp, 1));
            let of_b = stage.attempted().iter().filter(|name| *name == "b").count();
            assert_eq!(of_b, 1, "what only somebody can mend waits for the next cycle");
        })
        .await;
}
