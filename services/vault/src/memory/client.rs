//! One simulated vault, opened with one identity.

use std::sync::Arc;

use async_trait::async_trait;
use proto_msgs::{
    CorrelationId, ItemName, ItemType, VersionId,
    vault::{Attributes, DeletedMeta, KeyRotation, Side, SideState},
    worker::{InventoryPage, Listing},
};

use super::{MemoryAzure, fate::MemoryCall, item::View, refusal::Refusal, store::Moment, store::Store};
use crate::{
    Answer, Certificate, CertificateImport, CertificateMaterial, CertificatePolicy, Key, Operation, Secret,
    SecretValue, Vault, VaultError, VersionMeta, WriteGate, memory::item::Content,
};

/// Policy of a certificate that somebody made without saying more.
const DEFAULT_POLICY: CertificatePolicy = CertificatePolicy {
    exportable: true,
    reuse_key: false,
    key_type: None,
    key_size: None,
    curve: None,
    content_type: None,
};

/// A vault by its address; whether it is there shows when it is called.
pub(super) struct MemoryVault {
    pub azure: MemoryAzure,
    pub side: Side,
    pub name: String,
    pub uri: String,
}

impl MemoryVault {
    fn call(&self, operation: Operation, kind: ItemType, item: Option<&ItemName>) -> MemoryCall {
        MemoryCall { side: self.side, vault: self.name.clone(), operation, kind: Some(kind), item: item.cloned() }
    }

    async fn look<T>(
        &self,
        call: &MemoryCall,
        look: impl FnOnce(&mut Store, Moment) -> Result<T, Refusal>,
    ) -> Result<Answer<T>, VaultError> {
        let look = |state: &mut super::state::State, now| {
            let moment = state.moment(now);
            state.enter(&self.uri, call).and_then(|store| look(store, moment))
        };
        self.azure.ask(call, look).await
    }

