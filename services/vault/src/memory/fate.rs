//! What becomes of a call: how long it takes on its way, and how it ends.

use std::{sync::Arc, time::Duration};

use proto_msgs::{ItemName, ItemType, vault::Side};

use crate::{Operation, VaultErrorKind};

/// A call about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCall {
    pub side: Side,
    /// Name of the vault.
    pub vault: String,
    pub operation: Operation,
    pub kind: Option<ItemType>,
    /// None for a listing, and for looking a vault up.
    pub item: Option<ItemName>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Until a token was got; then the gate of a write is asked.
    pub token: Duration,
    /// From the gate to the effect: a process that is stopped in between, or a slow network.
    pub travel: Duration,
    /// From the effect to the caller, who has given up by then if the call has taken too long.
    pub answer: Duration,
    pub end: End,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As the vault answers it.
    Answered,
    /// There is no connection: nothing is sent, and the caller knows it.
    Unreachable,
    /// Refused before it had any effect. [`VaultErrorKind::Transient`] is an outage: the caller of a write cannot tell
    /// that nothing was written.
    Refused { kind: VaultErrorKind, retry_after: Option<Duration> },
    /// The vault does as it is told, and the connection breaks before the answer arrives.
    Lost,
    /// It never reaches the vault, and nobody says so: the caller waits until the deadline.
    Never,
}

impl Fate {
    /// Answered at once.
    pub const FINE: Self =
        Self { token: Duration::ZERO, travel: Duration::ZERO, answer: Duration::ZERO, end: End::Answered };

    /// At once, ending like that.
    pub const fn ends(end: End) -> Self {
        Self { end, ..Self::FINE }
    }
}

pub(super) type Fates = Arc<dyn Fn(&MemoryCall) -> Fate + Send + Sync>;
