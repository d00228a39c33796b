//! Deleting, what is left of a deleted item, and what is read of either.

use std::time::Duration;

use proto_msgs::{ItemType, vault::Attributes};

use super::{Broken, Claim, Stage, correlation, fails, holds, listings, name, open_gate, pair, plain, refused, stage};
use crate::{SecretValue, Vault, VaultErrorKind};

/// One plain item of each type in the source.
const PLAIN: [(ItemType, &str); 3] =
    [(ItemType::Secrets, "db"), (ItemType::Certificates, "tls"), (ItemType::Keys, "signer")];
/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(3_600);

async fn delete(vault: &dyn Vault, kind: ItemType, item: &str) -> Claim {
    vault.delete(kind, &name(item), &open_gate(), correlation()).await?;
    Ok(())
}

/// That an item is neither live nor deleted, as far as anybody can see.
async fn is_nowhere(vault: &dyn Vault, kind: ItemType, item: &str) -> Claim {
    fails("live", vault.read_meta(kind, &name(item), correlation()).await, VaultErrorKind::NotFound)?;
    fails("deleted", vault.read_deleted(kind, &name(item), correlation()).await, VaultErrorKind::NotFound)?;
    let live = listings::live(vault, kind).await?;
    holds!(!live.iter().any(|listed| listed.name == name(item)), "{item} is listed as live");
    let deleted = listings::deleted(vault, kind).await?;
    holds!(!deleted.iter().any(|listed| listed.item.name == name(item)), "{item} is listed as deleted");
    Ok(())
}

async fn write(vault: &dyn Vault, kind: ItemType, item: &str) -> Result<crate::VaultError, Broken> {
    let value = SecretValue::from_text("x".to_owned());
    match kind {
        ItemType::Secrets => {
            let written = vault.write_secret(&name(item), &value, &plain(), &open_gate(), correlation()).await;
            refused(item, written)
        }
        ItemType::Certificates | ItemType::Keys => {
            let updated = vault.update(kind, &name(item), &plain(), &open_gate(), correlation()).await;
            refused(item, updated)
        }
    }
}

pub async fn a_deleted_item_is_in_the_deleted_listing_only(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (kind, item) in PLAIN {
        let before = vault.read_meta(kind, &name(item), correlation()).await?.value;
        let answer = vault.delete(kind, &name(item), &open_gate(), correlation()).await?;
        holds!(answer.request_id.is_some() && answer.date.unix_seconds() > 0, "an answer without id or date");
        let told = answer.value;
        let listed = Attributes { key_operations: None, ..before.attributes };
        holds!(told.item.name == name(item) && told.item.attributes == listed, "{told:?} {listed:?}");
        holds!(told.item.x5t == before.x5t && told.item.updated == before.updated, "{told:?}");
        holds!(told.deleted.is_some() && told.purge_due > told.deleted, "{told:?}");
        fails(item, vault.read_meta(kind, &name(item), correlation()).await, VaultErrorKind::NotFound)?;
        let read = vault.read_deleted(kind, &name(item), correlation()).await?.value;
        holds!(read == told, "{read:?} {told:?}");
        let listed = listings::deleted(vault.as_ref(), kind).await?;
        holds!(listed.contains(&told), "{listed:?}");
        let live = listings::live(vault.as_ref(), kind).await?;
        holds!(!live.iter().any(|listed| listed.name == name(item)), "{item} is still listed");
        let versions = vault.versions(kind, &name(item), correlation()).await?.value;
        holds!(versions.is_empty(), "{versions:?}");
    }
    let read = vault.read_secret(&name("db"), None, correlation()).await;
    fails("value", read, VaultErrorKind::NotFound)
}

pub async fn an_item_is_nowhere_while_it_is_being_deleted(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    stage.set_phase(LONG).await?;
    for (kind, item) in PLAIN {
        delete(vault.as_ref(), kind, item).await?;
        is_nowhere(vault.as_ref(), kind, item).await?;
    }
    Ok(())
}

