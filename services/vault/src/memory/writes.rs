//! What writes do to a vault once they arrive.

use std::sync::Arc;

use proto_msgs::{
    ItemName, ItemType, VersionId,
    vault::{Attributes, SideState},
};

use super::{
    item::{Content, Item, Version, View, operations},
    material,
    refusal::Refusal,
    state::Backup,
    store::{Moment, Store},
};
use crate::{CertificateImport, CertificatePolicy, SecretValue, VaultErrorKind};

/// Azure: "25 KB".
const VALUE_BYTES_MAX: usize = 25 * 1024;
/// Azure: characters of a content type.
const CONTENT_TYPE_MAX: usize = 255;
/// Azure: tags of one item.
const TAGS_MAX: usize = 15;
/// Azure: characters of a tag's name and of its value.
const TAG_MAX: usize = 512;
/// Azure backs up no more.
const VERSIONS_MAX: usize = 500;

impl Store {
    pub(super) fn set_secret(
        &mut self,
        name: &ItemName,
        value: Arc<SecretValue>,
        attributes: Attributes,
        at: Moment,
    ) -> Result<SideState, Refusal> {
        check(&attributes)?;
        if value.expose_text().is_none() {
            return Err(Refusal::rejected("the value is not UTF-8 text"));
        }
        if value.expose().len() > VALUE_BYTES_MAX {
            return Err(Refusal::rejected("400: the value is too large"));
        }
        self.plain_writable(ItemType::Secrets, name, at.now)?;
        self.add_version(ItemType::Secrets, name, attributes, Content::Secret(value), None, at)
    }

    pub(super) fn add_key(
        &mut self,
        name: &ItemName,
        key_type: &str,
        attributes: Attributes,
        at: Moment,
    ) -> Result<SideState, Refusal> {
        check(&attributes)?;
        self.plain_writable(ItemType::Keys, name, at.now)?;
        let material = Arc::new(SecretValue::from_text(self.random.private()));
        let content = Content::Key { material, key_type: key_type.to_owned() };
        let key_operations = attributes.key_operations.or_else(|| Some(operations(key_type)));
        let attributes = Attributes { content_type: None, key_operations, ..attributes };
        self.add_version(ItemType::Keys, name, attributes, content, None, at)
    }

    pub(super) fn import(
        &mut self,
        name: &ItemName,
        import: &CertificateImport,
        at: Moment,
    ) -> Result<SideState, Refusal> {
        check(&import.attributes)?;
        self.certificate_importable(name, at.now)?;
        let material = material::read(&import.material.value);
        let material = material.ok_or_else(|| Refusal::rejected("400: the content cannot be read"))?;
        if material.format.content_type() != import.material.content_type {
            return Err(Refusal::rejected("400: the content is in an unexpected format"));
        }
        let key = material.key.ok_or_else(|| Refusal::rejected("400: the content has no private key"))?;
        if material.not_after <= at.now {
            let message = "400: the certificate is expired and cannot be imported";
            return Err(Refusal::new(VaultErrorKind::CertificateExpired, message));
        }
        let attributes = Attributes {
            not_before: Some(material.not_before),
            expires: Some(material.not_after),
            content_type: None,
            ..import.attributes.clone()
        };
        let policy = CertificatePolicy {
            key_type: Some(material.key_type.clone()),
            content_type: Some(import.material.content_type.clone()),
            ..import.policy.clone()
        };
        let content = Content::Certificate {
            x5t: material.x5t,
            key,
            key_type: material.key_type,
            format: material.format,
            exportable: policy.exportable,
        };
        self.add_version(ItemType::Certificates, name, attributes, content, Some(policy), at)
    }

    /// A new version, and the item if it is the first.
    pub(super) fn add_version(
        &mut self,
        kind: ItemType,
        name: &ItemName,
        attributes: Attributes,
        content: Content,
        policy: Option<CertificatePolicy>,
        at: Moment,
    ) -> Result<SideState, Refusal> {
        let second = at.second();
        let version = Version { id: self.random.version(), created: second, updated: second, attributes, content };
        if self.live(kind, &name.key(), at.now).is_none() {
            self.put(kind, Item::new(name, at));
        }
        let item = self.live_mut(kind, name, at.now)?;
        item.versions.push(version);
        item.policy = policy;
        Ok(View { item, kind, managed: false }.state())
    }

