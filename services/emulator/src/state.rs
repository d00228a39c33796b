//! What one vault holds.
//!
//! Everything is under one lock per vault, which is never held over an await. Names are shared between kinds: a
//! certificate brings a secret and a key of its name, which live nowhere but in the certificate, so that the three
//! can never disagree.

pub mod attributes;
pub mod certificates;
pub mod collection;
pub mod keys;
pub mod material;
pub mod policy;
pub mod rotation;
pub mod secrets;
pub mod validate;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    state::{
        attributes::Protection,
        certificates::CertificateItem,
        collection::{Collection, Deleted, Kind, Moment},
        keys::KeyItem,
        secrets::SecretItem,
    },
};

/// The items of one vault.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct VaultState {
    pub secrets: Collection<SecretItem>,
    pub keys: Collection<KeyItem>,
    pub certificates: Collection<CertificateItem>,
}

impl VaultState {
    /// Whether a plain secret or key of that name may be written: a certificate owns its own.
    pub fn plain_writable(&self, kind: Kind, name: &str, now_ms: i64) -> Result<(), ApiError> {
        // The certificate's phases are told in the words of what was asked for.
        self.certificates.writable(kind, name, now_ms)?;
        if self.certificates.find(name, now_ms).is_some() {
            return Err(managed(kind));
        }
        match kind {
            Kind::Secret => self.secrets.writable(kind, name, now_ms),
            Kind::Key => self.keys.writable(kind, name, now_ms),
            Kind::Certificate => Ok(()),
        }
    }

    /// Whether a plain item is not a certificate's own; a missing one is left to the caller.
    pub fn not_managed(&self, kind: Kind, name: &str, now_ms: i64) -> Result<(), ApiError> {
        let issued = self.certificates.find(name, now_ms).is_some_and(|certificate| certificate.newest().is_some());
        if issued { Err(managed(kind)) } else { Ok(()) }
    }

    /// Soft-deletes what is live; a certificate goes with its secret and key.
    pub fn delete(&mut self, kind: Kind, name: &str, at: Moment) -> Result<(), ApiError> {
        match kind {
            Kind::Secret => self.secrets.delete(kind, name, at).map(drop),
            Kind::Key => self.keys.delete(kind, name, at).map(drop),
            Kind::Certificate => self.certificates.delete(kind, name, at).map(drop),
        }
    }

    /// Whether a certificate of that name may be written: not over a plain secret or key, live or deleted.
    pub fn certificate_writable(&self, name: &str, now_ms: i64) -> Result<(), ApiError> {
        self.certificates.writable(Kind::Certificate, name, now_ms)?;
        self.secrets.free(Kind::Secret, name, now_ms)?;
        self.keys.free(Kind::Key, name, now_ms)
    }

    /// The same for a new one, which a request under way keeps out.
    pub fn certificate_creatable(&self, name: &str, now_ms: i64) -> Result<(), ApiError> {
        self.certificate_writable(name, now_ms)?;
        let pending = self.certificates.find(name, now_ms).and_then(|item| item.pending.as_ref());
        match pending.filter(|pending| !pending.is_completed) {
            Some(_) => Err(ApiError::new(
                409,
                "Forbidden",
                "A new key vault certificate can not be created or imported while a pending key vault certificate's status is inProgress.",
            )),
            None => Ok(()),
        }
    }
}

/// 403: the item belongs to a certificate.
fn managed(kind: Kind) -> ApiError {
    let (word, inner) = match kind {
        Kind::Secret => ("secret", "SecretManagedByKeyVault"),
        Kind::Key => ("key", "KeyManagedByKeyVault"),
        Kind::Certificate => ("certificate", "CertificateManagedByKeyVault"),
    };
    let message = format!(
        "Operation is not allowed on a {word} that is managed by Key Vault. Use the certificate of the same name instead."
    );
    ApiError::forbidden(inner, message)
}

/// Where a vault is reached and how it keeps what is deleted: what every answer of it repeats.
#[derive(Debug, Clone)]
pub struct Place {
    /// `https://name.vault.localhost:8443`, without a slash at the end.
    pub base: String,
    pub protection: Protection,
}

impl Place {
    /// The id of an item, or of one of its versions.
    pub fn id(&self, kind: Kind, name: &str, version: Option<&str>) -> String {
        let (base, path) = (&self.base, kind.path());
        version.map_or_else(|| format!("{base}/{path}/{name}"), |version| format!("{base}/{path}/{name}/{version}"))
    }

    /// What a deleted item's answer has besides the item's own.
    pub fn add_deleted<I>(&self, body: &mut Value, kind: Kind, name: &str, deleted: &Deleted<I>) {
        let recovery = format!("{}/deleted{}/{name}", self.base, kind.path());
        set(body, "recoveryId", json!(recovery));
        set(body, "deletedDate", json!(deleted.deleted_at));
        set(body, "scheduledPurgeDate", json!(deleted.purge_at));
    }
}

/// Sets a field of a JSON object.
pub fn set(body: &mut Value, field: &str, value: Value) {
    if let Some(fields) = body.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

/// Sets a field of a JSON object if there is a value.
pub fn set_some(body: &mut Value, field: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        set(body, field, value.into());
    }
}

/// A new version id: 32 hex digits.
pub fn new_version() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