pub async fn a_deleted_name_cannot_be_written(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let error = write(vault.as_ref(), ItemType::Secrets, "gone").await?;
    holds!(error.kind == VaultErrorKind::SoftDeleted && error.left_no_trace(), "{error:?}");
    // The name of a deleted certificate is taken for its secret and key, too.
    let error = write(vault.as_ref(), ItemType::Secrets, "gone-cert").await?;
    holds!(error.kind == VaultErrorKind::SoftDeleted, "{error:?}");
    // What is not there cannot be brought up to date.
    for (kind, item) in [(ItemType::Certificates, "gone-cert"), (ItemType::Keys, "gone-key")] {
        let error = write(vault.as_ref(), kind, item).await?;
        holds!(error.kind == VaultErrorKind::NotFound, "{error:?}");
    }
    Ok(())
}

pub async fn a_name_cannot_be_written_while_it_is_being_deleted(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let backup = pair.from.backup_key(&name("signer"), correlation()).await?.value;
    stage.set_phase(LONG).await?;
    delete(pair.from.as_ref(), ItemType::Secrets, "db").await?;
    let error = write(pair.from.as_ref(), ItemType::Secrets, "db").await?;
    holds!(error.kind == VaultErrorKind::BeingDeleted && error.left_no_trace(), "{error:?}");
    delete(pair.from.as_ref(), ItemType::Keys, "signer").await?;
    let restored = pair.from.restore_key(&backup, &open_gate(), correlation()).await;
    fails("restore", restored, VaultErrorKind::BeingDeleted)?;
    let again = pair.from.delete(ItemType::Secrets, &name("db"), &open_gate(), correlation()).await;
    fails("delete", again, VaultErrorKind::BeingDeleted)
}

pub async fn nothing_is_deleted_twice(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (kind, gone) in
        [(ItemType::Secrets, "gone"), (ItemType::Certificates, "gone-cert"), (ItemType::Keys, "gone-key")]
    {
        for item in [gone, "absent"] {
            let error = refused(item, vault.delete(kind, &name(item), &open_gate(), correlation()).await)?;
            holds!(error.kind == VaultErrorKind::NotFound && error.left_no_trace(), "{item}: {error:?}");
        }
        let absent = vault.read_deleted(kind, &name("absent"), correlation()).await;
        fails("absent", absent, VaultErrorKind::NotFound)?;
    }
    Ok(())
}

pub async fn what_a_certificate_keeps_is_not_deleted_alone(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for kind in [ItemType::Secrets, ItemType::Keys] {
        let deleted = vault.delete(kind, &name("tls"), &open_gate(), correlation()).await;
        fails("tls", deleted, VaultErrorKind::ManagedByCertificate)?;
    }
    Ok(())
}

pub async fn a_deleted_certificate_takes_its_secret_and_key_along(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    delete(vault.as_ref(), ItemType::Certificates, "tls").await?;
    for kind in [ItemType::Secrets, ItemType::Keys] {
        is_nowhere(vault.as_ref(), kind, "tls").await?;
    }
    stage.recover(stage::FROM, ItemType::Certificates, "tls").await?;
    let secret = vault.read_secret(&name("tls"), None, correlation()).await?.value;
    let key = vault.read_key(&name("tls"), correlation()).await?.value;
    holds!(secret.managed && key.managed, "{:?} {key:?}", secret.state);
    Ok(())
}

pub async fn a_recovered_item_is_back(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (kind, item) in PLAIN {
        let before = vault.read_meta(kind, &name(item), correlation()).await?.value;
        delete(vault.as_ref(), kind, item).await?;
        stage.recover(stage::FROM, kind, item).await?;
        let after = vault.read_meta(kind, &name(item), correlation()).await?.value;
        holds!(after == before, "{after:?} {before:?}");
        fails(item, vault.read_deleted(kind, &name(item), correlation()).await, VaultErrorKind::NotFound)?;
    }
    Ok(())
}

