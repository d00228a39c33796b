//! What can go wrong in a coordinator.

use broker::{BusError, LogError};

/// Why a coordinator, or one of its configs, cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    #[error("the bus cannot be used")]
    Bus(#[from] BusError),
    #[error("the log cannot be used")]
    Log(#[from] LogError),
    #[error("a subscription ended")]
    SubscriptionEnded,
    #[error("configs' coordinators stop again and again: the log says why")]
    TooManyRestarts,
}
