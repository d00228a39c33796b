//! Certificates: carried with their private key, told by their thumbprint.

use proto_msgs::{ItemType, vault::SideState};

use super::{Broken, Claim, Stage, correlation, fails, holds, listings, name, open_gate, pair, plain, refused, tagged};
use crate::{CertificateImport, CertificateMaterial, CertificatePolicy, SecretValue, Vault, VaultErrorKind};

/// What the source gives of a certificate, ready to be imported.
async fn carried(from: &dyn Vault, item: &str) -> Result<(CertificateImport, SideState), Broken> {
    let read = from.read_certificate(&name(item), correlation()).await?.value;
    let material = from.export_certificate(&name(item), read.state.version.as_ref(), correlation()).await?.value;
    let import = CertificateImport { material, policy: read.policy, attributes: read.state.attributes.clone() };
    Ok((import, read.state))
}

pub async fn a_certificate_keeps_its_thumbprint_on_the_way(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    for (item, format) in [("tls", "application/x-pkcs12"), ("tls-pem", "application/x-pem-file")] {
        let (import, source) = carried(pair.from.as_ref(), item).await?;
        holds!(import.material.content_type == format, "{item}: {}", import.material.content_type);
        let answer = pair.into.import_certificate(&name(item), &import, &open_gate(), correlation()).await?;
        holds!(answer.request_id.is_some() && answer.date.unix_seconds() > 0, "an answer without id or date");
        let imported = answer.value;
        holds!(imported.x5t.is_some() && imported.x5t == source.x5t, "{item}: {imported:?}");
        holds!(imported.attributes == source.attributes && imported.version.is_some(), "{item}: {imported:?}");
        let read = pair.into.read_certificate(&name(item), correlation()).await?.value.state;
        holds!(read == imported, "{item}: {read:?} {imported:?}");
        let listed = listings::live(pair.into.as_ref(), ItemType::Certificates).await?;
        let listed = listed.iter().find(|listed| listed.name == name(item));
        holds!(
            listed.is_some_and(|listed| listed.attributes == imported.attributes && listed.x5t == imported.x5t),
            "{item}: {listed:?} {imported:?}"
        );
        // What arrived can be carried on.
        let (onward, _) = carried(pair.into.as_ref(), item).await?;
        let again = pair.into.import_certificate(&name("onward"), &onward, &open_gate(), correlation()).await?.value;
        holds!(again.x5t == source.x5t, "{item}: {again:?}");
    }
    Ok(())
}

pub async fn two_exports_of_a_certificate_differ(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let (first, _) = carried(vault.as_ref(), "tls").await?;
    let (second, _) = carried(vault.as_ref(), "tls").await?;
    holds!(first.material.value != second.material.value, "a PKCS#12 is not salted");
    Ok(())
}

pub async fn an_import_carries_policy_and_attributes(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let (mut import, source) = carried(pair.from.as_ref(), "tls-pem").await?;
    import.policy.reuse_key = true;
    import.policy.exportable = false;
    import.attributes = crate::contract::Attributes { enabled: false, ..tagged("mine", "too") };
    pair.into.import_certificate(&name("carried"), &import, &open_gate(), correlation()).await?;
    let read = pair.into.read_certificate(&name("carried"), correlation()).await?.value;
    holds!(!read.state.attributes.enabled && read.state.attributes.tags == import.attributes.tags, "{read:?}");
    holds!(read.state.attributes.expires == source.attributes.expires, "the times are the certificate's own: {read:?}");
    holds!(read.policy.reuse_key && !read.policy.exportable, "{read:?}");
    holds!(read.policy.content_type.as_deref() == Some("application/x-pem-file"), "{read:?}");
    holds!(read.policy.key_type.is_some() && read.policy.key_type == import.policy.key_type, "{read:?}");
    Ok(())
}

pub async fn an_import_over_a_certificate_is_a_new_version(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let (import, source) = carried(pair.from.as_ref(), "tls").await?;
    let before = pair.into.read_certificate(&name("held"), correlation()).await?.value.state;
    let imported = pair.into.import_certificate(&name("HELD"), &import, &open_gate(), correlation()).await?.value;
    holds!(imported.version != before.version && imported.x5t == source.x5t, "{imported:?} {before:?}");
    let versions = pair.into.versions(ItemType::Certificates, &name("held"), correlation()).await?.value;
    holds!(versions.len() == 2, "{versions:?}");
    Ok(())
}

