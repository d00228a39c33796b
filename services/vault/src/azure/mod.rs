//! Azure Key Vault through the official SDK.
//!
//! One long-lived client per side, vault and item type, warmed by a listing before its first write: the SDK's first
//! request of a client is a probe without body, and a write must never be that one. The SDK retries nothing; each call
//! has a deadline; a gate is asked directly before a write leaves. Answers are read with serde types of our own, one for
//! all three kinds of items, so that a value is taken out of the body once and moved into a wiped buffer.
//!
//! What the SDK keeps of a value for a moment: the body of the answer and of the request, in buffers it does not wipe.

mod arm;
mod call;
mod client;
mod failure;
mod identity;
mod items;
mod list;
mod regions;
mod resolve;
mod settings;
mod transport;
mod vaults;
mod wire;

pub use settings::{AzureSettings, IdentityKind, IdentitySettings, SettingsError};
pub use vaults::AzureVaults;
