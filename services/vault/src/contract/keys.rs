//! Keys: backed up whole, restored where there is none.

use proto_msgs::{ItemType, Timestamp, vault::KeyRotation};

use super::{Claim, Stage, correlation, fails, holds, name, open_gate, pair, plain, refused, stage, tagged, target};
use crate::{SecretValue, VaultErrorKind};

pub async fn a_restored_key_keeps_everything(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    for (item, versions) in [("signer", 3), ("off-key", 1)] {
        let source = pair.from.read_key(&name(item), correlation()).await?.value;
        holds!(source.key_type.as_deref() == Some("EC") && source.has_known_type() && !source.managed, "{source:?}");
        let backup = pair.from.backup_key(&name(item), correlation()).await?.value;
        let answer = pair.into.restore_key(&backup, &open_gate(), correlation()).await?;
        holds!(answer.request_id.is_some() && answer.date.unix_seconds() > 0, "an answer without id or date");
        let restored = answer.value;
        holds!(restored == source.state, "{restored:?} {source:?}");
        let read = pair.into.read_key(&name(item), correlation()).await?.value;
        holds!(read == source, "{read:?} {source:?}");
        let rotation = pair.from.read_rotation(&name(item), correlation()).await?.value;
        let expected = if item == "off-key" { KeyRotation::Automatic } else { KeyRotation::Manual };
        holds!(rotation == expected, "{item}: {rotation:?}");
        let restored = pair.into.read_rotation(&name(item), correlation()).await?.value;
        holds!(restored == expected, "{item}: {restored:?}");
        let from = pair.from.versions(ItemType::Keys, &name(item), correlation()).await?.value;
        let into = pair.into.versions(ItemType::Keys, &name(item), correlation()).await?.value;
        holds!(from.len() == versions && from == into, "{from:?} {into:?}");
    }
    fails("absent", pair.from.backup_key(&name("absent"), correlation()).await, VaultErrorKind::NotFound)
}

pub async fn a_key_is_restored_only_where_there_is_none(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let backup = pair.from.backup_key(&name("signer"), correlation()).await?.value;
    pair.into.restore_key(&backup, &open_gate(), correlation()).await?;
    let buried = pair.from.backup_key(&name("buried-key"), correlation()).await?.value;
    for (what, backup, kind) in
        [("signer", &backup, VaultErrorKind::AlreadyExists), ("buried-key", &buried, VaultErrorKind::SoftDeleted)]
    {
        let error = refused(what, pair.into.restore_key(backup, &open_gate(), correlation()).await)?;
        holds!(error.kind == kind && error.left_no_trace(), "{what}: {error:?}");
    }
    // A deleted one is in the way as well.
    pair.into.delete(ItemType::Keys, &name("signer"), &open_gate(), correlation()).await?;
    let again = pair.into.restore_key(&backup, &open_gate(), correlation()).await;
    fails("deleted", again, VaultErrorKind::SoftDeleted)
}

pub async fn a_key_is_not_restored_over_a_certificate(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let backup = pair.from.backup_key(&name("crossed"), correlation()).await?.value;
    let error = refused("crossed", pair.into.restore_key(&backup, &open_gate(), correlation()).await)?;
    holds!(error.kind == VaultErrorKind::ManagedByCertificate, "{error:?}");
    Ok(())
}

pub async fn a_key_stays_in_its_geography(stage: &dyn Stage) -> Claim {
    let backup = pair(stage).await?.from.backup_key(&name("signer"), correlation()).await?.value;
    let far = target(stage, stage::FAR).await?.restore_key(&backup, &open_gate(), correlation()).await;
    let error = refused("far", far)?;
    holds!(error.kind == VaultErrorKind::OtherGeography && error.left_no_trace(), "{error:?}");
    Ok(())
}

pub async fn a_key_stays_in_its_subscription(stage: &dyn Stage) -> Claim {
    let backup = pair(stage).await?.from.backup_key(&name("signer"), correlation()).await?.value;
    let other = target(stage, stage::OTHER).await?.restore_key(&backup, &open_gate(), correlation()).await;
    let error = refused("other", other)?;
    holds!(error.kind == VaultErrorKind::OtherSubscription && error.left_no_trace(), "{error:?}");
    Ok(())
}

pub async fn a_key_with_too_many_versions_is_not_backed_up(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    fails("endless", vault.backup_key(&name("endless"), correlation()).await, VaultErrorKind::TooManyVersions)
}

pub async fn a_key_behind_a_certificate_is_read_and_nothing_else(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let tls = name("tls");
    let read = vault.read_key(&tls, correlation()).await?.value;
    holds!(read.managed && read.state.version.is_some() && read.key_type.is_some(), "{read:?}");
    let backup = vault.backup_key(&tls, correlation()).await;
    fails("backup", backup, VaultErrorKind::ManagedByCertificate)?;
    let updated = vault.update(ItemType::Keys, &tls, &plain(), &open_gate(), correlation()).await;
    fails("update", updated, VaultErrorKind::ManagedByCertificate)
}

pub async fn an_update_of_a_key_makes_no_new_version(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let signer = name("signer");
    let before = vault.read_key(&signer, correlation()).await?.value.state;
    let mut after = tagged("g", "h");
    after.enabled = false;
    after.expires = Some(Timestamp::from_unix_seconds(3_900_000_000));
    after.key_operations = Some(["verify".to_owned()].into());
    let updated = vault.update(ItemType::Keys, &signer, &after, &open_gate(), correlation()).await?.value;
    holds!(updated.version == before.version && updated.attributes == after, "{updated:?}");
    let cleared = vault.update(ItemType::Keys, &signer, &plain(), &open_gate(), correlation()).await?.value;
    holds!(cleared.attributes.expires == after.expires && cleared.attributes.tags.is_empty(), "{cleared:?}");
    holds!(cleared.attributes.key_operations == after.key_operations, "{cleared:?}");
    let read = vault.read_key(&signer, correlation()).await?.value;
    holds!(read.state == cleared, "{read:?} {cleared:?}");
    let versions = vault.versions(ItemType::Keys, &signer, correlation()).await?.value;
    holds!(versions.len() == 3, "{versions:?}");
    Ok(())
}

pub async fn what_is_no_backup_is_rejected(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    for text in ["nonsense", "%%%", ""] {
        let backup = SecretValue::from_text(text.to_owned());
        fails(text, vault.restore_key(&backup, &open_gate(), correlation()).await, VaultErrorKind::Rejected)?;
    }
    Ok(())
}