pub async fn a_pending_certificate_has_no_version(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let waiting = name("waiting");
    let read = vault.read_certificate(&waiting, correlation()).await?.value.state;
    holds!(read.version.is_none() && read.x5t.is_none(), "{read:?}");
    let meta = vault.read_meta(ItemType::Certificates, &waiting, correlation()).await?.value;
    holds!(meta == read, "{meta:?} {read:?}");
    let versions = vault.versions(ItemType::Certificates, &waiting, correlation()).await?.value;
    holds!(versions.is_empty(), "{versions:?}");
    let exported = vault.export_certificate(&waiting, None, correlation()).await;
    fails("export", exported, VaultErrorKind::NotFound)?;
    let updated = vault.update(ItemType::Certificates, &waiting, &plain(), &open_gate(), correlation()).await;
    fails("update", updated, VaultErrorKind::NotFound)
}

pub async fn what_may_not_be_exported_cannot_be_imported(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let (import, _) = carried(pair.from.as_ref(), "locked").await?;
    holds!(!import.policy.exportable, "{:?}", import.policy);
    let imported = pair.into.import_certificate(&name("locked"), &import, &open_gate(), correlation()).await;
    let error = refused("locked", imported)?;
    holds!(error.kind == VaultErrorKind::Rejected && error.left_no_trace(), "{error:?}");
    Ok(())
}

pub async fn an_expired_certificate_is_not_imported(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let (import, _) = carried(pair.from.as_ref(), "old").await?;
    let imported = pair.into.import_certificate(&name("old"), &import, &open_gate(), correlation()).await;
    fails("old", imported, VaultErrorKind::CertificateExpired)
}

pub async fn a_disabled_certificate_is_not_exported(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let read = vault.read_certificate(&name("off-cert"), correlation()).await?.value.state;
    holds!(!read.attributes.enabled && read.x5t.is_some(), "{read:?}");
    let exported = vault.export_certificate(&name("off-cert"), None, correlation()).await;
    fails("off-cert", exported, VaultErrorKind::Disabled)
}

pub async fn a_certificate_does_not_take_a_plain_name(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let (import, _) = carried(pair.from.as_ref(), "tls").await?;
    for (item, kind) in [
        ("taken", VaultErrorKind::NameTaken),
        ("taken-key", VaultErrorKind::NameTaken),
        ("buried", VaultErrorKind::SoftDeleted),
        ("buried-key", VaultErrorKind::SoftDeleted),
        ("buried-cert", VaultErrorKind::SoftDeleted),
    ] {
        let imported = pair.into.import_certificate(&name(item), &import, &open_gate(), correlation()).await;
        let error = refused(item, imported)?;
        holds!(error.kind == kind && error.left_no_trace(), "{item}: {error:?}");
    }
    Ok(())
}

pub async fn a_request_under_way_keeps_an_import_out(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let (import, _) = carried(vault.as_ref(), "tls").await?;
    let imported = vault.import_certificate(&name("waiting"), &import, &open_gate(), correlation()).await;
    let error = refused("waiting", imported)?;
    holds!(error.kind == VaultErrorKind::NameTaken && error.left_no_trace(), "{error:?}");
    Ok(())
}

pub async fn what_is_no_certificate_is_rejected(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    let policy = pair.from.read_certificate(&name("tls"), correlation()).await?.value.policy;
    let (pem, _) = carried(pair.from.as_ref(), "tls-pem").await?;
    let import = |content_type: &str, value: SecretValue, policy: CertificatePolicy| {
        let material = CertificateMaterial { content_type: content_type.to_owned(), value };
        CertificateImport { material, policy, attributes: plain() }
    };
    for (what, import) in [
        ("nonsense", import("application/x-pkcs12", SecretValue::from_text("nonsense".to_owned()), policy.clone())),
        ("another format", import("application/x-pkcs12", pem.material.value, policy)),
    ] {
        let imported = pair.into.import_certificate(&name("none"), &import, &open_gate(), correlation()).await;
        fails(what, imported, VaultErrorKind::Rejected)?;
    }
    Ok(())
}

pub async fn an_update_of_a_certificate_makes_no_new_version(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    let held = name("held");
    let before = vault.read_certificate(&held, correlation()).await?.value.state;
    let mut after = before.attributes.clone();
    after.enabled = false;
    after.tags.insert("more".to_owned(), "1".to_owned());
    let updated = vault.update(ItemType::Certificates, &held, &after, &open_gate(), correlation()).await?.value;
    holds!(updated.version == before.version && updated.x5t == before.x5t, "{updated:?}");
    holds!(updated.attributes == after, "{updated:?}");
    let versions = vault.versions(ItemType::Certificates, &held, correlation()).await?.value;
    holds!(versions.len() == 1, "{versions:?}");
    Ok(())
}