    /// Looks at what is live under a name.
    async fn view<T>(
        &self,
        operation: Operation,
        kind: ItemType,
        name: &ItemName,
        read: impl FnOnce(View<'_>) -> T,
    ) -> Result<Answer<T>, VaultError> {
        self.look(&self.call(operation, kind, Some(name)), |store, at| {
            let view = store.view(kind, &name.key(), at.now).ok_or_else(|| Refusal::not_found(kind, name))?;
            Ok(read(view))
        })
        .await
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn list(
        &self,
        kind: ItemType,
        listing: Listing,
        continuation: Option<String>,
        _: CorrelationId,
    ) -> Result<InventoryPage, VaultError> {
        let call = self.call(Operation::List, kind, None);
        let look = |state: &mut super::state::State, now| {
            let is_empty = state.empty_first_pages;
            state.enter(&self.uri, &call)?.page(kind, listing, continuation.as_deref(), is_empty, now)
        };
        Ok(self.azure.ask(&call, look).await?.value)
    }

    async fn versions(
        &self,
        kind: ItemType,
        name: &ItemName,
        _: CorrelationId,
    ) -> Result<Answer<Vec<VersionMeta>>, VaultError> {
        self.look(&self.call(Operation::ListVersions, kind, Some(name)), |store, at| {
            Ok(store.view(kind, &name.key(), at.now).map(|view| view.versions()).unwrap_or_default())
        })
        .await
    }

    async fn read_meta(
        &self,
        kind: ItemType,
        name: &ItemName,
        _: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        self.view(Operation::ReadMeta, kind, name, |view| {
            let state = view.state();
            let is_unclear = kind == ItemType::Secrets && view.is_newest_unclear();
            SideState { version: state.version.filter(|_| !is_unclear), ..state }
        })
        .await
    }

    async fn read_deleted(
        &self,
        kind: ItemType,
        name: &ItemName,
        _: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError> {
        self.look(&self.call(Operation::ReadDeleted, kind, Some(name)), |store, at| {
            store.deleted(kind, &name.key(), at.now).ok_or_else(|| Refusal::not_found(kind, name))
        })
        .await
    }

    async fn read_secret(
        &self,
        name: &ItemName,
        version: Option<&VersionId>,
        _: CorrelationId,
    ) -> Result<Answer<Secret>, VaultError> {
        let call = self.call(Operation::ReadSecret, ItemType::Secrets, Some(name));
        self.look(&call, |store, at| store.secret(name, version, at)).await
    }

    async fn write_secret(
        &self,
        name: &ItemName,
        value: &SecretValue,
        attributes: &Attributes,
        gate: &WriteGate,
        _: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        let call = self.call(Operation::WriteSecret, ItemType::Secrets, Some(name));
        let (name, value, attributes) = (name.clone(), Arc::new(copy(value)), attributes.clone());
        let effect = move |store: &mut Store, at| store.set_secret(&name, value, attributes, at);
        self.azure.tell(&self.uri, call, gate, effect).await
    }

    async fn read_certificate(&self, name: &ItemName, _: CorrelationId) -> Result<Answer<Certificate>, VaultError> {
        self.view(Operation::ReadCertificate, ItemType::Certificates, name, |view| Certificate {
            state: view.state(),
            policy: view.item.policy.clone().unwrap_or(DEFAULT_POLICY),
        })
        .await
    }

    async fn export_certificate(
        &self,
        name: &ItemName,
        version: Option<&VersionId>,
        _: CorrelationId,
    ) -> Result<Answer<CertificateMaterial>, VaultError> {
        let call = self.call(Operation::ExportCertificate, ItemType::Certificates, Some(name));
        let secret = self.look(&call, |store, at| store.secret(name, version, at)).await?;
        Ok(secret.map(|secret| CertificateMaterial {
            content_type: secret.state.attributes.content_type.unwrap_or_default(),
            value: secret.value,
        }))
    }

    async fn import_certificate(
        &self,
        name: &ItemName,
        import: &CertificateImport,
        gate: &WriteGate,
        _: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        let call = self.call(Operation::ImportCertificate, ItemType::Certificates, Some(name));
        let name = name.clone();
        let material = CertificateMaterial {
            content_type: import.material.content_type.clone(),
            value: copy(&import.material.value),
        };
        let import =
            CertificateImport { material, policy: import.policy.clone(), attributes: import.attributes.clone() };
        self.azure.tell(&self.uri, call, gate, move |store, at| store.import(&name, &import, at)).await
    }

    async fn read_key(&self, name: &ItemName, _: CorrelationId) -> Result<Answer<Key>, VaultError> {
        self.view(Operation::ReadKey, ItemType::Keys, name, |view| Key {
            state: view.state(),
            key_type: view.newest().and_then(|version| match &version.content {
                Content::Key { key_type, .. } | Content::Certificate { key_type, .. } => Some(key_type.clone()),
                Content::Secret(_) => None,
            }),
            managed: view.managed,
        })
        .await
    }

    async fn read_rotation(&self, name: &ItemName, _: CorrelationId) -> Result<Answer<KeyRotation>, VaultError> {
        self.view(Operation::ReadRotation, ItemType::Keys, name, |view| match view.item.rotates {
            true => KeyRotation::Automatic,
            false => KeyRotation::Manual,
        })
        .await
    }

    async fn backup_key(&self, name: &ItemName, _: CorrelationId) -> Result<Answer<SecretValue>, VaultError> {
        let call = self.call(Operation::BackupKey, ItemType::Keys, Some(name));
        let backup = self.look(&call, |store, at| store.backup(name, at)).await?;
        Ok(backup.map(|backup| SecretValue::from_text(self.azure.lock().0.seal(backup))))
    }

    async fn restore_key(
        &self,
        backup: &SecretValue,
        gate: &WriteGate,
        _: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        let backup = backup.expose_text().and_then(|blob| self.azure.lock().0.open(blob).cloned());
        let name = backup.as_ref().map(|backup| &backup.item.name);
        let call = self.call(Operation::RestoreKey, ItemType::Keys, name);
        self.azure.tell(&self.uri, call, gate, move |store, at| store.restore(backup, at)).await
    }

    async fn update(
        &self,
        kind: ItemType,
        name: &ItemName,
        attributes: &Attributes,
        gate: &WriteGate,
        _: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        let call = self.call(Operation::Update, kind, Some(name));
        let (name, attributes) = (name.clone(), attributes.clone());
        self.azure.tell(&self.uri, call, gate, move |store, at| store.update(kind, &name, &attributes, at)).await
    }

    async fn delete(
        &self,
        kind: ItemType,
        name: &ItemName,
        gate: &WriteGate,
        _: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError> {
        let call = self.call(Operation::Delete, kind, Some(name));
        let name = name.clone();
        self.azure.tell(&self.uri, call, gate, move |store, at| store.delete(kind, &name, at)).await
    }
}

/// A request's own copy of a value.
fn copy(value: &SecretValue) -> SecretValue {
    SecretValue::new(value.expose().to_vec())
}
