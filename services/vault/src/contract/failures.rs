//! Calls that fail on the way, and what may be believed of them.

use std::time::Duration;

use domain::timing::CALL_MAY_TAKE;
use proto_msgs::{
    ErrorCode,
    vault::{Side, VaultIdentity},
};
use tokio::time::Instant;

use super::{Claim, Failure, Stage, correlation, holds, identity, name, open_gate, pair, plain, refused, stage};
use crate::{Operation, SecretValue, Vault, VaultError, VaultErrorKind};

/// What a test machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(10);

async fn write(vault: &dyn Vault) -> Result<VaultError, super::Broken> {
    let value = SecretValue::from_text("x".to_owned());
    refused("write", vault.write_secret(&name("new"), &value, &plain(), &open_gate(), correlation()).await)
}

async fn read(vault: &dyn Vault) -> Result<VaultError, super::Broken> {
    refused("read", vault.read_secret(&name("db"), None, correlation()).await)
}

async fn was_written(vault: &dyn Vault) -> Result<bool, super::Broken> {
    match vault.read_secret(&name("new"), None, correlation()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub async fn a_throttled_call_says_how_long_to_wait(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for wait in [Some(Duration::from_secs(3)), None] {
        stage.fail(stage::FROM, Operation::ReadSecret, Failure::Throttled(wait)).await?;
        let error = read(vault.as_ref()).await?;
        holds!(error.kind == VaultErrorKind::Throttled && error.retry_after == wait, "{error:?}");
        holds!(error.code() == ErrorCode::Throttled && error.left_no_trace(), "{error:?}");
        let failure = error.failure();
        holds!(failure.retry_after_ms == wait.map(|_| 3_000), "{failure:?}");
    }
    Ok(())
}

pub async fn a_throttled_write_has_not_written(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    stage.fail(stage::INTO, Operation::WriteSecret, Failure::Throttled(None)).await?;
    let error = write(vault.as_ref()).await?;
    holds!(error.kind == VaultErrorKind::Throttled && error.left_no_trace(), "{error:?}");
    holds!(!was_written(vault.as_ref()).await?, "it was written");
    Ok(())
}

pub async fn an_outage_leaves_no_trace_of_a_read_and_may_of_a_write(stage: &dyn Stage) -> Claim {
    let pair = pair(stage).await?;
    stage.fail(stage::FROM, Operation::ReadSecret, Failure::Unavailable).await?;
    let error = read(pair.from.as_ref()).await?;
    holds!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{error:?}");
    holds!(error.code() == ErrorCode::TransientNetwork, "{error:?}");
    stage.fail(stage::INTO, Operation::WriteSecret, Failure::Unavailable).await?;
    let error = write(pair.into.as_ref()).await?;
    holds!(error.kind == VaultErrorKind::Transient && error.may_have_written, "{error:?}");
    holds!(!was_written(pair.into.as_ref()).await?, "it was written");
    Ok(())
}

pub async fn a_vault_that_cannot_be_reached_leaves_no_trace(stage: &dyn Stage) -> Claim {
    // Nobody listens on that port.
    let nowhere = "https://nowhere-kv.vault.localhost:9".to_owned();
    let nowhere = VaultIdentity { uri: nowhere, ..identity(stage, stage::INTO).await? };
    let vault = stage.vaults().open(Side::Target, &nowhere).await?;
    for error in [read(vault.as_ref()).await?, write(vault.as_ref()).await?] {
        holds!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{error:?}");
        holds!(error.code() == ErrorCode::TransientNetwork && error.azure_request_id.is_none(), "{error:?}");
    }
    Ok(())
}

pub async fn a_lost_answer_may_have_written_and_has(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    stage.fail(stage::INTO, Operation::WriteSecret, Failure::Lost).await?;
    let error = write(vault.as_ref()).await?;
    holds!(error.kind == VaultErrorKind::Transient && error.may_have_written, "{error:?}");
    holds!(was_written(vault.as_ref()).await?, "it was not written");
    Ok(())
}

pub async fn a_hanging_read_ends_at_the_deadline(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    stage.fail(stage::FROM, Operation::ReadSecret, Failure::Hangs).await?;
    let started = Instant::now();
    let error = read(vault.as_ref()).await?;
    let took = started.elapsed();
    holds!(took <= CALL_MAY_TAKE + SLACK, "it took {took:?}");
    holds!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{error:?}");
    Ok(())
}

pub async fn a_hanging_write_ends_at_the_deadline(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    stage.fail(stage::INTO, Operation::WriteSecret, Failure::Hangs).await?;
    let started = Instant::now();
    let error = write(vault.as_ref()).await?;
    let took = started.elapsed();
    holds!(took <= CALL_MAY_TAKE + SLACK, "it took {took:?}");
    holds!(error.kind == VaultErrorKind::Transient && error.may_have_written, "{error:?}");
    holds!(!was_written(vault.as_ref()).await?, "it was written");
    Ok(())
}

pub async fn a_policy_refuses_in_its_own_name(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.into;
    stage.fail(stage::INTO, Operation::WriteSecret, Failure::PolicyDenied).await?;
    let error = write(vault.as_ref()).await?;
    holds!(error.kind == VaultErrorKind::PolicyDenied && error.left_no_trace(), "{error:?}");
    holds!(error.code() == ErrorCode::TargetPolicyDenied, "{error:?}");
    holds!(!was_written(vault.as_ref()).await?, "it was written");
    Ok(())
}

pub async fn an_identity_that_is_refused_is_told_by_side(stage: &dyn Stage) -> Claim {
    stage.fail(stage::FROM, Operation::ReadSecret, Failure::Unauthenticated).await?;
    for (side, code) in [(Side::Source, ErrorCode::SourceAuthFailed), (Side::Target, ErrorCode::TargetAuthFailed)] {
        let vault = stage.vaults().open(side, &identity(stage, stage::FROM).await?).await?;
        let error = read(vault.as_ref()).await?;
        holds!(error.kind == VaultErrorKind::Unauthenticated && error.code() == code, "{error:?}");
        holds!(error.left_no_trace(), "{error:?}");
    }
    Ok(())
}
