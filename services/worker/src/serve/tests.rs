//! A whole worker on a log and an Azure in memory.

use std::{future::Future, pin::pin, time::Duration};

use broker::LiveEntry;
use futures::{StreamExt, future::join_all};
use proto_msgs::{
    CorrelationId, ItemType, Record, Status,
    subject::AnyWorker,
    vault::Side,
    worker::{Heartbeat, InventoryAnswer, InventoryRequest, Listing, Role, SyncAnswer, SyncRecord},
};
use runtime::Shutdown;
use tokio::task::LocalSet;
use vault::{Operation, memory::Fate};

use crate::{
    WorkerParts, WorkerSettings,
    fixtures::{holds, versions},
    stage::{Stage, name, on},
};

const SECOND: Duration = Duration::from_secs(1);

/// Runs workers beside what happens to them, until that is over.
async fn beside<T>(workers: Vec<(WorkerParts, Shutdown)>, story: impl Future<Output = T>) -> T {
    let running = workers.into_iter().map(|(parts, shutdown)| async move {
        super::run(WorkerSettings::default(), parts, shutdown).await.expect("a worker failed");
    });
    let running = async {
        join_all(running).await;
        std::future::pending::<()>().await;
    };
    let local = LocalSet::new();
    local
        .run_until(async {
            let (running, story) = (pin!(running), pin!(story));
            tokio::select! {
                biased;
                over = story => over,
                () = running => unreachable!("it waits for ever"),
            }
        })
        .await
}

/// Waits until the worker has served for a while: it heard its own beats by then.
async fn is_up(stage: &Stage, parts: &WorkerParts) {
    let subject = stage.others.subjects.heartbeat(Role::Worker, parts.origin.member());
    let mut beats = stage.others.bus.subscribe(&subject, None).await.unwrap();
    for _ in 0..2 {
        beats.next().await.unwrap();
    }
}

async fn dispatch(stage: &Stage, command: SyncRecord) -> SyncAnswer {
    let subject = stage.others.subjects.worker_sync(stage.parts.origin.member());
    let question = stage.parts.origin.envelope(CorrelationId::from_random(3), command);
    broker::ask(stage.others.bus.as_ref(), &subject, &question, SECOND * 5).await.unwrap().body
}

/// Asks any worker for a page of the source's listing, as long as a coordinator waits for it.
async fn listing(stage: &Stage) -> InventoryAnswer {
    let subjects = &stage.others.subjects;
    listing_by(stage, &subjects.any_worker(AnyWorker::Inventory)).await
}

async fn listing_by(stage: &Stage, subject: &str) -> InventoryAnswer {
    let command = stage.retry().await;
    let request = InventoryRequest {
        config: command.record.id.config,
        side: Side::Source,
        vault: command.source,
        kind: ItemType::Secrets,
        listing: Listing::Live,
        continuation: None,
    };
    let question = stage.parts.origin.envelope(CorrelationId::from_random(4), request);
    broker::ask(stage.others.bus.as_ref(), subject, &question, SECOND * 15).await.unwrap().body
}

/// The record, once its attempt is over.
async fn outcome(stage: &Stage, command: SyncRecord) -> Record {
    let mut events = stage.others.log().follow_records(&command.record.id.config).await.unwrap();
    assert!(matches!(dispatch(stage, command).await, SyncAnswer::Accepted { .. }));
    loop {
        match events.next().await.unwrap() {
            LiveEntry::Entry(entry) if entry.envelope.body.status != Status::Syncing => return entry.envelope.body,
            LiveEntry::Entry(_) | LiveEntry::Gap => {}
        }
    }
}

async fn stage() -> Stage {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage
}

/// The vaults are read slowly.
fn slow(stage: &Stage, by: Duration) {
    stage.fate(Operation::ReadSecret, move || Fate { travel: by, ..Fate::FINE });
}