pub async fn an_item_is_nowhere_while_it_is_being_recovered(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    stage.set_phase(LONG).await?;
    stage.recover(stage::FROM, ItemType::Secrets, "gone").await?;
    is_nowhere(vault.as_ref(), ItemType::Secrets, "gone").await?;
    let error = write(vault.as_ref(), ItemType::Secrets, "gone").await?;
    holds!(error.kind == VaultErrorKind::BeingDeleted, "{error:?}");
    Ok(())
}

pub async fn a_purged_item_is_nowhere(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (kind, gone) in
        [(ItemType::Secrets, "gone"), (ItemType::Certificates, "gone-cert"), (ItemType::Keys, "gone-key")]
    {
        stage.purge(stage::FROM, kind, gone).await?;
        is_nowhere(vault.as_ref(), kind, gone).await?;
    }
    let value = SecretValue::from_text("again".to_owned());
    vault.write_secret(&name("gone"), &value, &plain(), &open_gate(), correlation()).await?;
    Ok(())
}

pub async fn metadata_is_read_without_the_value(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    // A disabled secret's value cannot be read at all.
    let off = vault.read_meta(ItemType::Secrets, &name("off"), correlation()).await?;
    holds!(off.request_id.is_some() && off.date.unix_seconds() > 0, "an answer without id or date");
    holds!(!off.value.attributes.enabled && off.value.version.is_some(), "{:?}", off.value);
    let (db, tls, signer) = (name("db"), name("tls"), name("signer"));
    for (kind, item, read) in [
        (ItemType::Secrets, &db, vault.read_secret(&db, None, correlation()).await?.value.state),
        (ItemType::Secrets, &tls, vault.read_secret(&tls, None, correlation()).await?.value.state),
        (ItemType::Certificates, &tls, vault.read_certificate(&tls, correlation()).await?.value.state),
        (ItemType::Keys, &signer, vault.read_key(&signer, correlation()).await?.value.state),
        (ItemType::Keys, &tls, vault.read_key(&tls, correlation()).await?.value.state),
    ] {
        let meta = vault.read_meta(kind, item, correlation()).await?.value;
        holds!(meta == read, "{kind}/{item}: {meta:?} {read:?}");
    }
    for kind in ItemType::ALL {
        let absent = vault.read_meta(kind, &name("absent"), correlation()).await;
        fails("absent", absent, VaultErrorKind::NotFound)?;
    }
    Ok(())
}

pub async fn a_newest_version_that_cannot_be_told_is_not_named(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    two_versions_of_one_second(&*vault).await?;
    let meta = vault.read_meta(ItemType::Secrets, &name("many"), correlation()).await?.value;
    holds!(meta.version.is_none() && meta.updated.is_some() && meta.attributes == plain(), "{meta:?}");
    Ok(())
}

/// Writes the newest versions until two share their second: a write seldom comes just at its end.
async fn two_versions_of_one_second(vault: &dyn Vault) -> Claim {
    const PAIRS: usize = 5;
    for _ in 0..PAIRS {
        for text in ["one", "another"] {
            let value = SecretValue::from_text(text.to_owned());
            vault.write_secret(&name("many"), &value, &plain(), &open_gate(), correlation()).await?;
        }
        let versions = vault.versions(ItemType::Secrets, &name("many"), correlation()).await?.value;
        if let [.., before, last] = versions.as_slice()
            && before.created == last.created
        {
            return Ok(());
        }
    }
    holds!(false, "no two of {PAIRS} pairs were made in one second");
    Ok(())
}

pub async fn a_version_made_later_is_named(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    // The stage was set in another second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let value = SecretValue::from_text("later".to_owned());
    let written = vault.write_secret(&name("many"), &value, &plain(), &open_gate(), correlation()).await?.value;
    let meta = vault.read_meta(ItemType::Secrets, &name("many"), correlation()).await?.value;
    holds!(meta == written, "{meta:?} {written:?}");
    Ok(())
}
