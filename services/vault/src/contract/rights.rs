//! What keeps a call from its effect before the item is looked at: rights, firewalls, gates.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proto_msgs::{ErrorCode, ItemType, vault::Side, worker::Listing};

use super::{Broken, Claim, Stage, correlation, fails, holds, identity, name, open_gate, pair, plain, refused, stage};
use crate::{
    CertificateImport, CertificateMaterial, CertificatePolicy, Operation, SecretValue, Vault, VaultError,
    VaultErrorKind, WriteGate,
};

fn value() -> SecretValue {
    SecretValue::from_text("x".to_owned())
}

fn import() -> CertificateImport {
    CertificateImport {
        material: CertificateMaterial { content_type: "application/x-pkcs12".to_owned(), value: value() },
        policy: CertificatePolicy {
            exportable: true,
            reuse_key: false,
            key_type: None,
            key_size: None,
            curve: None,
            content_type: None,
        },
        attributes: plain(),
    }
}

/// Every call of the port that writes, on an item of that name.
async fn writes(vault: &dyn Vault, item: &str, gate: &WriteGate) -> Vec<(Operation, ItemType, Result<(), VaultError>)> {
    let (item, id) = (name(item), correlation());
    let mut calls = vec![
        (
            Operation::WriteSecret,
            ItemType::Secrets,
            vault.write_secret(&item, &value(), &plain(), gate, id).await.map(|_| ()),
        ),
        (
            Operation::ImportCertificate,
            ItemType::Certificates,
            vault.import_certificate(&item, &import(), gate, id).await.map(|_| ()),
        ),
        (Operation::RestoreKey, ItemType::Keys, vault.restore_key(&value(), gate, id).await.map(|_| ())),
    ];
    for kind in ItemType::ALL {
        calls.push((Operation::Update, kind, vault.update(kind, &item, &plain(), gate, id).await.map(|_| ())));
        calls.push((Operation::Delete, kind, vault.delete(kind, &item, gate, id).await.map(|_| ())));
    }
    calls
}

/// Every call of the port that reads.
async fn reads(vault: &dyn Vault) -> Vec<(Operation, ItemType, Result<(), VaultError>)> {
    let (item, id) = (name("any"), correlation());
    let mut calls = vec![
        (Operation::ReadSecret, ItemType::Secrets, vault.read_secret(&item, None, id).await.map(|_| ())),
        (Operation::ReadCertificate, ItemType::Certificates, vault.read_certificate(&item, id).await.map(|_| ())),
        (
            Operation::ExportCertificate,
            ItemType::Certificates,
            vault.export_certificate(&item, None, id).await.map(|_| ()),
        ),
        (Operation::ReadKey, ItemType::Keys, vault.read_key(&item, id).await.map(|_| ())),
        (Operation::ReadRotation, ItemType::Keys, vault.read_rotation(&item, id).await.map(|_| ())),
        (Operation::BackupKey, ItemType::Keys, vault.backup_key(&item, id).await.map(|_| ())),
    ];
    for kind in ItemType::ALL {
        for listing in [Listing::Live, Listing::Deleted] {
            calls.push((Operation::List, kind, vault.list(kind, listing, None, id).await.map(|_| ())));
        }
        calls.push((Operation::ListVersions, kind, vault.versions(kind, &item, id).await.map(|_| ())));
        calls.push((Operation::ReadMeta, kind, vault.read_meta(kind, &item, id).await.map(|_| ())));
        calls.push((Operation::ReadDeleted, kind, vault.read_deleted(kind, &item, id).await.map(|_| ())));
    }
    calls
}

async fn open(stage: &dyn Stage, side: Side, vault: &str) -> Result<Arc<dyn Vault>, Broken> {
    Ok(stage.vaults().open(side, &identity(stage, vault).await?).await?)
}

pub async fn a_missing_right_is_named_for_every_call(stage: &dyn Stage) -> Claim {
    for side in [Side::Source, Side::Target] {
        let vault = open(stage, side, stage::BARE).await?;
        let calls = writes(vault.as_ref(), "any", &open_gate()).await.into_iter().chain(reads(vault.as_ref()).await);
        for (operation, kind, result) in calls {
            let error = refused("a call without a right", result)?;
            let what = format!("{operation:?} on {kind}");
            holds!(error.kind == VaultErrorKind::Forbidden && error.left_no_trace(), "{what}: {error:?}");
            holds!(
                error.operation == operation && error.side == side && error.vault == stage::BARE,
                "{what}: {error:?}"
            );
            holds!(error.missing_action.as_deref() == operation.data_action(kind), "{what}: {error:?}");
            let code = match (operation, side) {
                (Operation::BackupKey, _) => ErrorCode::RbacBackupKey,
                (Operation::RestoreKey, _) => ErrorCode::RbacRestoreKey,
                (_, Side::Source) => ErrorCode::SourceAuthFailed,
                (_, Side::Target) => ErrorCode::TargetAuthFailed,
            };
            holds!(error.code() == code, "{what}: {:?}", error.code());
        }
    }
    Ok(())
}

pub async fn a_firewall_is_told_from_a_missing_right(stage: &dyn Stage) -> Claim {
    for (side, code) in [(Side::Source, ErrorCode::SourceNetworkDenied), (Side::Target, ErrorCode::TargetNetworkDenied)]
    {
        let vault = open(stage, side, stage::SHUT).await?;
        let error = refused("shut", vault.read_secret(&name("any"), None, correlation()).await)?;
        holds!(error.kind == VaultErrorKind::NetworkDenied && error.code() == code, "{error:?}");
        holds!(error.missing_action.is_none(), "{error:?}");
    }
    Ok(())
}

pub async fn a_closed_gate_lets_no_write_out(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let gate = WriteGate::new(|| false);
    // An item of each type is there, so that each call would have an effect.
    for item in ["taken", "taken-key", "held"] {
        for (operation, kind, result) in writes(vault.as_ref(), item, &gate).await {
            let error = refused("a closed gate", result)?;
            let what = format!("{operation:?} on {kind}/{item}");
            holds!(error.kind == VaultErrorKind::GateClosed && error.left_no_trace(), "{what}: {error:?}");
            holds!(error.code() == ErrorCode::TransientNetwork, "{what}: {:?}", error.code());
        }
    }
    for (kind, item) in [(ItemType::Secrets, "taken"), (ItemType::Keys, "taken-key"), (ItemType::Certificates, "held")]
    {
        let versions = vault.versions(kind, &name(item), correlation()).await?.value;
        holds!(versions.len() == 1, "{versions:?}");
    }
    let written = vault.write_secret(&name("new"), &value(), &plain(), &gate, correlation()).await;
    fails("new", written, VaultErrorKind::GateClosed)?;
    fails("new", vault.read_secret(&name("new"), None, correlation()).await, VaultErrorKind::NotFound)
}

pub async fn an_open_gate_is_asked_by_every_write(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let asked = Arc::new(AtomicU64::new(0));
    let gate = WriteGate::new({
        let asked = asked.clone();
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            true
        }
    });
    let calls = writes(vault.as_ref(), "gated", &gate).await.len();
    let asked = asked.load(Ordering::Relaxed);
    holds!(usize::try_from(asked).is_ok_and(|asked| asked >= calls), "{calls} writes asked {asked} times");
    Ok(())
}

pub async fn reads_need_no_gate(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (operation, kind, result) in reads(vault.as_ref()).await {
        match result {
            Ok(()) => {}
            Err(error) => {
                holds!(error.kind == VaultErrorKind::NotFound, "{operation:?} on {kind}: {error:?}");
            }
        }
    }
    Ok(())
}
