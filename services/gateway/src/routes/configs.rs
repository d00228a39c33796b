//! Configs: declared, listed, marked deleted, told to run.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ETAG, LOCATION},
    },
    web,
};
use broker::LogError;
use futures::{StreamExt, stream};
use proto_msgs::{
    Config, ConfigSpec, Envelope, RequestCode, Revision,
    api::{Accepted, ApiRole, ConfigCommand, ConfigView, NameReservation, Page},
};

use super::{Answer, Parts, find};
use crate::{
    GatewayParts,
    asking::{self, IN_LISTING},
    caller::{self, Bare, Body, Caller, Nothing, query},
    failure::Failure,
    if_match::IfMatch,
    paging::{Paging, cut},
    views,
};

/// Coordinators asked at once for one page.
const ASKED_AT_ONCE: usize = 16;
/// How often a save is tried where others save at the same moment: each time, one of them is through.
const SAVE_TRIES: u32 = 32;
/// What each try waits longer than the one before it; together, some four seconds.
const SAVE_AGAIN_AFTER: Duration = Duration::from_millis(10);

pub async fn list(parts: Parts, caller: Caller, request: HttpRequest) -> Answer {
    let paging: Paging = query(&request)?;
    let all = parts.broker.configs().list().await?;
    let live: Vec<_> = all.into_iter().filter(|entry| !entry.envelope.body.deleted).collect();
    let page = cut(live, &paging, |entry| (entry.envelope.body.spec.name.clone(), entry.envelope.body.id.to_string()))?;
    let (parts, caller) = (&parts, &caller);
    let views: Vec<ConfigView> = stream::iter(page.items)
        .map(|entry| async move {
            let summary = asking::summary(parts, caller, &entry.envelope.body, IN_LISTING).await;
            views::config(entry, summary)
        })
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    Ok(HttpResponse::Ok().json(Page { items: views, next: page.next, total: page.total, hash: None }))
}

pub async fn get(parts: Parts, Bare(caller): Bare, config: web::Path<String>) -> Answer {
    let entry = find(&parts, &config).await?;
    let summary = asking::summary(&parts, &caller, &entry.envelope.body, IN_LISTING).await;
    Ok(answer(StatusCode::OK, &views::config(entry, summary)))
}

pub fn answer(status: StatusCode, view: &ConfigView) -> HttpResponse {
    HttpResponse::build(status).insert_header((ETAG, format!("\"{}\"", view.revision))).json(view)
}

pub async fn create(parts: Parts, caller: Caller, request: HttpRequest, Body(body): Body) -> Answer {
    caller.needs(ApiRole::Operator)?;
    query::<Nothing>(&request)?;
    let spec = spec_of(&body)?;
    let (source, target) = asking::resolve_pair(&parts, &caller, &spec).await?;
    domain::check::check_pair(&spec, &source, &target)?;
    let change = caller.change(&parts, "create", None)?;
    let (id, created) = (parts.origin.config_id(), change.at);
    let config = Config { id, spec, source, target, created, deleted: false, change };
    let revision = store(&parts, &caller, &config).await?;
    let view = ConfigView { config, revision, summary: None };
    let mut response = answer(StatusCode::CREATED, &view);
    if let Ok(place) = format!("/api/v1/configs/{id}").parse() {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// A spec as a body, without anything that is wrong in itself.
pub fn spec_of(body: &[u8]) -> Result<ConfigSpec, Failure> {
    let spec: ConfigSpec = caller::read(body).map_err(|error| {
        Failure::invalid(format!("the config cannot be read: {error}"), "README.md shows a whole config with every key")
    })?;
    let problems = domain::check::check_spec(&spec);
    if problems.is_empty() {
        return Ok(spec);
    }
    Err(Failure::invalid(problems.join("; "), "correct what is named, and send it again"))
}

/// Why a config was not saved.
pub enum NotSaved {
    /// It is not in the store, and will not be.
    Certainly(Failure),
    /// It may be.
    Perhaps(Failure),
}

impl From<LogError> for NotSaved {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(_) | LogError::Encode(_) | LogError::Corrupt { .. } => Self::Certainly(error.into()),
            LogError::Conflict | LogError::Unknown => Self::Perhaps(error.into()),
        }
    }
}

impl From<NotSaved> for Failure {
    fn from(not_saved: NotSaved) -> Self {
        match not_saved {
            NotSaved::Certainly(failure) | NotSaved::Perhaps(failure) => failure,
        }
    }
}

