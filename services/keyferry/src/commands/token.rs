//! Making tokens: straight in NATS, because the first one cannot come from the API.

use broker::Broker;
use clap::{Subcommand, ValueEnum};
use proto_msgs::{
    CorrelationId,
    api::{ApiRole, ApiToken},
    worker::Role,
};
use rand::Rng;
use runtime::Origin;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::nats::NatsArgs;
use crate::{failure::Failure, invocation::Invocation};

/// As long as a config's.
const NAME_MAX: usize = 80;

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Prints a new token, the only time it is shown. It takes the place of all others of that name.
    Create {
        /// Who it is for; shown wherever it was used.
        #[arg(long)]
        name: String,
        /// What it allows.
        #[arg(long, value_enum)]
        role: TokenRole,
        #[command(flatten)]
        place: NatsArgs,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// Reads.
    Viewer,
    /// Reads, and changes and runs replications.
    Operator,
    /// Everything.
    Admin,
}

impl Token {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let Self::Create { name, role, place } = self;
        check(&name)?;
        let broker = Broker::connect(&place.load()?.nats).await?;
        let role = match role {
            TokenRole::Viewer => ApiRole::Viewer,
            TokenRole::Operator => ApiRole::Operator,
            TokenRole::Admin => ApiRole::Admin,
        };
        let token = create(&broker, &name, role, invocation.correlation).await?;
        invocation.answer(&json!({ "name": name, "role": role, "token": token }), || token.clone())
    }
}

/// Refuses names that are hard to read in a log.
fn check(name: &str) -> Result<(), Failure> {
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Failure::input(
        format!("`{name}` is no name for a token"),
        format!("give --name 1 to {NAME_MAX} characters without blanks"),
    ))
}

/// Makes a token in place of all others of that name.
pub async fn create(broker: &Broker, name: &str, role: ApiRole, correlation: CorrelationId) -> Result<String, Failure> {
    let origin = Origin::system(Role::Gateway);
    broker.tokens().revoke_named(name, correlation).await?;
    let token = format!("kf_{}", hex::encode(rand::rng().random::<[u8; 32]>()));
    let kept = ApiToken {
        name: name.to_owned(),
        role,
        sha256: hex::encode(Sha256::digest(token.as_bytes())),
        created: origin.now(),
    };
    broker.tokens().put(&origin.envelope(correlation, kept)).await?;
    Ok(token)
}
