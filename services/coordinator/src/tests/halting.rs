//! Pause, emergency stop, and coordinators that were away.

use proto_msgs::{
    Config, ErrorCode, RequestCode, Revision, ScheduleMode, Status,
    api::ConditionKind,
    run::{RunEnd, Trigger},
    vault::Side,
};
use tokio::time::sleep;

use super::stage::{Fate, Stage};
use super::{INTERVAL, run_now, saved_pair, set_paused};

async fn may_work(stage: &Stage, config: &Config) -> Option<bool> {
    let summary = stage.summary(config).await?;
    summary.conditions.iter().find(|condition| condition.kind == ConditionKind::WorkAllowed).map(|found| found.ok)
}

#[tokio::test(start_paused = true)]
async fn a_paused_config_starts_nothing_and_runs_once_when_it_is_resumed() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage
        .play(async {
            let (mut config, revision) = saved_pair(&stage).await;
            stage.until_runs_ended(&config, 1).await;
            let revision = set_paused(&stage, &mut config, revision, true).await;
            stage.set("source-kv", "b");
            sleep(INTERVAL * 3).await;
            assert_eq!(stage.runs(&config).await.len(), 1);
            assert_eq!(may_work(&stage, &config).await, Some(false));
            let refused = stage.tell(&config, run_now()).await.unwrap_err();
            assert_eq!(refused.code, RequestCode::Unavailable);
            set_paused(&stage, &mut config, revision, false).await;
            stage.until_status(&config, "b", Status::Active).await;
            sleep(INTERVAL / 2).await;
            assert_eq!(stage.runs(&config).await.len(), 2, "one for three that were due");
            assert_eq!(may_work(&stage, &config).await, Some(true));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_config_that_never_runs_by_itself_goes_on_after_a_pause_that_interrupted_it() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.world.borrow_mut().fate = Fate::Hangs;
    stage
        .play(async {
            let (mut config, revision) = saved_pair(&stage).await;
            config.spec.behaviour.schedule_mode = ScheduleMode::Manual;
            let revision = stage.save(&config, revision).await;
            stage.until("the coordinator answers", async || stage.summary(&config).await.is_some()).await;
            _ = stage.tell(&config, run_now()).await;
            stage.until_status(&config, "a", Status::Syncing).await;
            let revision = set_paused(&stage, &mut config, revision, true).await;
            stage.until_runs_ended(&config, 1).await;
            let attempts = stage.attempted().len();
            let ended = stage.runs(&config).await.pop().unwrap();
            assert_eq!(ended.end, Some(RunEnd::Interrupted));
            assert!(ended.next.is_some(), "whoever comes next knows");
            stage.world.borrow_mut().fate = Fate::Success;
            sleep(INTERVAL * 2).await;
            assert_eq!(stage.attempted().len(), attempts, "nothing is dispatched");
            set_paused(&stage, &mut config, revision, false).await;
            stage.until_status(&config, "a", Status::Active).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_due_during_a_pause_is_made_after_it() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.fate("a", Fate::Fails(ErrorCode::TargetBeingDeleted, Side::Target));
    stage
        .play(async {
            let (mut config, revision) = saved_pair(&stage).await;
            stage.until_status(&config, "a", Status::Retrying).await;
            let revision = set_paused(&stage, &mut config, revision, true).await;
            sleep(INTERVAL).await;
            assert_eq!(stage.record(&config, "a").await.unwrap().envelope.body.status, Status::Retrying);
            stage.fate("a", Fate::Success);
            set_paused(&stage, &mut config, revision, false).await;
            stage.until_status(&config, "a", Status::Active).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_emergency_stop_keeps_every_config_still_until_it_is_taken_back() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until_runs_ended(&config, 1).await;
            let revision = stage.stop_all(true, Revision(0)).await;
            stage.set("source-kv", "b");
            sleep(INTERVAL * 3).await;
            assert_eq!(stage.attempted(), ["a"]);
            assert_eq!(may_work(&stage, &config).await, Some(false));
            stage.stop_all(false, revision).await;
            stage.until_status(&config, "b", Status::Active).await;
            sleep(INTERVAL / 2).await;
            assert_eq!(stage.runs(&config).await.len(), 2, "one for three that were due");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_emergency_stop_kept_back_is_planned_and_counted_in_the_run_that_goes_on_with_it() {
    for has_restarted in [false, true] {
        let stage = Stage::new();
        ["a", "b", "c"].iter().for_each(|name| stage.set("source-kv", name));
        stage.world.borrow_mut().is_full = true;
        let stopped = stage.play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until_status(&config, "c", Status::Pending).await;
            let revision = stage.stop_all(true, Revision(0)).await;
            stage.until_runs_ended(&config, 1).await;
            stage.world.borrow_mut().is_full = false;
            if !has_restarted {
                goes_on(&stage, &config, revision).await;
            }
            (config, revision)
        });
        let (config, revision) = stopped.await;
        if has_restarted {
            let next = stage.coordinator("coordinator-2", 3);
            stage.beside(next, goes_on(&stage, &config, revision)).await;
        }
    }
}

async fn goes_on(stage: &Stage, config: &Config, stopped: Revision) {
    stage.until("the coordinator answers", async || stage.summary(config).await.is_some()).await;
    stage.stop_all(false, stopped).await;
    stage.until_runs_ended(config, 2).await;
    let counts = stage.runs(config).await.pop().unwrap().counts;
    assert_eq!((counts.planned, counts.attempted, stage.attempted().len()), (3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_starts_while_everything_is_stopped_begins_nothing() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.stop_all(true, Revision(0)).await;
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until("the coordinator answers", async || stage.summary(&config).await.is_some()).await;
            sleep(INTERVAL).await;
            assert_eq!((stage.runs(&config).await.len(), stage.world.borrow().listings), (0, 0));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_was_away_over_due_times_runs_once() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    let config = stage.play(async {
        let (config, _) = saved_pair(&stage).await;
        stage.until_runs_ended(&config, 1).await;
        config
    });
    let config = config.await;
    sleep(INTERVAL * 5).await;
    stage
        .beside(stage.coordinator("coordinator-2", 3), async {
            stage.until_runs_ended(&config, 2).await;
            sleep(INTERVAL / 2).await;
            let triggers: Vec<_> = stage.runs(&config).await.into_iter().map(|run| run.trigger).collect();
            assert_eq!(triggers, [Trigger::Saved, Trigger::Schedule]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_verified_for_two_intervals_is_stale() {
    let stage = Stage::new();
    stage
        .play(async {
            let (mut config, revision) = saved_pair(&stage).await;
            stage.until_runs_ended(&config, 1).await;
            set_paused(&stage, &mut config, revision, true).await;
            sleep(INTERVAL).await;
            assert!(!stage.summary(&config).await.unwrap().stale);
            sleep(INTERVAL * 2).await;
            assert!(stage.summary(&config).await.unwrap().stale);
        })
        .await;
}
