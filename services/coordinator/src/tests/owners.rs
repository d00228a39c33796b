//! Configs that want the same target item.

use proto_msgs::{Config, Revision, Status};

use super::stage::{Fate, Stage};
use super::{run_now, saved};

async fn answers(stage: &Stage, config: &Config) {
    stage.until("the coordinator answers", async || stage.summary(config).await.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_item_is_one_configs_and_goes_to_the_next_when_that_is_deleted() {
    let stage = Stage::new();
    stage.set("one-kv", "a");
    stage.set("two-kv", "a");
    stage
        .play(async {
            let (mut first, revision) = saved(&stage, 1, "one-kv", "target-kv").await;
            stage.until_status(&first, "a", Status::Active).await;
            let (second, _) = saved(&stage, 2, "two-kv", "target-kv").await;
            let blocked = stage.until_status(&second, "a", Status::BlockedTargetClaimed).await;
            assert!(blocked.detail.unwrap().message.contains(&first.spec.name));
            assert_eq!(stage.attempted(), ["a"], "and no call was made to find that out");
            first.deleted = true;
            stage.save(&first, revision).await;
            stage.until("it is gone", async || stage.others.configs().get(&first.id).await.unwrap().is_none()).await;
            stage.tell(&second, run_now()).await.unwrap();
            stage.until_status(&second, "a", Status::Active).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn of_two_first_writes_at_once_one_is_dispatched() {
    let stage = Stage::new();
    stage.world.borrow_mut().fate = Fate::Hangs;
    stage.set("one-kv", "a");
    stage.set("two-kv", "a");
    stage
        .play(async {
            let (first, _) = saved(&stage, 1, "one-kv", "target-kv").await;
            let (second, _) = saved(&stage, 2, "two-kv", "target-kv").await;
            let status =
                async |config: &Config| stage.record(config, "a").await.map(|entry| entry.envelope.body.status);
            stage
                .until("one is attempted and the other blocked", async || {
                    let both = [status(&first).await, status(&second).await];
                    both.contains(&Some(Status::Syncing)) && both.contains(&Some(Status::BlockedTargetClaimed))
                })
                .await;
            assert_eq!(stage.attempted().len(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_known_again_by_the_next_coordinator() {
    let stage = Stage::new();
    stage.set("one-kv", "a");
    let (first, second) = stage
        .play(async {
            let (first, _) = saved(&stage, 1, "one-kv", "target-kv").await;
            stage.until_status(&first, "a", Status::Active).await;
            let second = crate::fixtures::config(2, "two-kv", "target-kv");
            (first, second)
        })
        .await;
    stage.set("two-kv", "a");
    stage.save(&second, Revision(0)).await;
    stage
        .beside(stage.coordinator("coordinator-2", 3), async {
            answers(&stage, &first).await;
            stage.until_status(&second, "a", Status::BlockedTargetClaimed).await;
            assert_eq!(stage.attempted(), ["a"]);
        })
        .await;
}
