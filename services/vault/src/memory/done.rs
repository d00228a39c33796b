//! What was written, by whom, over what: for whoever checks afterwards that nothing was written that must not be.

use std::sync::Arc;

use proto_msgs::{ItemName, ItemType, Timestamp};

use super::item::Slot;
use crate::Operation;

/// A write of a named caller that took effect. Values are redacted when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub by: Arc<str>,
    /// When it left the caller, right after its gate.
    pub sent: Timestamp,
    /// When it took effect.
    pub at: Timestamp,
    /// Name of the vault.
    pub vault: String,
    pub operation: Operation,
    pub kind: ItemType,
    pub item: ItemName,
    /// What was there before it, and after.
    pub before: Option<Slot>,
    pub after: Option<Slot>,
}
