//! Making tokens: straight in NATS, because the first one cannot come from the API.

use broker::Broker;
use proto_msgs::{
    api::{ApiRole, ApiToken},
    worker::Role,
};
use rand::Rng;
use runtime::Origin;
use sha2::{Digest, Sha256};

use crate::{
    cli::{Token, TokenRole},
    failure::Failure,
    settings::Settings,
};

/// As long as a config's.
const NAME_MAX: usize = 80;

pub async fn run(command: Token) -> Result<(), Failure> {
    let Token::Create { name, role, settings, nats } = command;
    check(&name)?;
    let settings = Settings::load(settings.as_deref(), nats.as_deref())?;
    let broker = Broker::connect(&settings.nats).await?;
    let role = match role {
        TokenRole::Viewer => ApiRole::Viewer,
        TokenRole::Operator => ApiRole::Operator,
        TokenRole::Admin => ApiRole::Admin,
    };
    println!("{}", create(&broker, &name, role).await?);
    Ok(())
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
pub async fn create(broker: &Broker, name: &str, role: ApiRole) -> Result<String, Failure> {
    let origin = Origin::system(Role::Gateway);
    let correlation = origin.correlation_id();
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
