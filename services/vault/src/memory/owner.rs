//! Somebody else at work in a vault: the people and programs whose items are replicated, and whoever meddles with the
//! copies. No fault, right, gate or deadline concerns them; the vault's own rules do.

use std::{sync::Arc, time::Duration};

use proto_msgs::{
    ItemName, ItemType, Timestamp, VersionId,
    vault::{Attributes, Side, SideState},
};

use super::{
    MemoryAzure,
    item::{Content, Format, Item, Slot},
    refusal::Refusal,
    store::{Moment, Store},
};
use crate::{CertificatePolicy, Operation, SecretValue, VaultErrorKind};

/// Works in one vault. What the vault refuses is told by its kind; a vault that is not there finds nothing.
#[derive(Clone)]
pub struct Owner {
    azure: MemoryAzure,
    vault: String,
}

/// A certificate to be issued. Its key is made with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCertificate {
    pub format: Format,
    pub exportable: bool,
    /// `RSA`, `EC`.
    pub key_type: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// `enabled` and tags; the times are the certificate's own.
    pub attributes: Attributes,
}

impl Owner {
    pub(super) fn new(azure: MemoryAzure, vault: &str) -> Self {
        Self { azure, vault: vault.to_owned() }
    }

    /// A new version of a secret.
    pub fn set_secret(
        &self,
        name: &ItemName,
        value: &str,
        attributes: Attributes,
    ) -> Result<VersionId, VaultErrorKind> {
        let value = Arc::new(SecretValue::from_text(value.to_owned()));
        self.make(|store, at| store.set_secret(name, value, attributes, at))
    }

    /// A new version of a certificate.
    pub fn issue(&self, name: &ItemName, certificate: &NewCertificate) -> Result<VersionId, VaultErrorKind> {
        self.make(|store, at| {
            store.certificate_writable(name, at.now)?;
            let content = Content::Certificate {
                x5t: store.random.id(),
                key: Arc::new(SecretValue::from_text(store.random.private())),
                key_type: certificate.key_type.clone(),
                format: certificate.format,
                exportable: certificate.exportable,
            };
            let policy = CertificatePolicy {
                exportable: certificate.exportable,
                reuse_key: false,
                key_type: Some(certificate.key_type.clone()),
                key_size: None,
                curve: None,
                content_type: Some(certificate.format.content_type().to_owned()),
            };
            let attributes = Attributes {
                not_before: Some(certificate.not_before),
                expires: Some(certificate.not_after),
                content_type: None,
                ..certificate.attributes.clone()
            };
            store.add_version(ItemType::Certificates, name, attributes, content, Some(policy), at)
        })
    }

    /// Asks for a certificate at an issuer that does not answer; one that is there already is left alone.
    pub fn request_certificate(&self, name: &ItemName) -> Result<(), VaultErrorKind> {
        self.work(|store, at| {
            store.certificate_writable(name, at.now)?;
            if store.live(ItemType::Certificates, &name.key(), at.now).is_none() {
                store.put(ItemType::Certificates, Item::new(name, at));
            }
            Ok(())
        })
    }

    /// A new version of a key. `key_type` as Key Vault writes it.
    pub fn make_key(
        &self,
        name: &ItemName,
        key_type: &str,
        attributes: Attributes,
    ) -> Result<VersionId, VaultErrorKind> {
        self.make(|store, at| store.add_key(name, key_type, attributes, at))
    }

    /// Whether a policy makes new versions of a key that is there.
    pub fn set_rotates(&self, name: &ItemName, rotates: bool) -> Result<(), VaultErrorKind> {
        self.work(|store, at| {
            store.live_mut(ItemType::Keys, name, at.now)?.rotates = rotates;
            Ok(())
        })
    }

    /// Changes attributes of the newest version, as [`crate::Vault::update`] does.
    pub fn update(
        &self,
        kind: ItemType,
        name: &ItemName,
        attributes: &Attributes,
    ) -> Result<SideState, VaultErrorKind> {
        self.work(|store, at| store.update(kind, name, attributes, at))
    }

    /// Soft-deletes.
    pub fn delete(&self, kind: ItemType, name: &ItemName) -> Result<(), VaultErrorKind> {
        self.work(|store, at| store.delete(kind, name, at).map(|_| ()))
    }

    pub fn recover(&self, kind: ItemType, name: &ItemName) -> Result<(), VaultErrorKind> {
        self.work(|store, at| store.recover(kind, name, at))
    }

    /// Ends a soft-deleted item for good.
    pub fn purge(&self, kind: ItemType, name: &ItemName) -> Result<(), VaultErrorKind> {
        self.work(|store, at| store.purge(kind, name, at))
    }

    /// The item, live or soft-deleted, with its values.
    pub fn slot(&self, kind: ItemType, name: &ItemName) -> Option<Slot> {
        let slot = self.work(|store, at| Ok(store.peek(kind, name, at.now)));
        slot.ok().flatten()
    }

    /// How many calls of that kind were sent to the vault.
    pub fn calls(&self, operation: Operation) -> u64 {
        let calls = self.work(|store, _| Ok(store.calls.get(&operation).copied().unwrap_or(0)));
        calls.unwrap_or(0)
    }

    /// Takes a data action from a side's identity: see [`Operation::data_action`].
    pub fn revoke(&self, side: Side, action: &str) {
        self.change(|store| store.access.revoke(side, action));
    }

    /// Takes every data action from a side's identity.
    pub fn revoke_all(&self, side: Side) {
        self.change(|store| store.access.revoke_all(side));
    }

    /// Gives a side's identity every data action.
    pub fn grant_all(&self, side: Side) {
        self.change(|store| store.access.grant_all(side));
    }

    /// Whether discovery shows the vault to a side's identity.
    pub fn set_visible(&self, side: Side, is_visible: bool) {
        self.change(|store| store.access.set_visible(side, is_visible));
    }

    /// Whether the firewall lets nobody in.
    pub fn set_shut(&self, is_shut: bool) {
        self.change(|store| store.access.is_shut = is_shut);
    }

    /// Whether Azure Policy refuses what is written.
    pub fn set_policy_denies(&self, denies: bool) {
        self.change(|store| store.access.denies_by_policy = denies);
    }

    /// How long deleted items are kept from now on. 90 days at first.
    pub fn set_retention(&self, retention: Duration) {
        self.change(|store| store.retention = retention);
    }

    fn make(
        &self,
        work: impl FnOnce(&mut Store, Moment) -> Result<SideState, Refusal>,
    ) -> Result<VersionId, VaultErrorKind> {
        self.work(work).map(|state| state.version.expect("what was just made has a version"))
    }

    fn change(&self, change: impl FnOnce(&mut Store)) {
        // A vault that is not there has nothing to change.
        let _ = self.work(|store, _| {
            change(store);
            Ok(())
        });
    }

    fn work<T>(&self, work: impl FnOnce(&mut Store, Moment) -> Result<T, Refusal>) -> Result<T, VaultErrorKind> {
        let (mut state, now) = self.azure.lock();
        let moment = state.moment(now);
        let mut stores = state.stores.values_mut();
        let store = stores.find(|store| store.identity.name.eq_ignore_ascii_case(&self.vault));
        work(store.ok_or(VaultErrorKind::NotFound)?, moment).map_err(|refusal| refusal.kind)
    }
}
