//! What Key Vault's answers look like: one shape for secrets, certificates and keys.

use std::collections::{BTreeMap, BTreeSet};

use proto_msgs::{
    ItemName, Timestamp, VersionId,
    vault::{Attributes, DeletedMeta, ItemMeta, KeyRotation, SideState},
};
use serde::Deserialize;

/// One page of a listing.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub value: Vec<Bundle>,
    #[serde(rename = "nextLink")]
    pub next_link: Option<String>,
}

/// An item, listed or read, without its value: that is taken out of the body itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle {
    pub id: Option<String>,
    /// Of a listed key; on a secret, the key behind its certificate.
    pub kid: Option<String>,
    #[serde(default)]
    pub attributes: Times,
    #[serde(default)]
    pub tags: Option<BTreeMap<String, String>>,
    pub content_type: Option<String>,
    #[serde(default)]
    pub managed: Option<bool>,
    pub x5t: Option<String>,
    pub key: Option<Jwk>,
    pub policy: Option<Policy>,
    pub deleted_date: Option<i64>,
    pub scheduled_purge_date: Option<i64>,
}

/// The attributes of an item, times in seconds.
#[derive(Deserialize, Default)]
pub(super) struct Times {
    pub enabled: Option<bool>,
    pub nbf: Option<i64>,
    pub exp: Option<i64>,
    pub created: Option<i64>,
    pub updated: Option<i64>,
}

/// The public part of a key.
#[derive(Deserialize)]
pub(super) struct Jwk {
    pub kid: Option<String>,
    pub kty: Option<String>,
    pub key_ops: Option<BTreeSet<String>>,
}

/// A key's rotation policy.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RotationPolicy {
    #[serde(default)]
    lifetime_actions: Option<Vec<LifetimeAction>>,
}

#[derive(Deserialize)]
struct LifetimeAction {
    action: Option<LifetimeActionType>,
}

#[derive(Deserialize)]
struct LifetimeActionType {
    #[serde(rename = "type")]
    name: Option<String>,
}

impl RotationPolicy {
    /// Every key has a policy: where nobody made one, it only notifies.
    pub(super) fn rotation(&self) -> KeyRotation {
        let actions = self.lifetime_actions.iter().flatten().filter_map(|entry| entry.action.as_ref()?.name.as_ref());
        let rotates = actions.into_iter().any(|name| name.eq_ignore_ascii_case("rotate"));
        if rotates { KeyRotation::Automatic } else { KeyRotation::Manual }
    }
}

/// A certificate's policy.
#[derive(Deserialize)]
pub(super) struct Policy {
    pub key_props: Option<KeyProps>,
    pub secret_props: Option<SecretProps>,
}

#[derive(Deserialize)]
pub(super) struct KeyProps {
    pub exportable: Option<bool>,
    pub kty: Option<String>,
    pub key_size: Option<i32>,
    pub reuse_key: Option<bool>,
    pub crv: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SecretProps {
    #[serde(rename = "contentType")]
    pub content_type: Option<String>,
}

impl Bundle {
    /// `https://<vault>/<type>/<name>[/<version>]`, wherever this kind of item keeps it.
    fn path(&self) -> Option<(ItemName, Option<VersionId>)> {
        let own_key = self.key.as_ref().and_then(|key| key.kid.as_deref());
        let id = own_key.or(self.id.as_deref()).or(self.kid.as_deref())?;
        let mut parts =
            url::Url::parse(id).ok()?.path_segments()?.map(str::to_owned).collect::<Vec<_>>().into_iter().skip(1);
        let name = parts.next()?.parse().ok()?;
        Some((name, parts.next().and_then(|version| version.parse().ok())))
    }

    pub(super) fn version(&self) -> Option<VersionId> {
        self.path()?.1
    }

    pub(super) fn state(&self) -> SideState {
        SideState {
            version: self.version(),
            updated: self.attributes.updated.map(Timestamp::from_unix_seconds),
            attributes: self.item_attributes(),
            x5t: self.x5t.clone(),
        }
    }

    fn item_attributes(&self) -> Attributes {
        Attributes {
            enabled: self.attributes.enabled.unwrap_or(true),
            not_before: self.attributes.nbf.map(Timestamp::from_unix_seconds),
            expires: self.attributes.exp.map(Timestamp::from_unix_seconds),
            // A certificate's is its policy's, and its listing has none: both must look alike.
            content_type: self.content_type.clone().filter(|text| !text.is_empty() && self.x5t.is_none()),
            tags: self.tags.clone().unwrap_or_default(),
            key_operations: self.key.as_ref().and_then(|key| key.key_ops.clone()),
        }
    }

    /// None: an id that is not one, which only a vault that is no vault would send.
    pub(super) fn meta(&self) -> Option<ItemMeta> {
        Some(ItemMeta {
            name: self.path()?.0,
            // A deleted key's answer has more than its listing: both must look alike.
            attributes: Attributes { key_operations: None, ..self.item_attributes() },
            created: self.attributes.created.map(Timestamp::from_unix_seconds),
            updated: self.attributes.updated.map(Timestamp::from_unix_seconds),
            managed: self.managed.unwrap_or(false),
            x5t: self.x5t.clone().filter(|x5t| !x5t.is_empty()),
        })
    }

    pub(super) fn deleted_meta(&self) -> Option<DeletedMeta> {
        Some(DeletedMeta {
            item: self.meta()?,
            deleted: self.deleted_date.map(Timestamp::from_unix_seconds),
            purge_due: self.scheduled_purge_date.map(Timestamp::from_unix_seconds),
        })
    }
}
