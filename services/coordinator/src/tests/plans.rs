//! Plans that are only looked at.

use proto_msgs::{
    RequestCode, Status,
    api::{ConfigQuery, ConfigReply},
    plan::PlanAction,
};

use super::stage::Stage;
use super::{saved_pair, set_paused};
use crate::fixtures::key;

#[tokio::test(start_paused = true)]
async fn a_plan_shows_what_the_next_run_would_do_and_writes_nothing() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage
        .play(async {
            let (mut config, revision) = saved_pair(&stage).await;
            stage.until_runs_ended(&config, 1).await;
            set_paused(&stage, &mut config, revision, true).await;
            stage.set("source-kv", "b");
            stage.set("source-kv", "c");
            let before = stage.written_records();
            let first = stage.ask(&config, ConfigQuery::Plan { after: None, limit: 1 }).await;
            let Some(ConfigReply::Plan { plan: first }) = first else { panic!("{first:?}") };
            assert_eq!((first.items.len(), first.next.clone()), (1, Some(key("b"))));
            assert_eq!((first.counts.get(&PlanAction::Make), first.complete), (Some(&2), true));
            let listings = stage.world.borrow().listings;
            let second = stage.ask(&config, ConfigQuery::Plan { after: first.next, limit: 1 }).await;
            let Some(ConfigReply::Plan { plan: second }) = second else { panic!("{second:?}") };
            assert_eq!((second.items[0].key.clone(), second.next, second.hash), (key("c"), None, first.hash));
            assert_eq!(stage.world.borrow().listings, listings, "its pages are of one listing");
            assert_eq!((stage.written_records(), stage.attempted().len()), (before, 1));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_for_a_plan_at_once_get_the_same_one() {
    let stage = Stage::new();
    stage.set("source-kv", "a");
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until_status(&config, "a", Status::Active).await;
            stage.until_runs_ended(&config, 1).await;
            let listings = stage.world.borrow().listings;
            let ask = || stage.ask(&config, ConfigQuery::Plan { after: None, limit: 10 });
            let (one, other) = futures::join!(ask(), ask());
            assert_eq!(one, other);
            assert_eq!(stage.world.borrow().listings - listings, 4, "both listings of both vaults, once");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_plan_that_is_not_kept_is_refused() {
    let stage = Stage::new();
    stage
        .play(async {
            let (config, _) = saved_pair(&stage).await;
            stage.until_runs_ended(&config, 1).await;
            let reply = stage.ask(&config, ConfigQuery::Plan { after: Some(key("a")), limit: 10 }).await;
            let Some(ConfigReply::Refused { refusal }) = reply else { panic!("{reply:?}") };
            assert_eq!(refusal.code, RequestCode::PlanChanged);
        })
        .await;
}