/// Writes a config, unless items would go round in a circle with it. Of two that close one at the same moment, one is
/// refused.
pub async fn save(
    parts: &GatewayParts,
    caller: &Caller,
    config: &Config,
    expected: Revision,
) -> Result<Revision, NotSaved> {
    let configs = parts.broker.configs();
    let envelope = parts.origin.envelope(caller.correlation, config.clone());
    for tries in 1..=SAVE_TRIES {
        let (all, end) = configs.survey().await?;
        check_circle(config, all.iter().map(|entry| &entry.envelope.body)).map_err(NotSaved::Certainly)?;
        if let Some(revision) = configs.put_at(&envelope, expected, end).await? {
            return Ok(revision);
        }
        tokio::time::sleep(pause(&envelope, tries)).await;
    }
    let fix = "others save configs at the same moment: try again";
    Err(NotSaved::Certainly(Failure::new(RequestCode::Unavailable, "the config could not be saved", fix)))
}

/// Longer with each try, and not the same for two that began together.
fn pause(envelope: &Envelope<Config>, tries: u32) -> Duration {
    let apart = envelope.id.to_string().bytes().map(u32::from).sum::<u32>() % 16;
    SAVE_AGAIN_AFTER * tries * (16 + apart) / 32
}

/// Refuses a config with which items would go round in a circle.
fn check_circle<'a>(config: &Config, all: impl Iterator<Item = &'a Config>) -> Result<(), Failure> {
    let Some(circle) = domain::chain::closes_cycle(config, all) else {
        return Ok(());
    };
    let names: Vec<_> = circle.configs.iter().map(|name| format!("`{name}`")).collect();
    let detail = format!("{} would go round in a circle: {}", circle.kind, names.join(", then "));
    let fix = format!("take {} out of one of these configs, or choose another vault", circle.kind);
    Err(Failure::new(RequestCode::NotValidated, detail, fix))
}

/// Why a name could not be reserved.
pub fn taken(error: LogError, name: &str) -> Failure {
    match error {
        LogError::Conflict => {
            let detail = format!("another config is named `{name}`");
            Failure::new(RequestCode::AlreadyExists, detail, "choose another name")
        }
        error @ (LogError::Unknown | LogError::Unavailable(_) | LogError::Corrupt { .. } | LogError::Encode(_)) => {
            error.into()
        }
    }
}

/// Writes a new config, after its name is taken.
async fn store(parts: &GatewayParts, caller: &Caller, config: &Config) -> Result<Revision, Failure> {
    let configs = parts.broker.configs();
    let name = &config.spec.name;
    let reservation = parts.origin.envelope(caller.correlation, NameReservation { config: config.id });
    configs.reserve_name(name, &reservation).await.map_err(|error| taken(error, name))?;
    let saved = save(parts, caller, config, Revision(0)).await;
    // What may be stored keeps its name until that is known.
    if let Err(NotSaved::Certainly(_)) = &saved
        && let Err(error) = configs.release_name(name, &reservation).await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, name, "the name is free again only in a minute");
    }
    Ok(saved?)
}

pub async fn delete(parts: Parts, Bare(caller): Bare, config: web::Path<String>, request: HttpRequest) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let seen = IfMatch::of(&request)?;
    let entry = find(&parts, &config).await?;
    let revision = Revision(entry.sequence.0);
    seen.check(revision)?;
    let mut config = entry.envelope.body;
    config.deleted = true;
    config.change = caller.change(&parts, "delete", None)?;
    parts.broker.configs().put(&parts.origin.envelope(caller.correlation, config), revision).await?;
    Ok(accepted(&Accepted { run: None, correlation_id: caller.correlation }))
}

pub async fn sync(parts: Parts, Bare(caller): Bare, config: web::Path<String>) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let entry = find(&parts, &config).await?;
    let command = ConfigCommand::Sync { actor: caller.name.clone() };
    Ok(accepted(&asking::command(&parts, &caller, &entry.envelope.body, command).await?))
}

pub async fn expand(parts: Parts, Bare(caller): Bare, config: web::Path<String>) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let entry = find(&parts, &config).await?;
    let command = ConfigCommand::Expand { actor: caller.name.clone() };
    Ok(accepted(&asking::command(&parts, &caller, &entry.envelope.body, command).await?))
}

/// 202: the work goes on.
pub fn accepted(body: &Accepted) -> HttpResponse {
    HttpResponse::Accepted().json(body)
}
