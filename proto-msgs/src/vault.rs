//! Vaults and their items, as far as they may leave a worker: metadata, never values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    error::ErrorCode,
    ids::{ItemName, VersionId},
    timestamp::Timestamp,
};

/// One of the two ends of a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Source,
    Target,
}

impl Side {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// What is known of a vault: found by discovery, or entered by hand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VaultIdentity {
    pub name: String,
    /// Without trailing slash: `https://prod-eu-kv.vault.azure.net`.
    pub uri: String,
    /// ARM id; none for a vault entered by hand.
    pub resource_id: Option<String>,
    pub subscription: Option<String>,
    pub region: Option<String>,
    /// Azure's data residency boundary, from the region. None: it could not be found out, so no key may be restored.
    pub geography: Option<String>,
    pub tenant: String,
    /// False for a vault entered by hand: subscription and region are somebody's word.
    pub verified: bool,
}

/// What makes two vaults one, however their URI is written: without trailing slash, lower-cased.
pub fn uri_key(uri: &str) -> String {
    uri.trim_end_matches('/').to_ascii_lowercase()
}

/// What an item carries besides its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes {
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Secrets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Keys only: what the key may be used for (`key_ops`). None where only a listing was seen: those do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_operations: Option<BTreeSet<String>>,
}

impl Attributes {
    /// Of an item that is enabled, and has nothing else.
    pub const fn plain() -> Self {
        Self {
            enabled: true,
            not_before: None,
            expires: None,
            content_type: None,
            tags: BTreeMap::new(),
            key_operations: None,
        }
    }
}

/// How a key gets new versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRotation {
    /// When somebody asks.
    Manual,
    /// By its rotation policy, which a restore brings along: the copy rotates too, into versions that no other vault has.
    Automatic,
    /// The policy could not be read.
    Unknown,
}

/// A live item as a listing shows it: the newest version's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemMeta {
    pub name: ItemName,
    pub attributes: Attributes,
    pub created: Option<Timestamp>,
    /// Key Vault keeps whole seconds.
    pub updated: Option<Timestamp>,
    /// Kept by Key Vault itself, behind a certificate.
    #[serde(default)]
    pub managed: bool,
    /// Certificates: SHA-1 thumbprint of the newest issued version, base64url. None on a certificate: nothing was issued yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<String>,
}

/// A soft-deleted item as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedMeta {
    pub item: ItemMeta,
    pub deleted: Option<Timestamp>,
    pub purge_due: Option<Timestamp>,
}

/// One end of a record at a moment: what later comparisons need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideState {
    /// None where only a listing was seen: those do not name versions.
    pub version: Option<VersionId>,
    pub updated: Option<Timestamp>,
    pub attributes: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x5t: Option<String>,
}

/// Why a call to a vault did not do what it should, as far as it may be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What failed and what to do; no value, no token.
    pub message: String,
    /// The innermost code of Azure's answer, such as `ForbiddenByRbac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_request_id: Option<String>,
    /// The data action that a 403 named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_action: Option<String>,
}

impl Detail {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), azure_code: None, azure_request_id: None, missing_action: None }
    }
}

/// A failed call, for whoever decides what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFailure {
    pub code: ErrorCode,
    pub detail: Detail,
    /// How long Azure asks to be left alone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl CallFailure {
    /// Whether the vault asks to be left alone, whatever about.
    pub fn asks_for_rest(&self) -> bool {
        self.code == ErrorCode::Throttled || self.retry_after_ms.is_some()
    }
}

/// Calls made to Azure, by what they cost. Unauthenticated probes are not counted: Azure does not either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallCounts {
    pub list: u64,
    /// Reads of one item, backups among them.
    pub get: u64,
    /// Writes of one item: set, import, restore, update.
    pub set: u64,
}

impl std::ops::AddAssign for CallCounts {
    fn add_assign(&mut self, other: Self) {
        self.list += other.list;
        self.get += other.get;
        self.set += other.set;
    }
}
