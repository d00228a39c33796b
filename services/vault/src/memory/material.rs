//! What a certificate's secret holds: instead of PKCS#12 or PEM, a line that says what is inside.

use std::sync::Arc;

use proto_msgs::Timestamp;

use super::item::{Content, Format, Version};
use crate::SecretValue;

const MARK: &str = "certificate";
/// Stands in everything that a simulated Azure makes up in place of private keys and backups, so that it can be looked
/// for where it must not be.
pub const PRIVATE: &str = "^private^";

/// What can be read off an exported certificate.
pub(super) struct Material {
    pub format: Format,
    pub x5t: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub key_type: String,
    /// None: it came without its private key.
    pub key: Option<Arc<SecretValue>>,
}

/// A version's secret. Each export differs by its salt, as real ones do; what may not leave comes without private key.
pub(super) fn export(version: &Version, salt: &str) -> Option<SecretValue> {
    let Content::Certificate { x5t, key, key_type, format, exportable } = &version.content else { return None };
    let seconds = |time: Option<Timestamp>| time.unwrap_or_default().unix_seconds();
    let (from, to) = (seconds(version.attributes.not_before), seconds(version.attributes.expires));
    let key = key.expose_text().filter(|_| *exportable).unwrap_or_default();
    let format = format.content_type();
    Some(SecretValue::from_text(format!("{MARK};{format};{x5t};{from};{to};{key_type};{key};{salt}")))
}

/// None: it is no certificate.
pub(super) fn read(material: &SecretValue) -> Option<Material> {
    let mut parts = material.expose_text()?.split(';');
    parts.next().filter(|mark| *mark == MARK)?;
    let format = parts.next()?;
    let format = Format::ALL.into_iter().find(|known| known.content_type() == format)?;
    let x5t = parts.next()?.to_owned();
    let mut time = || parts.next()?.parse().ok().map(Timestamp::from_unix_seconds);
    let (not_before, not_after) = (time()?, time()?);
    let key_type = parts.next()?.to_owned();
    let key = parts.next().filter(|key| !key.is_empty());
    let key = key.map(|key| Arc::new(SecretValue::from_text(key.to_owned())));
    Some(Material { format, x5t, not_before, not_after, key_type, key })
}
