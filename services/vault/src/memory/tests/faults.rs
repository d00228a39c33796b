//! Delays, stalls and lost answers: what was sent arrives, whatever became of who sent it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::timing::CALL_MAY_TAKE;
use proto_msgs::{CorrelationId, ItemType, Timestamp, vault::Side};
use tokio::time::Instant;

use crate::{
    Answer, Operation, SecretValue, Vault, VaultError, VaultErrorKind, Vaults, WriteGate,
    contract::{
        plain,
        stage::{FROM, INTO, VAULTS},
    },
    memory::{
        End, Fate, MemoryAzure, Slot,
        stage::{MemoryStage, START, identity, name},
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn correlation() -> CorrelationId {
    CorrelationId::from_random(7)
}

async fn target(azure: &MemoryAzure) -> Arc<dyn Vault> {
    azure.open(Side::Target, &identity(&VAULTS[1])).await.unwrap()
}

async fn write(
    vault: &dyn Vault,
    value: &str,
    gate: &WriteGate,
) -> Result<Answer<proto_msgs::vault::SideState>, VaultError> {
    let value = SecretValue::from_text(value.to_owned());
    vault.write_secret(&name("new"), &value, &plain(), gate, correlation()).await
}

fn open() -> WriteGate {
    WriteGate::new(|| true)
}

fn versions(azure: &MemoryAzure) -> Vec<Timestamp> {
    match azure.owner(INTO).slot(ItemType::Secrets, &name("new")) {
        Some(Slot::Live { item, .. }) => item.versions.iter().map(|version| version.created).collect(),
        Some(Slot::Deleted { .. }) | None => Vec::new(),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

#[tokio::test(start_paused = true)]
async fn the_gate_is_asked_after_the_token_and_before_the_way() {
    let azure = MemoryStage::new().azure;
    let azure = azure.with_fates(|_| Fate { token: SECOND, travel: 2 * SECOND, answer: SECOND, ..Fate::FINE });
    let started = Instant::now();
    let gate = WriteGate::new(move || {
        assert_eq!(started.elapsed(), SECOND);
        true
    });
    let written = write(target(&azure).await.as_ref(), "x", &gate).await.unwrap();
    assert_eq!(started.elapsed(), 4 * SECOND);
    assert_eq!((written.date, versions(&azure)), (at(3), vec![at(3)]));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_stalls_after_the_gate_arrives_when_its_writer_has_given_up() {
    let azure = MemoryStage::new().azure;
    let stall = CALL_MAY_TAKE + 5 * SECOND;
    let azure = azure.with_fates(move |call| {
        let travel = if call.operation == Operation::WriteSecret { stall } else { Duration::ZERO };
        Fate { travel, ..Fate::FINE }
    });
    let vault = target(&azure).await;
    let error = write(vault.as_ref(), "late", &open()).await.unwrap_err();
    assert!(error.kind == VaultErrorKind::Transient && error.may_have_written, "{error:?}");
    assert!(versions(&azure).is_empty());
    tokio::time::advance(5 * SECOND).await;
    assert_eq!(versions(&azure), [at(15)]);
    // What came in between was overtaken, not lost.
    assert!(vault.read_secret(&name("new"), None, correlation()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_writer_died_on_the_way_arrives_in_its_turn() {
    let azure = MemoryStage::new().azure;
    let slow = target(&azure.with_fates(|_| Fate { travel: 2 * SECOND, ..Fate::FINE })).await;
    let (vault, gate) = (target(&azure).await, open());
    let died = tokio::time::timeout(SECOND, write(slow.as_ref(), "first", &gate)).await;
    assert!(died.is_err());
    tokio::time::advance(10 * SECOND).await;
    write(vault.as_ref(), "second", &gate).await.unwrap();
    // The first arrived at its own time, before the second.
    assert_eq!(versions(&azure), [at(2), at(11)]);
    let read = vault.read_secret(&name("new"), None, correlation()).await.unwrap();
    assert!(read.value.value == SecretValue::from_text("second".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_died_before_the_gate_has_sent_nothing() {
    let azure = MemoryStage::new().azure;
    let azure = azure.with_fates(|_| Fate { token: 2 * SECOND, ..Fate::FINE });
    let (vault, gate) = (target(&azure).await, open());
    let died = tokio::time::timeout(SECOND, write(vault.as_ref(), "x", &gate)).await;
    assert!(died.is_err());
    tokio::time::advance(60 * SECOND).await;
    assert!(versions(&azure).is_empty());
    assert_eq!(azure.owner(INTO).calls(Operation::WriteSecret), 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_got_in_time_leaves_no_trace() {
    let azure = MemoryStage::new().azure;
    let azure = azure.with_fates(|_| Fate { token: Duration::MAX, ..Fate::FINE });
    let error = write(target(&azure).await.as_ref(), "x", &open()).await.unwrap_err();
    assert!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_heard_as_none() {
    let azure = MemoryStage::new().azure;
    let azure = azure.with_fates(|_| Fate { answer: CALL_MAY_TAKE + SECOND, ..Fate::FINE });
    let error = write(target(&azure).await.as_ref(), "x", &open()).await.unwrap_err();
    assert!(error.may_have_written && versions(&azure) == [at(0)], "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_cannot_be_reached_leaves_no_trace() {
    let azure = MemoryStage::new().azure;
    let unreachable = target(&azure.with_fates(|_| Fate::ends(End::Unreachable))).await;
    let vault = target(&azure).await;
    let error = write(unreachable.as_ref(), "x", &open()).await.unwrap_err();
    assert!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{error:?}");
    assert_eq!(azure.owner(INTO).calls(Operation::WriteSecret), 0);
    // Nor does one that is no more.
    azure.remove_vault(INTO);
    let error = write(vault.as_ref(), "x", &open()).await.unwrap_err();
    assert!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_lost_is_still_a_refusal() {
    let azure = MemoryStage::new().azure;
    azure.owner(INTO).set_shut(true);
    let azure = azure.with_fates(|_| Fate::ends(End::Lost));
    let error = write(target(&azure).await.as_ref(), "x", &open()).await.unwrap_err();
    assert!(error.kind == VaultErrorKind::NetworkDenied && error.left_no_trace(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_right_is_looked_at_when_the_call_arrives() {
    let azure = MemoryStage::new().azure;
    let azure = azure.with_fates(|_| Fate { travel: 2 * SECOND, ..Fate::FINE });
    let (vault, gate) = (target(&azure).await, open());
    let revoke = async {
        tokio::time::sleep(SECOND).await;
        azure.owner(INTO).revoke(Side::Target, "Microsoft.KeyVault/vaults/secrets/setSecret/action");
    };
    let (written, ()) = tokio::join!(write(vault.as_ref(), "x", &gate), revoke);
    assert_eq!(written.unwrap_err().kind, VaultErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_can_be_asked_for() {
    let azure = MemoryStage::new().azure;
    for kind in [
        VaultErrorKind::Unauthenticated,
        VaultErrorKind::Forbidden,
        VaultErrorKind::NetworkDenied,
        VaultErrorKind::Disabled,
        VaultErrorKind::ManagedByCertificate,
        VaultErrorKind::PolicyDenied,
        VaultErrorKind::NotFound,
        VaultErrorKind::SoftDeleted,
        VaultErrorKind::BeingDeleted,
        VaultErrorKind::AlreadyExists,
        VaultErrorKind::NameTaken,
        VaultErrorKind::CertificateExpired,
        VaultErrorKind::TooManyVersions,
        VaultErrorKind::OtherGeography,
        VaultErrorKind::OtherSubscription,
        VaultErrorKind::Rejected,
        VaultErrorKind::Throttled,
        VaultErrorKind::Transient,
        VaultErrorKind::Unknown,
    ] {
        let azure = azure.with_fates(move |_| Fate::ends(End::Refused { kind, retry_after: Some(SECOND) }));
        let vault = target(&azure).await;
        let error = write(vault.as_ref(), "x", &open()).await.unwrap_err();
        assert!(error.kind == kind && error.retry_after == Some(SECOND), "{error:?}");
        assert_eq!(error.may_have_written, kind == VaultErrorKind::Transient);
        assert!(versions(&azure).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_fate_is_told_of_every_call_what_it_is_about() {
    let azure = MemoryStage::new().azure;
    let told = Arc::new(AtomicBool::new(false));
    let seen = told.clone();
    let observed = azure.clone();
    let azure = azure.with_fates(move |call| {
        // It may look at what it decides about.
        let calls = observed.owner(FROM).calls(Operation::BackupKey);
        if call.operation == Operation::RestoreKey {
            assert_eq!((calls, call.side, call.vault.as_str()), (1, Side::Target, INTO));
            assert_eq!((call.kind, call.item.clone()), (Some(ItemType::Keys), Some(name("signer"))));
            seen.store(true, Ordering::Relaxed);
        }
        Fate::FINE
    });
    let from = azure.open(Side::Source, &identity(&VAULTS[0])).await.unwrap();
    let backup = from.backup_key(&name("signer"), correlation()).await.unwrap().value;
    target(&azure).await.restore_key(&backup, &open(), correlation()).await.unwrap();
    assert!(told.load(Ordering::Relaxed));
}

/// A scene with stalls and races, as a dump of what it left.
async fn scene() -> impl PartialEq + std::fmt::Debug {
    let azure = MemoryStage::new().azure;
    let azure = azure.with_fates(|call| {
        let travel = Duration::from_millis(call.item.as_ref().map_or(0, |item| item.as_str().len() as u64 * 700));
        Fate { travel, ..Fate::FINE }
    });
    let (vault, gate) = (target(&azure).await, open());
    let value = SecretValue::from_text("x".to_owned());
    let attributes = plain();
    let names = ["a", "bb", "ccc", "dddd"].map(name);
    let writes = names.iter().map(|item| vault.write_secret(item, &value, &attributes, &gate, correlation()));
    let answers = futures::future::join_all(writes).await;
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.map(|answer| answer.request_id).ok()).collect();
    (azure.dump(), ids)
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_azure() {
    let first = scene().await;
    assert!(first == scene().await, "{first:?}");
}