    pub(super) fn update(
        &mut self,
        kind: ItemType,
        name: &ItemName,
        attributes: &Attributes,
        at: Moment,
    ) -> Result<SideState, Refusal> {
        check(attributes)?;
        self.not_managed(kind, name, at.now)?;
        let item = self.live_mut(kind, name, at.now)?;
        let version = item.versions.last_mut().ok_or_else(|| Refusal::not_found(kind, name))?;
        let own = &mut version.attributes;
        own.enabled = attributes.enabled;
        own.tags.clone_from(&attributes.tags);
        // A certificate's times are inside it. Elsewhere what is not said stays: there is no way to clear a time.
        if kind != ItemType::Certificates {
            own.not_before = attributes.not_before.or(own.not_before);
            own.expires = attributes.expires.or(own.expires);
        }
        if let Some(text) = attributes.content_type.as_ref().filter(|_| kind == ItemType::Secrets) {
            own.content_type = Some(text.clone()).filter(|text| !text.is_empty());
        }
        if let Some(operations) = attributes.key_operations.as_ref().filter(|_| kind == ItemType::Keys) {
            own.key_operations = Some(operations.clone());
        }
        version.updated = at.second();
        Ok(View { item, kind, managed: false }.state())
    }

    pub(super) fn backup(&self, name: &ItemName, at: Moment) -> Result<Backup, Refusal> {
        self.not_managed(ItemType::Keys, name, at.now)?;
        let item = self.live(ItemType::Keys, &name.key(), at.now);
        let item = item.ok_or_else(|| Refusal::not_found(ItemType::Keys, name))?;
        if item.versions.len() > VERSIONS_MAX {
            let message = format!("400: the key {name} has more than {VERSIONS_MAX} versions");
            return Err(Refusal::new(VaultErrorKind::TooManyVersions, message));
        }
        let (geography, subscription) = (self.identity.geography.clone(), self.identity.subscription.clone());
        Ok(Backup { item: item.clone(), geography, subscription })
    }

    pub(super) fn restore(&mut self, backup: Option<Backup>, at: Moment) -> Result<SideState, Refusal> {
        let backup = backup.ok_or_else(|| Refusal::rejected("400: this is no backup of a key"))?;
        if backup.geography != self.identity.geography {
            let message = "400: the backup was made in another geography";
            return Err(Refusal::new(VaultErrorKind::OtherGeography, message));
        }
        if backup.subscription != self.identity.subscription {
            let message = "400: the backup was made in another subscription";
            return Err(Refusal::new(VaultErrorKind::OtherSubscription, message));
        }
        self.plain_writable(ItemType::Keys, &backup.item.name, at.now)?;
        self.free(ItemType::Keys, &backup.item.name, at.now, VaultErrorKind::AlreadyExists)?;
        let state = View { item: &backup.item, kind: ItemType::Keys, managed: false }.state();
        self.put(ItemType::Keys, backup.item);
        Ok(state)
    }

    /// The value of a secret, a plain one's or a certificate's. `salt` makes each export differ.
    pub(super) fn secret(
        &mut self,
        name: &ItemName,
        version: Option<&VersionId>,
        at: Moment,
    ) -> Result<crate::Secret, Refusal> {
        let salt = self.random.id();
        let missing = || Refusal::not_found(ItemType::Secrets, name);
        let view = self.view(ItemType::Secrets, &name.key(), at.now).ok_or_else(missing)?;
        let version = view.version(version).ok_or_else(missing)?;
        if !version.attributes.enabled {
            let message = "403 SecretDisabled: operation get is not allowed on a disabled secret";
            return Err(Refusal::new(VaultErrorKind::Disabled, message));
        }
        let value = match &version.content {
            Content::Secret(value) => SecretValue::new(value.expose().to_vec()),
            Content::Certificate { .. } | Content::Key { .. } => {
                material::export(version, &salt).ok_or_else(missing)?
            }
        };
        Ok(crate::Secret { state: view.state_of(version), value, managed: view.managed })
    }
}

impl Item {
    pub(super) fn new(name: &ItemName, at: Moment) -> Self {
        let requested = Attributes::plain();
        let versions = Vec::new();
        Self { name: name.clone(), versions, policy: None, requested, rotates: false, made: at.second() }
    }
}

fn check(attributes: &Attributes) -> Result<(), Refusal> {
    let length = |text: &String| text.chars().count();
    if attributes.content_type.as_ref().is_some_and(|text| length(text) > CONTENT_TYPE_MAX) {
        return Err(Refusal::rejected("400: the content type is too long"));
    }
    if attributes.tags.len() > TAGS_MAX {
        return Err(Refusal::rejected("400: too many tags"));
    }
    if attributes.tags.iter().any(|(name, value)| length(name) > TAG_MAX || length(value) > TAG_MAX) {
        return Err(Refusal::rejected("400: a tag is too long"));
    }
    Ok(())
}
