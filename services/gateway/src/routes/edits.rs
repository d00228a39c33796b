//! Edits of a config: its spec as a whole, paused, and going on.
//!
//! Plain writes to the store, so they work with no coordinator up; only an edit that takes further types of items along
//! needs a worker, which looks the vaults up again. Which vaults those are is fixed: another pair is another config.

use actix_web::{HttpRequest, http::StatusCode, web};
use broker::LogError;
use proto_msgs::{
    Config, ConfigSpec, RequestCode, Revision, VaultRef,
    api::{ApiRole, ConfigView, NameReservation, ReasonBody},
    vault::{Side, uri_key},
};
use serde::Deserialize;

use super::{
    Answer, Parts,
    configs::{answer, save, spec_of, taken},
    find,
};
use crate::{
    asking,
    caller::{Body, Caller, Saying, query},
    failure::Failure,
    if_match::IfMatch,
    views,
};

/// How often a change that does not depend on what was there is tried where others change it too.
pub const TRIES: u32 = 5;

/// What a spec says of pausing: nothing, if it is left out.
#[derive(Deserialize)]
struct Pausing {
    paused: Option<bool>,
}

pub async fn replace(
    parts: Parts,
    caller: Caller,
    config: web::Path<String>,
    request: HttpRequest,
    Body(body): Body,
) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let ReasonBody { reason } = query(&request)?;
    let seen = IfMatch::required(&request)?;
    let mut spec = spec_of(&body)?;
    let entry = find(&parts, &config).await?;
    let revision = Revision(entry.sequence.0);
    seen.check(revision)?;
    let before = &entry.envelope.body;
    check_fixed(&before.spec, &spec)?;
    keep(&before.spec, &mut spec, &body);
    if spec == before.spec {
        return Ok(answer(StatusCode::OK, &views::config(entry, None)));
    }
    domain::check::check_pair(&spec, &before.source, &before.target)?;
    if !spec.item_types.is_subset(&before.spec.item_types) {
        check_vaults(&parts, &caller, before, &spec).await?;
    }
    let change = caller.change(&parts, "edit", reason)?;
    let edited = Config { spec, change, ..before.clone() };
    if edited.spec.name != before.spec.name {
        let reservation = parts.origin.envelope(caller.correlation, NameReservation { config: edited.id });
        parts
            .broker
            .configs()
            .reserve_name(&edited.spec.name, &reservation)
            .await
            .map_err(|error| taken(error, &edited.spec.name))?;
    }
    let revision = save(&parts, &caller, &edited, revision).await.map_err(Failure::from)?;
    Ok(answer(StatusCode::OK, &ConfigView { config: edited, revision, summary: None }))
}

pub async fn pause(parts: Parts, saying: Saying, config: web::Path<String>, request: HttpRequest) -> Answer {
    set_paused(&parts, saying, &config, &request, true).await
}

pub async fn resume(parts: Parts, saying: Saying, config: web::Path<String>, request: HttpRequest) -> Answer {
    set_paused(&parts, saying, &config, &request, false).await
}

async fn set_paused(parts: &Parts, saying: Saying, config: &str, request: &HttpRequest, paused: bool) -> Answer {
    let (caller, said) = saying.with::<Option<ReasonBody>>(ApiRole::Operator)?;
    let seen = IfMatch::of(request)?;
    let change = caller.change(parts, if paused { "pause" } else { "resume" }, said.unwrap_or_default().reason)?;
    let mut tries = 0;
    loop {
        let entry = find(parts, config).await?;
        let revision = Revision(entry.sequence.0);
        seen.check(revision)?;
        if entry.envelope.body.spec.paused == paused {
            return Ok(answer(StatusCode::OK, &views::config(entry, None)));
        }
        let mut edited = Config { change: change.clone(), ..entry.envelope.body };
        edited.spec.paused = paused;
        tries += 1;
        match parts.broker.configs().put(&parts.origin.envelope(caller.correlation, edited.clone()), revision).await {
            Ok(revision) => return Ok(answer(StatusCode::OK, &ConfigView { config: edited, revision, summary: None })),
            // Somebody changed something else in between; whether that matters, the client has said.
            Err(LogError::Conflict) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes from the spec before what an edit does not touch: how the vaults are written, and pausing, if it is left out.
/// Else a file that knows nothing of a pause would end it.
fn keep(before: &ConfigSpec, spec: &mut ConfigSpec, body: &[u8]) {
    (spec.source, spec.target) = (before.source.clone(), before.target.clone());
    // The body was read as a spec already.
    if let Ok(Pausing { paused: None }) | Err(_) = serde_json::from_slice(body) {
        spec.paused = before.paused;
    }
}

fn check_fixed(before: &ConfigSpec, spec: &ConfigSpec) -> Result<(), Failure> {
    let refused = |field: &str, before: &str, wanted: &str| {
        Err(Failure::invalid(
            format!("{field} is fixed at creation: it is {before}, and the edit says {wanted}"),
            format!("leave {field} as it is; for another one, create another config"),
        ))
    };
    for (side, before, wanted) in
        [(Side::Source, &before.source, &spec.source), (Side::Target, &before.target, &spec.target)]
    {
        if !is_same(before, wanted) {
            return refused(side.as_str(), &written(before), &written(wanted));
        }
    }
    if before.target_type != spec.target_type {
        return refused("target_type", "another one", "something else");
    }
    Ok(())
}

fn is_same(before: &VaultRef, wanted: &VaultRef) -> bool {
    let same = |a: &str, b: &str| uri_key(a) == uri_key(b);
    match (before, wanted) {
        (VaultRef::Discovered(before), VaultRef::Discovered(wanted)) => same(&before.vault, &wanted.vault),
        (VaultRef::ByHand(before), VaultRef::ByHand(wanted)) => {
            same(&before.uri, &wanted.uri)
                && same(&before.subscription, &wanted.subscription)
                && same(&before.region, &wanted.region)
        }
        (VaultRef::Discovered(_), VaultRef::ByHand(_)) | (VaultRef::ByHand(_), VaultRef::Discovered(_)) => false,
    }
}

fn written(vault: &VaultRef) -> String {
    match vault {
        VaultRef::Discovered(vault) => format!("`{}`", vault.vault),
        VaultRef::ByHand(vault) => format!("`{}` ({}, {})", vault.uri, vault.subscription, vault.region),
    }
}

/// Looks both vaults up again: they must be there, be a pair for the wider spec, and be the ones the config was made for.
async fn check_vaults(parts: &Parts, caller: &Caller, before: &Config, spec: &ConfigSpec) -> Result<(), Failure> {
    let (source, target) = asking::resolve_pair(parts, caller, &before.spec).await?;
    for (side, before, now) in [(Side::Source, &before.source, &source), (Side::Target, &before.target, &target)] {
        if domain::check::is_replaced(before, now) {
            let detail = format!("{}: another vault has the name {} now", side.as_str(), now.name);
            return Err(Failure::new(RequestCode::NotValidated, detail, "make a new config for the new vault"));
        }
    }
    Ok(domain::check::check_pair(spec, &source, &target)?)
}
