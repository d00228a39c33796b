//! What the log's leader says before something is deleted, or overwritten that Keyferry did not write.

use broker::LogError;
use domain::mutant::{self, Mutant};
use proto_msgs::{Epoch, Revision, hash, vault::Detail};

use super::work::{Halt, Work};
use crate::fences;

/// Whether nothing is stopped, this attempt's config is still as it was and its owner still the same. Everything else
/// relies on what was heard; this cannot be taken back.
pub(super) async fn may_destroy(work: &Work<'_>) -> Result<(), Halt> {
    if mutant::is(Mutant::NoConfirmation) {
        return Ok(());
    }
    match is_confirmed(work).await {
        Ok(true) => Ok(()),
        Ok(false) => halt(
            "everything was stopped, or the config was changed or got a new owner, since this attempt was asked for",
        ),
        Err(error) => {
            tracing::warn!(record_id = %work.record.id, correlation_id = %work.correlation, error = &error as &dyn std::error::Error, "an overwrite or a delete could not be confirmed");
            halt("the log cannot be read, and nothing is deleted and nothing foreign overwritten without")
        }
    }
}

fn halt(reason: &str) -> Result<(), Halt> {
    Err(Halt::Unconfirmed(Detail::new(format!("{reason}: nothing was written, and it is tried again"))))
}

async fn is_confirmed(work: &Work<'_>) -> Result<bool, LogError> {
    let (broker, command) = (&work.parts.broker, &work.command);
    let Some(config) = broker.configs().get(&work.record.id.config).await? else { return Ok(false) };
    if fences::is_stopped(&config.envelope.body) || Revision(config.sequence.0) != command.revision {
        return Ok(false);
    }
    if broker.configs().control().await?.is_some_and(|control| control.envelope.body.stopped) {
        return Ok(false);
    }
    let head = broker.leases().head(hash::slot(&command.target.uri)).await?;
    // The message that took the slot over names no epoch: its own sequence is the epoch.
    Ok(head.lease.is_some_and(|lease| lease.envelope.body.epoch.unwrap_or(Epoch(lease.sequence.0)) == command.epoch))
}
