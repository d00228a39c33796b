//! What can go wrong in a worker.

use broker::{BusError, LogError};
use proto_msgs::{Epoch, RequestCode, Revision};

/// Why a worker cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
    #[error("the configs cannot be followed")]
    Configs(#[from] LogError),
    #[error("a subscription ended")]
    SubscriptionEnded,
}

/// Why an attempt did not come to an outcome in the log.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("epoch {epoch}, revision {revision} are known already, and the command's are older")]
    Stale { epoch: Epoch, revision: Revision },
    /// Nothing was touched.
    #[error("the intent was refused: somebody else went on with the record")]
    IntentRefused,
    #[error("the intent could not be appended")]
    Intent(#[source] LogError),
    /// Where this attempt may have written, the record was marked for comparison.
    #[error("the outcome was refused: somebody else went on with the record")]
    OutcomeRefused,
    #[error("the outcome could not be appended")]
    Outcome(#[source] LogError),
    #[error("record actor stopped")]
    Stopped,
}

impl RecordError {
    pub fn code(&self) -> RequestCode {
        match self {
            Self::Stale { .. } | Self::IntentRefused | Self::OutcomeRefused => RequestCode::RevisionMismatch,
            Self::Intent(error) | Self::Outcome(error) => error.code(),
            Self::Stopped => RequestCode::Internal,
        }
    }
}
