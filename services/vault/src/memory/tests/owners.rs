//! Somebody else at work, and the cloud around the vaults.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{
    CorrelationId, ErrorCode, ItemType, Timestamp, VaultRef,
    config::DiscoveredVault,
    vault::{Side, VaultIdentity},
    worker::{ResolveAnswer, ResolveFailure},
};

use crate::{
    Operation, SecretValue, VaultErrorKind, Vaults,
    contract::{
        plain,
        stage::{FROM, INTO, VAULTS},
    },
    memory::{
        Content, Format, MemoryAzure, NewCertificate, Slot,
        stage::{MemoryStage, START, empty, identity, name},
    },
};

async fn resolve(azure: &MemoryAzure, side: Side, vault: &str) -> ResolveAnswer {
    let reference = VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    azure.resolve(side, &reference, CorrelationId::from_random(8)).await
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_is_there_twice_is_ambiguous() {
    let azure = MemoryStage::new().azure;
    let again = VaultIdentity {
        uri: "https://from-kv.vault.elsewhere".to_owned(),
        resource_id: Some("second".to_owned()),
        ..identity(&VAULTS[0])
    };
    azure.add_vault(again);
    let answer = resolve(&azure, Side::Source, FROM).await;
    let Err(ResolveFailure::Ambiguous { candidates }) = answer else { panic!("{answer:?}") };
    assert_eq!(candidates.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vault_is_found_by_who_may_see_it_and_is_known() {
    let azure = MemoryStage::new().azure;
    azure.owner(FROM).set_visible(Side::Source, false);
    assert!(matches!(resolve(&azure, Side::Source, FROM).await, Err(ResolveFailure::NotFound { .. })));
    assert!(resolve(&azure, Side::Target, FROM).await.is_ok());
    azure.owner(FROM).set_visible(Side::Source, true);
    azure.set_identity(Side::Source, false);
    let answer = resolve(&azure, Side::Source, FROM).await;
    let Err(ResolveFailure::Call { failure }) = answer else { panic!("{answer:?}") };
    assert_eq!(failure.code, ErrorCode::SourceAuthFailed);
    azure.set_identity(Side::Source, true);
    assert!(resolve(&azure, Side::Source, FROM).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_was_replaced_has_another_id_and_nothing_in_it() {
    let azure = MemoryStage::new().azure;
    let before = resolve(&azure, Side::Source, FROM).await.unwrap();
    azure.add_vault(VaultIdentity { resource_id: Some("new".to_owned()), ..before.clone() });
    let after = resolve(&azure, Side::Source, FROM).await.unwrap();
    assert_ne!(after.resource_id, before.resource_id);
    assert!(azure.dump()[&after.uri].is_empty());
    azure.remove_vault(FROM);
    assert!(matches!(resolve(&azure, Side::Source, FROM).await, Err(ResolveFailure::NotFound { .. })));
    let vault = azure.open(Side::Source, &before).await.unwrap();
    let error = vault.read_secret(&name("db"), None, CorrelationId::from_random(8)).await.unwrap_err();
    assert_eq!(error.kind, VaultErrorKind::Transient);
}

#[tokio::test(start_paused = true)]
async fn an_owner_keeps_the_vaults_rules() {
    let azure = MemoryStage::new().azure;
    let (from, tls) = (azure.owner(FROM), name("tls"));
    assert_eq!(from.set_secret(&tls, "x", plain()), Err(VaultErrorKind::ManagedByCertificate));
    assert_eq!(from.make_key(&tls, "RSA", plain()), Err(VaultErrorKind::ManagedByCertificate));
    assert_eq!(from.set_secret(&name("gone"), "x", plain()), Err(VaultErrorKind::SoftDeleted));
    assert_eq!(from.recover(ItemType::Secrets, &name("db")), Err(VaultErrorKind::NotFound));
    assert_eq!(from.purge(ItemType::Secrets, &name("db")), Err(VaultErrorKind::NotFound));
    assert_eq!(azure.owner("nowhere-kv").delete(ItemType::Keys, &tls), Err(VaultErrorKind::NotFound));
    let newest = from.set_secret(&name("DB"), "second", plain()).unwrap();
    let Some(Slot::Live { item, .. }) = from.slot(ItemType::Secrets, &name("db")) else { panic!("db is live") };
    let version = item.versions.last().unwrap();
    let Content::Secret(value) = &version.content else { panic!("db is a secret") };
    assert!(version.id == newest && item.versions.len() == 2 && item.name.as_str() == "db");
    assert!(**value == SecretValue::from_text("second".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_pending_certificate_is_issued_in_the_end() {
    let azure = MemoryStage::new().azure;
    let (from, waiting) = (azure.owner(FROM), name("waiting"));
    let certificate = NewCertificate {
        format: Format::Pem,
        exportable: true,
        key_type: "RSA".to_owned(),
        not_before: Timestamp::from_unix_seconds(START),
        not_after: Timestamp::from_unix_seconds(START + 60),
        attributes: plain(),
    };
    let version = from.issue(&waiting, &certificate).unwrap();
    // A renewal that is asked for leaves it as it is.
    from.request_certificate(&waiting).unwrap();
    let vault = azure.open(Side::Source, &identity(&VAULTS[0])).await.unwrap();
    let read = vault.read_certificate(&waiting, CorrelationId::from_random(8)).await.unwrap().value;
    assert!(read.state.version == Some(version) && read.state.x5t.is_some());
    assert_eq!(read.policy.content_type.as_deref(), Some("application/x-pem-file"));
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_retention_is_gone() {
    let azure = MemoryStage::new().azure;
    let (from, db) = (azure.owner(FROM), name("db"));
    from.set_retention(Duration::from_secs(60));
    from.delete(ItemType::Secrets, &db).unwrap();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(from.slot(ItemType::Secrets, &db).is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(from.slot(ItemType::Secrets, &db).is_none());
    assert!(from.set_secret(&db, "again", plain()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn deleting_and_recovering_take_as_long_as_they_are_said_to() {
    let azure = MemoryStage::new().azure;
    let (from, db) = (azure.owner(FROM), name("db"));
    azure.set_phase(Duration::from_secs(5));
    from.delete(ItemType::Secrets, &db).unwrap();
    assert_eq!(from.recover(ItemType::Secrets, &db), Err(VaultErrorKind::BeingDeleted));
    tokio::time::advance(Duration::from_secs(5)).await;
    from.recover(ItemType::Secrets, &db).unwrap();
    assert_eq!(from.set_secret(&db, "x", plain()), Err(VaultErrorKind::BeingDeleted));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(from.set_secret(&db, "x", plain()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_vault_and_operation() {
    let azure = MemoryStage::new().azure;
    let vault = azure.open(Side::Source, &identity(&VAULTS[0])).await.unwrap();
    for _ in 0..3 {
        let _ = vault.read_key(&name("signer"), CorrelationId::from_random(8)).await;
    }
    let _ = vault.read_key(&name("absent"), CorrelationId::from_random(8)).await;
    assert_eq!(azure.owner(FROM).calls(Operation::ReadKey), 4);
    assert_eq!(azure.owner(FROM).calls(Operation::ReadSecret), 0);
    assert_eq!(azure.owner(INTO).calls(Operation::ReadKey), 0);
}

#[tokio::test(start_paused = true)]
async fn rights_are_taken_and_given_back_one_by_one_and_by_side() {
    let azure = MemoryStage::new().azure;
    let (owner, db) = (azure.owner(FROM), name("db"));
    let read = async |side| {
        let vault = azure.open(side, &identity(&VAULTS[0])).await.unwrap();
        let read = vault.read_secret(&db, None, CorrelationId::from_random(8)).await;
        read.err().map(|error| error.kind)
    };
    owner.revoke(Side::Source, "microsoft.keyvault/vaults/secrets/getsecret/action");
    assert_eq!((read(Side::Source).await, read(Side::Target).await), (Some(VaultErrorKind::Forbidden), None));
    owner.grant_all(Side::Source);
    owner.revoke_all(Side::Target);
    assert_eq!((read(Side::Source).await, read(Side::Target).await), (None, Some(VaultErrorKind::Forbidden)));
}

#[tokio::test(start_paused = true)]
async fn a_policy_refuses_writes_and_lets_deletes_through() {
    let azure = MemoryStage::new().azure;
    azure.owner(FROM).set_policy_denies(true);
    let vault = azure.open(Side::Target, &identity(&VAULTS[0])).await.unwrap();
    let (id, gate) = (CorrelationId::from_random(8), crate::WriteGate::new(|| true));
    let updated = vault.update(ItemType::Secrets, &name("db"), &plain(), &gate, id).await;
    assert_eq!(updated.unwrap_err().kind, VaultErrorKind::PolicyDenied);
    assert!(vault.delete(ItemType::Secrets, &name("db"), &gate, id).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dump_shows_everything_but_values() {
    let azure = empty();
    azure.add_vault(identity(&VAULTS[0]));
    let owner = azure.owner(FROM);
    owner.set_secret(&name("db"), "hunter2", plain()).unwrap();
    let before = azure.dump();
    assert!(!format!("{before:?}").contains("hunter2"));
    assert_eq!(azure.dump(), before);
    owner.set_secret(&name("db"), "hunter3", plain()).unwrap();
    assert_ne!(azure.dump(), before);
    assert_eq!(before.values().map(BTreeMap::len).sum::<usize>(), 1);
}
