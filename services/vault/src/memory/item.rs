//! What a vault holds: items with all their versions, live or soft-deleted.

use std::{collections::BTreeSet, sync::Arc};

use proto_msgs::{
    ItemName, ItemType, Timestamp, VersionId,
    vault::{Attributes, DeletedMeta, ItemMeta, SideState},
};

use crate::{CertificatePolicy, SecretValue, VersionMeta};

/// An item under its name: live or soft-deleted, never both. Until `ready`, deleting or recovering it is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    Live { item: Item, ready: Timestamp },
    Deleted { item: Item, deleted: Timestamp, purge_due: Timestamp, ready: Timestamp },
}

/// A secret, certificate or key. The secret and the key that a certificate keeps are nowhere but in the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// As first spelt.
    pub name: ItemName,
    /// Oldest first. None: a certificate that was never issued.
    pub versions: Vec<Version>,
    /// Certificates only.
    pub policy: Option<CertificatePolicy>,
    /// Of a certificate that was never issued.
    pub requested: Attributes,
    /// Keys only: a policy makes new versions.
    pub rotates: bool,
    pub made: Timestamp,
}

/// One version of an item. Times have whole seconds, as Key Vault's have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub id: VersionId,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// A certificate's content type is its format's, and not in here.
    pub attributes: Attributes,
    pub content: Content,
}

/// What a version is about. Values are redacted when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Secret(Arc<SecretValue>),
    Certificate {
        x5t: String,
        /// The private key, as an id.
        key: Arc<SecretValue>,
        key_type: String,
        format: Format,
        exportable: bool,
    },
    Key {
        /// The private key, as an id.
        material: Arc<SecretValue>,
        key_type: String,
    },
}

/// How a certificate is written in its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Pkcs12,
    Pem,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Pkcs12, Self::Pem];

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Pkcs12 => "application/x-pkcs12",
            Self::Pem => "application/x-pem-file",
        }
    }
}

/// What a new key may be used for, if nobody says anything else.
pub(super) fn operations(key_type: &str) -> BTreeSet<String> {
    let all: &[&str] = match key_type.starts_with("EC") {
        true => &["sign", "verify"],
        false => &["decrypt", "encrypt", "sign", "unwrapKey", "verify", "wrapKey"],
    };
    all.iter().map(|&name| name.to_owned()).collect()
}

/// A slot as seen under one of the three types, at a moment when it is there to be seen.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub item: &'a Item,
    pub kind: ItemType,
    /// A secret or key that a certificate keeps.
    pub managed: bool,
}

impl Version {
    fn x5t(&self) -> Option<&str> {
        match &self.content {
            Content::Certificate { x5t, .. } => Some(x5t),
            Content::Secret(_) | Content::Key { .. } => None,
        }
    }

    /// As the secret, certificate or key of that name shows them.
    fn attributes_as(&self, kind: ItemType) -> Attributes {
        let mut attributes = self.attributes.clone();
        if let (Content::Certificate { format, .. }, ItemType::Secrets) = (&self.content, kind) {
            attributes.content_type = Some(format.content_type().to_owned());
        }
        if let (Content::Certificate { key_type, .. }, ItemType::Keys) = (&self.content, kind) {
            attributes.key_operations = Some(operations(key_type));
        }
        attributes
    }
}

impl<'a> View<'a> {
    pub(super) fn newest(&self) -> Option<&'a Version> {
        self.item.versions.last()
    }

    /// A version; none named: the newest.
    pub(super) fn version(&self, id: Option<&VersionId>) -> Option<&'a Version> {
        match id {
            None => self.newest(),
            Some(id) => self.item.versions.iter().find(|version| version.id == *id),
        }
    }

    pub(super) fn state_of(&self, version: &Version) -> SideState {
        SideState {
            version: Some(version.id.clone()),
            updated: Some(version.updated),
            attributes: version.attributes_as(self.kind),
            x5t: self.own_x5t(version),
        }
    }

    /// Of the newest version, or of what stands for one that was never issued.
    pub(super) fn state(&self) -> SideState {
        match self.newest() {
            Some(version) => self.state_of(version),
            None => SideState {
                version: None,
                updated: Some(self.item.made),
                attributes: self.item.requested.clone(),
                x5t: None,
            },
        }
    }

    pub(super) fn meta(&self) -> ItemMeta {
        let state = self.state();
        ItemMeta {
            name: self.item.name.clone(),
            attributes: Attributes { key_operations: None, ..state.attributes },
            created: Some(self.newest().map_or(self.item.made, |version| version.created)),
            updated: state.updated,
            managed: self.managed,
            x5t: state.x5t,
        }
    }

    pub(super) fn deleted_meta(&self, deleted: Timestamp, purge_due: Timestamp) -> DeletedMeta {
        DeletedMeta { item: self.meta(), deleted: Some(deleted), purge_due: Some(purge_due) }
    }

    /// Every version; those of one second in the order of their ids, which is no order.
    pub(super) fn versions(&self) -> Vec<VersionMeta> {
        let mut versions: Vec<_> = self.item.versions.iter().collect();
        versions.sort_by_key(|version| (version.created, version.id.as_str()));
        let meta = |version: &Version| VersionMeta {
            version: version.id.clone(),
            created: Some(version.created),
            updated: Some(version.updated),
            enabled: version.attributes.enabled,
        };
        versions.into_iter().map(meta).collect()
    }

    /// Whether the second that made the newest version made another one.
    pub(super) fn is_newest_unclear(&self) -> bool {
        match self.item.versions.as_slice() {
            [.., older, newest] => older.created == newest.created,
            [] | [_] => false,
        }
    }

    fn own_x5t(&self, version: &Version) -> Option<String> {
        version.x5t().filter(|_| self.kind == ItemType::Certificates).map(str::to_owned)
    }
}
