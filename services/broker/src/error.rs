//! What can go wrong between a role and the log or the bus.

use proto_msgs::{RequestCode, envelope::EnvelopeError};

/// Why an append was not answered with a sequence.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The newest message is another than expected; nothing was stored.
    #[error("somebody else wrote to the subject first")]
    Conflict,
    /// Sent, and not answered: it may be stored.
    #[error("the append was sent and not answered")]
    Unknown,
    /// Certainly not stored.
    #[error("the stream could not be reached")]
    Unavailable,
    /// Certainly not stored.
    #[error("the append was refused: {0}")]
    Rejected(String),
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the stream could not be read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the stream did not answer in time")]
    Deadline,
}

/// Why a message did not get through.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("nobody answers on {subject}")]
    NoResponders { subject: String },
    #[error("no answer on {subject} in time")]
    Deadline { subject: String },
    #[error("NATS cannot be reached")]
    Disconnected,
    #[error("the message could not be written or read")]
    Envelope(#[from] EnvelopeError),
    #[error("NATS refused: {0}")]
    Other(String),
}

impl BusError {
    /// What a client is told.
    pub fn code(&self) -> RequestCode {
        match self {
            Self::NoResponders { .. } | Self::Deadline { .. } | Self::Disconnected => RequestCode::Unavailable,
            Self::Envelope(_) | Self::Other(_) => RequestCode::Internal,
        }
    }
}

/// Why the typed layer could not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else wrote first; nothing was stored.
    #[error("it was changed in the meantime")]
    Conflict,
    /// It may be stored, and could not be looked up in time.
    #[error("whether it was stored is not known")]
    Unknown,
    #[error("the log cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the message on {subject} cannot be read")]
    Corrupt { subject: String, source: EnvelopeError },
    #[error("the message cannot be written")]
    Encode(#[source] EnvelopeError),
}

impl LogError {
    /// What a client is told.
    pub fn code(&self) -> RequestCode {
        match self {
            Self::Conflict => RequestCode::RevisionMismatch,
            Self::Unknown | Self::Unavailable(_) => RequestCode::Unavailable,
            Self::Corrupt { .. } | Self::Encode(_) => RequestCode::Internal,
        }
    }
}

impl From<ReadError> for LogError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Why there is no connection. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("setting nats.{name}: {message}")]
    Settings { name: &'static str, message: String },
    #[error("NATS at {url} cannot be reached: start it, or set nats.url")]
    Unreachable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("nats-server {found} is too old: 2.12 or newer is needed")]
    TooOld { found: String },
    #[error("stream {stream} cannot be made: {message}")]
    Provision { stream: String, message: String },
}
