//! Azure Key Vault through the official SDK.
//!
//! One long-lived client per side, vault and item type, warmed by a listing before its first write: the SDK's first
//! request of a client is a probe without body, and a write must never be that one. The SDK retries nothing; each call
//! has a deadline; a gate is asked directly before a write leaves. Answers are read with serde types of our own, one for
//! all three kinds of items, and a value is taken out of the body once, into a wiped buffer.
//!
//! Wiped by us: the collected body of an answer, the body of a request, and every value in between. Not wiped, because
//! they are others': what TLS, decompression and the HTTP client hold of a body while it passes through them.

mod arm;
mod body;
mod call;
mod certificate;
mod client;
mod deletes;
mod failure;
mod gated;
mod identity;
mod items;
mod list;
mod resolve;
mod settings;
mod tokens;
mod transport;
mod vaults;
mod wire;

pub use settings::{AzureSettings, IdentityKind, IdentitySettings, SettingsError};
pub use vaults::AzureVaults;
