//! What another owner left.

use proto_msgs::{Revision, Status};

use super::stage::{SECOND, Stage};
use crate::fixtures::config;

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_run_that_another_owner_left_is_attempted_before_anything_is_listed() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage.world.borrow_mut().lists = false;
    let config = config(1, "source-kv", "target-kv");
    let revision = stage.save(&config, Revision(0)).await;
    stage.leave_waiting(&config, revision, "a").await;
    stage
        .play(async {
            stage.until_status(&config, "a", Status::Active).await;
            assert!(stage.runs(&config).await[0].is_open());
            stage.world.borrow_mut().lists = true;
            stage.until_runs_ended(&config, 1).await;
            let run = &stage.runs(&config).await[0];
            assert_eq!((run.resumed, run.counts.planned, run.counts.attempted), (1, 1, 1));
            assert_eq!(stage.attempted(), ["a"]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_since_long_ago_is_planned_again_first() {
    let stage = Stage::new();
    stage.world.borrow_mut().lists = false;
    let config = config(1, "source-kv", "target-kv");
    let revision = stage.save(&config, Revision(0)).await;
    stage.leave_waiting(&config, revision, "a").await;
    tokio::time::sleep(SECOND * 61).await;
    stage
        .play(async {
            tokio::time::sleep(SECOND * 30).await;
            assert_eq!(stage.attempted(), Vec::<String>::new());
            stage.set("source-kv", "a");
            stage.world.borrow_mut().lists = true;
            stage.until_status(&config, "a", Status::Active).await;
        })
        .await;
}
