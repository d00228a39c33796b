//! Outcomes that are refused, because somebody else went on with the record.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use domain::lifecycle;
use proto_msgs::{ItemType, Record, Status, worker::SyncRecord};
use vault::{Operation, memory::Fate};

use crate::stage::{Stage, name, on};
use crate::{
    RecordError,
    fixtures::{holds, versions},
};

const SECOND: Duration = Duration::from_secs(1);

/// A secret that is about to be written, slowly.
async fn slow(by: u64) -> (Stage, SyncRecord) {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    stage.fate(Operation::WriteSecret, move || Fate { travel: SECOND * u32::try_from(by).unwrap(), ..Fate::FINE });
    let command = stage.command().await;
    (stage, command)
}

/// The coordinator goes on with a record whose worker it believes to be gone.
async fn go_on(stage: &Stage) {
    let record = stage.head().await.envelope.body;
    stage.append(lifecycle::pending(record, None, proto_msgs::Revision(1))).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_overtaken_is_noted_and_compared_with_the_next_attempt() {
    let (stage, command) = slow(5).await;
    let (ended, ()) = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        go_on(&stage).await;
    });
    assert!(matches!(ended, Err(RecordError::OutcomeRefused)), "{ended:?}");
    let head = stage.head().await;
    let late = &head.envelope.body.late;
    assert_eq!((head.envelope.body.status, head.envelope.body.thorough, late.len()), (Status::Pending, true, 1));
    assert!(late[0].source_version.is_some());
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.late, record.unresolved, record.thorough), (Status::Active, vec![], None, false));
    assert_eq!(versions(&stage.target()), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_overtaken_before_it_wrote_leaves_no_note() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.fate(Operation::ReadSecret, || Fate { travel: SECOND * 2, ..Fate::FINE });
    let command = stage.command().await;
    let (ended, ()) = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        go_on(&stage).await;
    });
    assert!(matches!(ended, Err(RecordError::OutcomeRefused)), "{ended:?}");
    let record = stage.head().await.envelope.body;
    assert_eq!((record.late.len(), record.thorough), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_note_on_an_attempt_under_way_neither_stops_it_nor_is_lost() {
    let (stage, command) = slow(8).await;
    let ended = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        // The coordinator repeats the attempt too early; both write, one after the other.
        let again = stage.retry().await;
        stage.beat();
        tokio::time::sleep(SECOND * 4).await;
        stage.run(SyncRecord { outcome_unknown: true, ..again }).await
    });
    assert!(matches!(ended, (Err(RecordError::OutcomeRefused), Ok(()))), "{ended:?}");
    let record = stage.head().await.envelope.body;
    assert_eq!((record.status, record.late.len(), record.thorough), (Status::Active, 1, true));
    assert!(lifecycle::is_doubtful(&record));
    stage.mend();
    let record = stage.sync_later().await;
    assert_eq!((record.status, record.late, record.thorough), (Status::Active, vec![], false));
    assert!(holds(&stage.target(), "one"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_builds_on_every_note() {
    let (stage, command) = slow(0).await;
    let begun = AtomicU32::new(0);
    stage.fate(Operation::WriteSecret, move || {
        let travels = [3, 4, 8];
        Fate { travel: SECOND * travels[begun.fetch_add(1, Ordering::Relaxed) as usize], ..Fate::FINE }
    });
    let again = async |after: Duration| {
        tokio::time::sleep(after).await;
        let retry = stage.retry().await;
        stage.run(SyncRecord { outcome_unknown: true, ..retry }).await
    };
    let ended = tokio::join!(stage.run(command), again(SECOND), again(SECOND * 2));
    assert!(matches!(ended, (Err(RecordError::OutcomeRefused), Err(RecordError::OutcomeRefused), Ok(()))), "{ended:?}");
    let record = stage.head().await.envelope.body;
    assert_eq!((record.status, record.late.len(), record.thorough), (Status::Active, 2, true));
}

#[tokio::test(start_paused = true)]
async fn a_late_write_of_an_older_value_is_found_and_replaced() {
    let (stage, command) = slow(9).await;
    let ended = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        stage.source().set_secret(&name(), "two", on()).unwrap();
        stage.mend();
        let again = stage.retry().await;
        stage.run(SyncRecord { outcome_unknown: true, ..again }).await
    });
    assert!(matches!(ended, (Err(RecordError::OutcomeRefused), Ok(()))), "{ended:?}");
    assert!(holds(&stage.target(), "one"));
    assert_eq!(stage.sync_later().await.late, vec![]);
    assert!(holds(&stage.target(), "two"));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_noted_however_long_the_log_was_away() {
    let (stage, command) = slow(5).await;
    let ended = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        go_on(&stage).await;
        stage.line.cut();
        tokio::time::sleep(SECOND * 60).await;
        stage.line.reconnect();
    });
    assert!(matches!(ended.0, Err(RecordError::OutcomeRefused)), "{ended:?}");
    assert_eq!(stage.head().await.envelope.body.late.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_noted_though_others_go_on_with_the_record_at_the_same_time() {
    let (stage, command) = slow(5).await;
    stage.appends_arrive_late(SECOND * 2);
    let ended = tokio::join!(stage.run(command), async {
        for second in [4, 6] {
            tokio::time::sleep(SECOND * second).await;
            go_on(&stage).await;
        }
    });
    assert!(matches!(ended.0, Err(RecordError::OutcomeRefused)), "{ended:?}");
    let record = stage.head().await.envelope.body;
    assert_eq!((record.status, record.late.len()), (Status::Pending, 1));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_leaves_with_its_config_is_not_noted_on() {
    let (stage, command) = slow(5).await;
    let ended = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        let record = stage.head().await.envelope.body;
        stage.append(lifecycle::removed(record)).await;
    });
    assert!(matches!(ended.0, Err(RecordError::OutcomeRefused)), "{ended:?}");
    let record: Record = stage.head().await.envelope.body;
    assert_eq!((record.removed, record.late.len()), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_intent_touches_nothing() {
    let stage = Stage::new(ItemType::Secrets).await;
    stage.source().set_secret(&name(), "one", on()).unwrap();
    let command = stage.command().await;
    go_on(&stage).await;
    assert!(matches!(stage.run(command).await, Err(RecordError::IntentRefused)));
    assert_eq!(stage.target().calls(Operation::ReadSecret), 0);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_offered_again_while_the_log_cannot_be_reached() {
    let (stage, command) = slow(3).await;
    let ended = tokio::join!(stage.run(command), async {
        tokio::time::sleep(SECOND).await;
        stage.line.cut();
        tokio::time::sleep(SECOND * 4).await;
        stage.line.reconnect();
    });
    assert!(ended.0.is_ok(), "{ended:?}");
    assert_eq!(stage.head().await.envelope.body.status, Status::Active);
}