#[tokio::test(start_paused = true)]
async fn a_record_is_synced_on_command() {
    let stage = stage().await;
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        assert_eq!(outcome(&stage, stage.command().await).await.status, Status::Active);
    })
    .await;
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hears_nothing_writes_nothing() {
    let stage = stage().await;
    slow(&stage, SECOND * 3);
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        let (record, ()) = tokio::join!(outcome(&stage, stage.command().await), async {
            tokio::time::sleep(SECOND / 2).await;
            stage.deafen();
        });
        assert_eq!(record.status, Status::Retrying);
    })
    .await;
    assert_eq!(versions(&stage.target()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_writes_nothing_more_for_a_config_that_was_deleted() {
    let stage = stage().await;
    slow(&stage, SECOND);
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        let (record, _) = tokio::join!(outcome(&stage, stage.command().await), async {
            tokio::time::sleep(SECOND / 2).await;
            stage.edit(|config| config.deleted = true).await
        });
        assert_eq!(record.status, Status::Pending);
        assert!(matches!(dispatch(&stage, stage.command().await).await, SyncAnswer::Stale { .. }));
    })
    .await;
    assert_eq!(versions(&stage.target()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_writes_nothing_more_after_a_pause_or_a_stop_of_everything() {
    for is_pause in [true, false] {
        let stage = stage().await;
        slow(&stage, SECOND);
        beside(vec![(stage.parts.clone(), Shutdown::new())], async {
            is_up(&stage, &stage.parts).await;
            let (record, ()) = tokio::join!(outcome(&stage, stage.command().await), async {
                tokio::time::sleep(SECOND / 2).await;
                if is_pause {
                    stage.edit(|config| config.spec.paused = true).await;
                } else {
                    stage.stop_all().await;
                }
            });
            assert_eq!((record.status, record.unresolved), (Status::Pending, None));
        })
        .await;
        assert_eq!(stage.target().calls(Operation::WriteSecret), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_finds_out_that_everything_was_stopped_while_it_was_away_or_cut_off() {
    let stage = stage().await;
    stage.stop_all().await;
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        assert_eq!(outcome(&stage, stage.command().await).await.status, Status::Pending);
    })
    .await;
    assert_eq!(versions(&stage.target()), 0);

    let stage = self::stage().await;
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        stage.line.cut();
        stage.stop_all().await;
        tokio::time::sleep(SECOND).await;
        stage.line.reconnect();
        is_up(&stage, &stage.parts).await;
        assert_eq!(outcome(&stage, stage.command().await).await.status, Status::Pending);
    })
    .await;
    assert_eq!(versions(&stage.target()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_finds_out_what_was_edited_while_it_was_cut_off() {
    let stage = stage().await;
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        stage.line.cut();
        let command = stage.command().await;
        stage.edit(|config| config.spec.exclude.push("x*".to_owned())).await;
        tokio::time::sleep(SECOND).await;
        stage.line.reconnect();
        is_up(&stage, &stage.parts).await;
        assert!(matches!(dispatch(&stage, command).await, SyncAnswer::Stale { .. }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_finishes_what_is_begun_and_takes_no_more() {
    let stage = stage().await;
    slow(&stage, SECOND * 4);
    let shutdown = Shutdown::new();
    beside(vec![(stage.parts.clone(), shutdown.clone())], async {
        is_up(&stage, &stage.parts).await;
        let command = stage.command().await;
        let (record, ()) = tokio::join!(outcome(&stage, command.clone()), async {
            tokio::time::sleep(SECOND / 2).await;
            shutdown.drain();
            tokio::time::sleep(SECOND).await;
            assert_eq!(dispatch(&stage, command).await, SyncAnswer::Draining);
        });
        // The write began eight seconds after the drain: heartbeats went on.
        assert_eq!(record.status, Status::Active);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_answers_the_listings_it_has_and_leaves_others_to_others() {
    let stage = stage().await;
    stage.fate(Operation::List, || Fate { travel: SECOND * 2, ..Fate::FINE });
    let (other, shutdown) = (stage.another_worker(), Shutdown::new());
    let workers = vec![(stage.parts.clone(), shutdown.clone()), (other.clone(), Shutdown::new())];
    beside(workers, async {
        is_up(&stage, &other).await;
        let (before, after) = tokio::join!(join_all((0..20).map(|_| listing(&stage))), async {
            tokio::time::sleep(SECOND).await;
            shutdown.drain();
            tokio::time::sleep(SECOND / 2).await;
            join_all((0..20).map(|_| listing(&stage))).await
        });
        assert!(before.iter().chain(&after).all(Result::is_ok));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn listings_wait_for_their_turn() {
    let stage = stage().await;
    stage.fate(Operation::List, || Fate { travel: SECOND, ..Fate::FINE });
    beside(vec![(stage.parts.clone(), Shutdown::new())], async {
        is_up(&stage, &stage.parts).await;
        let own = stage.others.subjects.one_worker(AnyWorker::Inventory, stage.parts.origin.member());
        assert!(listing_by(&stage, &own).await.is_ok(), "it is asked by its name as well");
        let pages = join_all((0..200).map(|_| listing(&stage))).await;
        assert!(pages.iter().all(Result::is_ok));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_says_so() {
    let stage = stage().await;
    slow(&stage, SECOND * 4);
    let shutdown = Shutdown::new();
    let subject = stage.others.subjects.heartbeat(Role::Worker, stage.parts.origin.member());
    let mut beats = stage.others.bus.subscribe(&subject, None).await.unwrap();
    beside(vec![(stage.parts.clone(), shutdown.clone())], async {
        is_up(&stage, &stage.parts).await;
        assert!(matches!(dispatch(&stage, stage.command().await).await, SyncAnswer::Accepted { .. }));
        shutdown.drain();
        loop {
            let beat = broker::read::<Heartbeat>(&beats.next().await.unwrap()).unwrap().body;
            if beat.draining {
                return assert_eq!((beat.room, beat.in_flight), (0, 1));
            }
        }
    })
    .await;
}
