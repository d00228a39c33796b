//! What people decide about records: leave for what they saw, switched off and on, held deletes released.
//!
//! Each says what was seen (a record's sequence, or the hash of a listing), and is answered once it is in the log.

use actix_web::{HttpResponse, web};
use proto_msgs::api::{ApiRole, ConfigCommand, LeaveAllBody, LeaveBody, ReleaseBody, SetBody};

use super::{
    Answer, Parts, find,
    records::{Path, key},
};
use crate::{
    asking,
    caller::{Bare, Caller, Saying},
};

pub async fn leave(parts: Parts, saying: Saying, path: Path) -> Answer {
    let (caller, leave) = saying.with::<LeaveBody>(ApiRole::Operator)?;
    let (config, kind, name) = path.into_inner();
    let command = ConfigCommand::Leave { actor: caller.name.clone(), key: key(&kind, &name)?, leave };
    decide(&parts, &caller, &config, command).await
}

pub async fn leave_all(parts: Parts, saying: Saying, config: web::Path<String>) -> Answer {
    let (caller, leave) = saying.with::<LeaveAllBody>(ApiRole::Operator)?;
    decide(&parts, &caller, &config, ConfigCommand::LeaveAll { actor: caller.name.clone(), leave }).await
}

pub async fn enable(parts: Parts, Bare(caller): Bare, path: Path) -> Answer {
    set_enabled(&parts, &caller, path, true).await
}

pub async fn disable(parts: Parts, Bare(caller): Bare, path: Path) -> Answer {
    set_enabled(&parts, &caller, path, false).await
}

async fn set_enabled(parts: &Parts, caller: &Caller, path: Path, enabled: bool) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let (config, kind, name) = path.into_inner();
    let command = ConfigCommand::SetEnabled { actor: caller.name.clone(), key: key(&kind, &name)?, enabled };
    decide(parts, caller, &config, command).await
}

pub async fn enable_all(parts: Parts, saying: Saying, config: web::Path<String>) -> Answer {
    set_all_enabled(&parts, saying, &config, true).await
}

pub async fn disable_all(parts: Parts, saying: Saying, config: web::Path<String>) -> Answer {
    set_all_enabled(&parts, saying, &config, false).await
}

async fn set_all_enabled(parts: &Parts, saying: Saying, config: &str, enabled: bool) -> Answer {
    let (caller, set) = saying.with::<SetBody>(ApiRole::Operator)?;
    let command = ConfigCommand::SetEnabledAll { actor: caller.name.clone(), enabled, set };
    decide(parts, &caller, config, command).await
}

pub async fn release_deletes(parts: Parts, saying: Saying, config: web::Path<String>) -> Answer {
    let (caller, ReleaseBody { hash }) = saying.with(ApiRole::Operator)?;
    decide(&parts, &caller, &config, ConfigCommand::ReleaseDeletes { actor: caller.name.clone(), hash }).await
}

async fn decide(parts: &Parts, caller: &Caller, config: &str, command: ConfigCommand) -> Answer {
    let config = find(parts, config).await?.envelope.body;
    Ok(HttpResponse::Ok().json(asking::decision(parts, caller, &config, command).await?))
}
