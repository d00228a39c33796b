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

pub async fn run(command: Token) -> Result<(), Failure> {
    let Token::Create { name, role, settings, nats } = command;
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

/// Makes a token in place of all others of that name.
pub async fn create(broker: &Broker, name: &str, role: ApiRole) -> Result<String, Failure> {
    if name.is_empty() || name.len() > 80 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::input("a token's name has 1 to 80 characters without blanks", "give another --name"));
    }
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
