//! One vault as the sync needs it: no vendor words, one verb per call Azure counts.
//!
//! [`azure`] speaks to Azure through the official SDK; [`memory`] is a simulated Azure in this process, for tests. Both
//! keep [`contract`].
//!
//! Implementations never retry: the coordinator knows the budget and the deadline, the vault does not. Values leave
//! this crate only inside [`SecretValue`], which is wiped on drop and cannot be printed.

pub mod azure;
pub mod contract;
pub mod memory;

mod error;
mod gate;
mod operation;
mod regions;
mod secret_value;

use std::sync::Arc;

use async_trait::async_trait;
use proto_msgs::{
    CorrelationId, ItemName, ItemType, Timestamp, VaultRef, VersionId,
    vault::{Attributes, DeletedMeta, KeyRotation, Side, SideState, VaultIdentity},
    worker::{InventoryPage, Listing, ResolveAnswer},
};

pub use error::{VaultError, VaultErrorKind};
pub use gate::WriteGate;
pub use operation::Operation;
pub use secret_value::SecretValue;

/// An answer, and what came with it.
#[derive(Debug)]
pub struct Answer<T> {
    pub value: T,
    /// The server's own clock (`Date`).
    pub date: Timestamp,
    /// Azure's id of the request.
    pub request_id: Option<String>,
}

impl<T> Answer<T> {
    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: convert(self.value), date: self.date, request_id: self.request_id }
    }
}

/// A secret with its value.
#[derive(Debug)]
pub struct Secret {
    pub state: SideState,
    pub value: SecretValue,
    /// Kept by Key Vault behind a certificate: it must not be written.
    pub managed: bool,
}

/// A certificate without its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `version` and `x5t` are those of the newest issued version; none: nothing was issued yet.
    pub state: SideState,
    pub policy: CertificatePolicy,
}

/// What of a certificate's policy is carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePolicy {
    pub exportable: bool,
    pub reuse_key: bool,
    /// `RSA`, `RSA-HSM`, `EC`, `EC-HSM` as Key Vault writes them.
    pub key_type: Option<String>,
    pub key_size: Option<i32>,
    pub curve: Option<String>,
    /// `application/x-pkcs12` or `application/x-pem-file`.
    pub content_type: Option<String>,
}

/// A certificate with its private key and full chain, as its backing secret gives it.
#[derive(Debug)]
pub struct CertificateMaterial {
    /// `application/x-pkcs12` (the value is base64) or `application/x-pem-file`.
    pub content_type: String,
    pub value: SecretValue,
}

/// A certificate about to be imported. The issuer is always set to `Unknown`, so that the target never renews by itself,
/// and the order of the chain is preserved.
#[derive(Debug)]
pub struct CertificateImport {
    pub material: CertificateMaterial,
    pub policy: CertificatePolicy,
    pub attributes: Attributes,
}

/// A key without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `version` is the newest one.
    pub state: SideState,
    /// `RSA`, `EC`, `RSA-HSM`, ... as Key Vault writes it.
    pub key_type: Option<String>,
    /// Kept by Key Vault behind a certificate.
    pub managed: bool,
}

impl Key {
    /// Whether it is of a type that Key Vault is known to back up and restore.
    pub fn has_known_type(&self) -> bool {
        const KNOWN: [&str; 6] = ["RSA", "RSA-HSM", "EC", "EC-HSM", "oct", "oct-HSM"];
        self.key_type.as_deref().is_some_and(|named| KNOWN.contains(&named))
    }
}

/// One version of an item, as a listing of versions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionMeta {
    pub version: VersionId,
    pub created: Option<Timestamp>,
    pub updated: Option<Timestamp>,
    pub enabled: bool,
}

/// One vault, opened with one identity. Names are case-insensitive.
///
/// Writes take a [`WriteGate`], asked directly before the request that writes leaves the process, after any token was
/// got: a closed gate gives [`VaultErrorKind::GateClosed`], and nothing was sent.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// One page of a listing: the newest version's metadata, no values. Pending certificates included.
    async fn list(
        &self,
        kind: ItemType,
        listing: Listing,
        continuation: Option<String>,
        correlation: CorrelationId,
    ) -> Result<InventoryPage, VaultError>;

    /// Every version of an item, as metadata, oldest first; those of one second in any order. All pages. Empty where
    /// there is no such item.
    async fn versions(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<Vec<VersionMeta>>, VaultError>;

    /// Reads the metadata of a live item, never a value; a pending certificate has no version.
    ///
    /// A secret's newest version is found by when it was made: if that second made several, none is named, so that
    /// nobody takes the item for what it is not.
    async fn read_meta(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError>;

    /// Reads the metadata of a soft-deleted item. Not found while it is still being deleted.
    async fn read_deleted(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError>;

    /// Reads a secret with its value: the newest version, or the one named.
    async fn read_secret(
        &self,
        name: &ItemName,
        version: Option<&VersionId>,
        correlation: CorrelationId,
    ) -> Result<Answer<Secret>, VaultError>;

    /// Writes a new version of a secret, value and attributes in one call. Not idempotent: a lost reply may leave a version behind.
    async fn write_secret(
        &self,
        name: &ItemName,
        value: &SecretValue,
        attributes: &Attributes,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError>;

    /// Reads a certificate and its policy; no private key.
    async fn read_certificate(
        &self,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<Certificate>, VaultError>;

    /// Reads a certificate's private key and chain through its backing secret.
    async fn export_certificate(
        &self,
        name: &ItemName,
        version: Option<&VersionId>,
        correlation: CorrelationId,
    ) -> Result<Answer<CertificateMaterial>, VaultError>;

    /// Imports a certificate as a new version. Not idempotent.
    async fn import_certificate(
        &self,
        name: &ItemName,
        import: &CertificateImport,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError>;

    /// Reads a key's public part and attributes.
    async fn read_key(&self, name: &ItemName, correlation: CorrelationId) -> Result<Answer<Key>, VaultError>;

    /// Reads how a key gets new versions.
    async fn read_rotation(
        &self,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<KeyRotation>, VaultError>;

    /// Takes a backup of a key: every version, as an opaque blob only Azure can open.
    async fn backup_key(&self, name: &ItemName, correlation: CorrelationId) -> Result<Answer<SecretValue>, VaultError>;

    /// Restores a key from its backup. A create, never an update: refused where the name exists.
    async fn restore_key(
        &self,
        backup: &SecretValue,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError>;

    /// Brings attributes, content type, key operations and tags of the newest version up to date; makes no new version.
    /// A content type and key operations that are not given stay as they are; an empty content type clears it. Azure
    /// cannot clear `not_before` and `expires`: the caller looks after that.
    async fn update(
        &self,
        kind: ItemType,
        name: &ItemName,
        attributes: &Attributes,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError>;

    /// Soft-deletes an item with all its versions: it can be recovered until the vault purges it. Finishes after the
    /// answer: until then the item is neither live nor deleted, and its name cannot be written.
    async fn delete(
        &self,
        kind: ItemType,
        name: &ItemName,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError>;
}

/// Opens vaults, each side with its own identity, and finds out what is known of one.
#[async_trait]
pub trait Vaults: Send + Sync + 'static {
    /// The vault, with a long-lived client: opening it again gives the same one.
    async fn open(&self, side: Side, vault: &VaultIdentity) -> Result<Arc<dyn Vault>, VaultError>;

    /// Looks a reference up: through ARM for a discovered name, by asking the vault itself for one entered by hand.
    async fn resolve(&self, side: Side, reference: &VaultRef, correlation: CorrelationId) -> ResolveAnswer;
}
