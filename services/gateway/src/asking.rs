//! Questions to coordinators and workers, each with a deadline.

use std::time::Duration;

use broker::{BusError, ask};
use proto_msgs::{
    Config, ConfigSpec, Message, RequestCode, VaultRef,
    api::{Accepted, CommandReply, ConfigCommand, ConfigQuery, ConfigReply, ConfigSummary, Done},
    subject::AnyWorker,
    vault::{Side, VaultIdentity},
    worker::{ResolveAnswer, ResolveFailure, ResolveVault},
};

use crate::{GatewayParts, caller::Caller, failure::Failure};

/// Longest a coordinator may take.
const COORDINATOR: Duration = Duration::from_secs(5);
/// Longest it may take to write a decision about all records of a config down, or to list both vaults for a plan. Less
/// than clients wait.
const THOROUGH: Duration = Duration::from_secs(40);
/// Longest a worker may take to look a vault up: a few calls to Azure.
const WORKER: Duration = Duration::from_secs(20);
/// In a listing, a summary that is late is left out.
pub const IN_LISTING: Duration = Duration::from_secs(2);

/// What a config's coordinator knows; none: nobody answered in time.
pub async fn summary(parts: &GatewayParts, caller: &Caller, config: &Config, limit: Duration) -> Option<ConfigSummary> {
    match query(parts, caller, config, ConfigQuery::Summary, limit).await {
        Ok(ConfigReply::Summary { summary }) => Some(*summary),
        Ok(ConfigReply::Records { .. } | ConfigReply::Plan { .. } | ConfigReply::Refused { .. }) | Err(_) => None,
    }
}

/// Asks a config's coordinator for what it knows already.
pub async fn records(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    query: ConfigQuery,
) -> Result<ConfigReply, Failure> {
    self::query(parts, caller, config, query, COORDINATOR).await
}

/// Asks a config's coordinator for what it has to find out first.
pub async fn plan(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    query: ConfigQuery,
) -> Result<ConfigReply, Failure> {
    self::query(parts, caller, config, query, THOROUGH).await
}

async fn query(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    query: ConfigQuery,
    limit: Duration,
) -> Result<ConfigReply, Failure> {
    let subject = parts.broker.subjects.config_query(&config.id);
    answer(parts, caller, &subject, query, limit, "coordinator").await
}

/// Tells a config's coordinator to begin something.
pub async fn command(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    command: ConfigCommand,
) -> Result<Accepted, Failure> {
    match tell(parts, caller, config, command, COORDINATOR).await? {
        CommandReply::Accepted { run, correlation_id } => Ok(Accepted { run, correlation_id }),
        CommandReply::Done { .. } => Err(stranger()),
        CommandReply::Refused { refusal } => Err(refusal.into()),
    }
}

/// Tells a config's coordinator what somebody decided, and waits until that is in the log.
pub async fn decision(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    command: ConfigCommand,
) -> Result<Done, Failure> {
    match tell(parts, caller, config, command, THOROUGH).await? {
        CommandReply::Done { records, passed_over, correlation_id } => {
            Ok(Done { records, passed_over, correlation_id })
        }
        CommandReply::Accepted { .. } => Err(stranger()),
        CommandReply::Refused { refusal } => Err(refusal.into()),
    }
}

async fn tell(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    command: ConfigCommand,
    limit: Duration,
) -> Result<CommandReply, Failure> {
    let subject = parts.broker.subjects.config_command(&config.id);
    answer(parts, caller, &subject, command, limit, "coordinator").await
}

/// What `who` answers on a subject.
async fn answer<Q: Message, A: Message>(
    parts: &GatewayParts,
    caller: &Caller,
    subject: &str,
    question: Q,
    limit: Duration,
    who: &str,
) -> Result<A, Failure> {
    let question = parts.origin.envelope(caller.correlation, question);
    let reply = ask(parts.broker.bus.as_ref(), subject, &question, limit).await;
    Ok(reply.map_err(|error| nobody(error, who))?.body)
}

/// A coordinator that answers another question than it was asked.
pub fn stranger() -> Failure {
    Failure::new(RequestCode::Internal, "the coordinator answered something else", "run one version everywhere")
}

/// Looks a vault up.
async fn resolve(
    parts: &GatewayParts,
    caller: &Caller,
    side: Side,
    reference: &VaultRef,
) -> Result<VaultIdentity, Failure> {
    let subject = parts.broker.subjects.any_worker(AnyWorker::Resolve);
    let question = ResolveVault { side, reference: reference.clone() };
    let answer: ResolveAnswer = answer(parts, caller, &subject, question, WORKER, "worker").await?;
    answer.map_err(|failure| unresolved(side, failure))
}

/// Looks up the source and the target of a spec.
pub async fn resolve_pair(
    parts: &GatewayParts,
    caller: &Caller,
    spec: &ConfigSpec,
) -> Result<(VaultIdentity, VaultIdentity), Failure> {
    futures::future::try_join(
        resolve(parts, caller, Side::Source, &spec.source),
        resolve(parts, caller, Side::Target, &spec.target),
    )
    .await
}

fn unresolved(side: Side, failure: ResolveFailure) -> Failure {
    let side = side.as_str();
    match failure {
        ResolveFailure::NotFound { message } => Failure::new(
            RequestCode::NotValidated,
            format!("{side}: {message}"),
            format!("name a vault the {side} identity can see, or give uri, subscription and region by hand"),
        ),
        ResolveFailure::Ambiguous { candidates } => Failure::new(
            RequestCode::NotValidated,
            format!("{side}: several vaults have this name: {}", candidates.join(", ")),
            "give uri, subscription and region by hand",
        ),
        ResolveFailure::Call { failure } => Failure::new(
            RequestCode::NotValidated,
            format!("{side}: Azure refused to say ({}): {}", failure.code, failure.detail.message),
            format!("`keyferry explain {}` says what to do", failure.code),
        ),
    }
}

fn nobody(error: BusError, who: &str) -> Failure {
    match error {
        BusError::NoResponders { .. } | BusError::Deadline { .. } => Failure::new(
            RequestCode::Unavailable,
            format!("no {who} answers"),
            format!("check that a {who} runs; one that has just started needs some seconds"),
        ),
        error @ (BusError::Disconnected | BusError::Envelope(_) | BusError::Other(_)) => error.into(),
    }
}
