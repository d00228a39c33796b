//! What coordinators and workers say to each other.

use serde::{Deserialize, Serialize};

use crate::{
    config::{Behaviour, VaultRef},
    ids::{ConfigId, Epoch, ItemType, MemberId, Revision, Sequence, Slot},
    record::Record,
    timestamp::Timestamp,
    vault::{CallFailure, DeletedMeta, ItemMeta, Side, VaultIdentity},
};

/// Asks for one attempt at one record. Sent on [`crate::subject::Subjects::worker_sync`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRecord {
    /// The record as the log has it.
    pub record: Record,
    /// Sequence of that message; the intent is appended only if it still is the newest.
    pub expected: Sequence,
    /// Fences off every earlier owner of the config.
    pub epoch: Epoch,
    /// Fences off every earlier edit of the config.
    pub revision: Revision,
    /// The attempt before may have written: read the target before anything is called foreign.
    pub outcome_unknown: bool,
    /// Read both ends and write only what differs, however recent the baseline is.
    #[serde(default)]
    pub thorough: bool,
    pub source: VaultIdentity,
    pub target: VaultIdentity,
    pub behaviour: Behaviour,
    /// The source item as the plan saw it listed, if it did: names the version about to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<ItemMeta>,
    /// When it was listed, by the server's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<Timestamp>,
}

/// Answered at once; the outcome goes to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum SyncAnswer {
    Accepted {
        room: u32,
    },
    /// No room; try again when the heartbeat shows some.
    Busy,
    /// It leaves: place the record elsewhere.
    Draining,
    /// A newer owner or a newer edit is known.
    Stale {
        epoch: Epoch,
        revision: Revision,
    },
}

/// Asks for one page of a vault's listing. Served by any worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryRequest {
    pub config: ConfigId,
    pub side: Side,
    pub vault: VaultIdentity,
    pub kind: ItemType,
    pub listing: Listing,
    /// Where the page before said to go on.
    pub continuation: Option<String>,
}

/// Which of a vault's two listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    Live,
    Deleted,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryPage {
    pub live: Vec<ItemMeta>,
    pub deleted: Vec<DeletedMeta>,
    /// None: this was the last page. An empty page is not the end.
    pub next: Option<String>,
    /// The server's own clock.
    pub read_at: Timestamp,
}

/// A page, or why there is none.
pub type InventoryAnswer = Result<InventoryPage, CallFailure>;

/// Asks what is known of a vault, and whether it exists. Served by any worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveVault {
    pub side: Side,
    pub reference: VaultRef,
}

/// The vault, or why it could not be found.
pub type ResolveAnswer = Result<VaultIdentity, ResolveFailure>;

/// Why a vault reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ResolveFailure {
    /// Discovery sees no vault of that name, or the host does not exist.
    NotFound { message: String },
    /// Discovery sees several: name it by hand.
    Ambiguous { candidates: Vec<String> },
    /// Azure did not answer as it should.
    Call { failure: CallFailure },
}

/// Published every second by every member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub member: MemberId,
    pub role: Role,
    pub version: String,
    pub started: Timestamp,
    /// Counts up; a listener tells a late beat from a new one.
    pub beat: u64,
    /// Coordinators: the slots they own.
    #[serde(default)]
    pub slots: Vec<Slot>,
    /// Workers: attempts they can still take.
    #[serde(default)]
    pub room: u32,
    /// Workers: attempts under way.
    #[serde(default)]
    pub in_flight: u32,
    #[serde(default)]
    pub draining: bool,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Coordinator,
    Worker,
    Gateway,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
            Self::Gateway => "gateway",
        }
    }
}

/// The right to own a slot until it expires. The epoch is the sequence of the take-over; renewals repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotLease {
    pub slot: Slot,
    pub owner: MemberId,
    /// None in the message that takes the slot over: its own sequence is the epoch.
    pub epoch: Option<Epoch>,
    /// How often it was renewed: a slot that was just taken stays where it is for a while.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub renewals: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
