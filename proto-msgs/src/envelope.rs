//! The envelope every message travels in, and its two encodings.
//!
//! MessagePack with named fields between roles; JSON where the `Content-Type` header says so, so that a person can take
//! part from a shell.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    ids::{CorrelationId, MessageId},
    timestamp::Timestamp,
};

/// Header that names the encoding; absent means MessagePack.
pub const CONTENT_TYPE: &str = "Content-Type";
/// Largest message that is built or read, headers excluded: NATS's own default limit is 1 MiB.
pub const MAX_BYTES: usize = 1_000_000;

/// A message and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Version of the body's format.
    pub v: u16,
    /// What the body is, for readers of the event feed.
    pub kind: String,
    /// Also the operation id by which the writer knows its own append again.
    pub id: MessageId,
    pub correlation_id: CorrelationId,
    /// The message that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<MessageId>,
    pub time: Timestamp,
    pub body: T,
}

/// A type that travels in an [`Envelope`].
pub trait Message: Serialize + DeserializeOwned {
    const KIND: &'static str;
    /// The version this build writes; it reads this one and every earlier one.
    const VERSION: u16 = 1;
}

macro_rules! messages {
    ($($type:ty => $kind:literal),* $(,)?) => { $(impl Message for $type { const KIND: &'static str = $kind; })* };
}

messages! {
    crate::record::Record => "record",
    crate::run::Run => "run",
    crate::config::Config => "config",
    crate::config::Control => "control",
    crate::worker::SyncRecord => "sync_record",
    crate::worker::SyncAnswer => "sync_answer",
    crate::worker::InventoryRequest => "inventory_request",
    crate::worker::InventoryAnswer => "inventory_answer",
    crate::worker::ResolveVault => "resolve_vault",
    crate::worker::ResolveAnswer => "resolve_answer",
    crate::worker::Heartbeat => "heartbeat",
    crate::worker::SlotLease => "slot_lease",
    crate::api::ConfigQuery => "config_query",
    crate::api::ConfigReply => "config_reply",
    crate::api::ConfigCommand => "config_command",
    crate::api::CommandReply => "command_reply",
    crate::api::ApiToken => "api_token",
    crate::api::NameReservation => "name_reservation",
    () => "empty",
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    MessagePack,
    Json,
}

impl Encoding {
    /// What the `Content-Type` header holds.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::MessagePack => "application/msgpack",
            Self::Json => "application/json",
        }
    }

    /// None: a content type nobody here speaks.
    pub fn from_content_type(text: &str) -> Option<Self> {
        match text.split(';').next().map(str::trim) {
            Some("application/json") => Some(Self::Json),
            Some("application/msgpack" | "") => Some(Self::MessagePack),
            Some(_) | None => None,
        }
    }
}

/// A message that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("message is {size} bytes, over the limit of {MAX_BYTES}")]
    TooLarge { size: usize },
    #[error("message could not be written")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("message could not be read")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("expected a message of kind {expected}, not {given}")]
    OtherKind { expected: &'static str, given: String },
    #[error("{kind} version {given} is newer than version {known}, the newest this program reads: upgrade it first")]
    TooNew { kind: &'static str, given: u16, known: u16 },
}

/// What is read before the body: enough to refuse it.
#[derive(Deserialize)]
struct Head {
    v: u16,
    kind: String,
}

impl<T: Message> Envelope<T> {
    /// Wraps a body that nothing led to.
    pub fn new(id: MessageId, correlation_id: CorrelationId, time: Timestamp, body: T) -> Self {
        Self { v: T::VERSION, kind: T::KIND.to_owned(), id, correlation_id, cause: None, time, body }
    }

    pub fn encode(&self, encoding: Encoding) -> Result<Vec<u8>, EnvelopeError> {
        let bytes = match encoding {
            Encoding::MessagePack => rmp_serde::to_vec_named(self).map_err(|e| EnvelopeError::Encode(e.into()))?,
            Encoding::Json => serde_json::to_vec(self).map_err(|e| EnvelopeError::Encode(e.into()))?,
        };
        if bytes.len() > MAX_BYTES { Err(EnvelopeError::TooLarge { size: bytes.len() }) } else { Ok(bytes) }
    }

    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_BYTES {
            return Err(EnvelopeError::TooLarge { size: bytes.len() });
        }
        let head: Head = read(bytes, encoding)?;
        if head.kind != T::KIND {
            return Err(EnvelopeError::OtherKind { expected: T::KIND, given: head.kind });
        }
        if head.v > T::VERSION {
            return Err(EnvelopeError::TooNew { kind: T::KIND, given: head.v, known: T::VERSION });
        }
        read(bytes, encoding)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], encoding: Encoding) -> Result<T, EnvelopeError> {
    match encoding {
        Encoding::MessagePack => rmp_serde::from_slice(bytes).map_err(|e| EnvelopeError::Decode(e.into())),
        Encoding::Json => serde_json::from_slice(bytes).map_err(|e| EnvelopeError::Decode(e.into())),
    }
}
