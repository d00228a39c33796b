//! Records: listed as the coordinator knows them, shown as the log has them.

use actix_web::{HttpRequest, HttpResponse, web};
use futures::{StreamExt, TryStreamExt, stream};
use proto_msgs::{
    ItemName, ItemType, RecordId, RecordKey, RequestCode, Status,
    api::{ApiRole, ConfigCommand, ConfigQuery, ConfigReply, Page, RecordFilter, RecordView},
};
use serde::Deserialize;

use super::{Answer, Parts, configs::accepted, find};
use crate::{
    asking,
    caller::{Bare, Caller, query},
    failure::Failure,
    paging::{Of, Paging, encode, of_config},
    views,
};

/// Reads of the log under way at once for one page.
const READ_AT_ONCE: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
}

fn word<T: std::str::FromStr<Err: std::fmt::Display>>(text: Option<&String>, what: &str) -> Result<Option<T>, Failure> {
    text.map(|text| {
        text.parse().map_err(|error| Failure::invalid(format!("{what}: {error}"), "/openapi.json lists the words"))
    })
    .transpose()
}

pub async fn list(parts: Parts, caller: Caller, config: web::Path<String>, request: HttpRequest) -> Answer {
    let asked: Query = query(&request)?;
    let filter = RecordFilter {
        status: word::<Status>(asked.status.as_ref(), "status")?,
        kind: word::<ItemType>(asked.kind.as_ref(), "type")?,
        name: asked.name,
    };
    let paging = Paging { limit: asked.limit, cursor: asked.cursor };
    let limit = paging.limit()?;
    let config = find(&parts, &config).await?.envelope.body;
    let after = paging.after_in::<_, RecordKey>(&of_config("records", config.id))?;
    let question = ConfigQuery::Records { filter, after, limit };
    let (keys, next, total, hash) = match asking::records(&parts, &caller, &config, question).await? {
        ConfigReply::Records { keys, next, total, hash } => (keys, next, total, hash),
        ConfigReply::Refused { refusal } => return Err(refusal.into()),
        ConfigReply::Summary { .. } | ConfigReply::Plan { .. } => return Err(asking::stranger()),
    };
    let (log, config) = (&parts.broker.log(), &config);
    let views: Vec<RecordView> = stream::iter(keys)
        .map(|key| {
            let id = RecordId { config: config.id, kind: key.kind, name: key.name };
            async move { log.record(&id).await }
        })
        .buffered(READ_AT_ONCE)
        // A record that left since the coordinator answered is left out.
        .try_filter_map(|entry| async move { Ok(entry.map(|entry| views::record(entry, config))) })
        .try_collect()
        .await?;
    let next = next.map(|after| encode(&Of { of: of_config("records", config.id), after }));
    Ok(HttpResponse::Ok().json(Page { items: views, next, total: Some(total), hash }))
}

pub type Path = web::Path<(String, String, String)>;

pub fn key(kind: &str, name: &str) -> Result<RecordKey, Failure> {
    let kind: ItemType = kind
        .parse()
        .map_err(|error| Failure::invalid(format!("type: {error}"), "use secrets, certificates or keys"))?;
    let name: ItemName = name.parse().map_err(|error| {
        Failure::invalid(format!("name: {error}"), "a name has 1 to 127 letters, digits and hyphens")
    })?;
    Ok(RecordKey { kind, name })
}

pub async fn get(parts: Parts, _: Bare, path: Path) -> Answer {
    let (config, kind, name) = path.into_inner();
    let key = key(&kind, &name)?;
    let config = find(&parts, &config).await?.envelope.body;
    let id = RecordId { config: config.id, kind: key.kind, name: key.name };
    let log = parts.broker.log();
    let entry = log.record(&id).await?.ok_or_else(|| missing(&id))?;
    let mut history = log.record_history(&id).await?;
    // By place, not by time: workers' clocks differ. The history may be behind the head, or already ahead of it.
    if let Some(head) = history.iter().position(|past| past.envelope.id == entry.envelope.id) {
        history.truncate(head);
    }
    let mut view = views::record(entry, &config);
    view.history = history.into_iter().rev().map(|past| views::record(past, &config)).collect();
    Ok(HttpResponse::Ok().json(view))
}

fn missing(id: &RecordId) -> Failure {
    let detail = format!("there is no record of {} {}", id.kind, id.name);
    Failure::new(RequestCode::NotFound, detail, "`keyferry records list CONFIG` shows which there are")
}

pub async fn sync(parts: Parts, Bare(caller): Bare, path: Path) -> Answer {
    caller.needs(ApiRole::Operator)?;
    let (config, kind, name) = path.into_inner();
    let key = key(&kind, &name)?;
    let config = find(&parts, &config).await?.envelope.body;
    let command = ConfigCommand::SyncRecord { actor: caller.name.clone(), key };
    Ok(accepted(&asking::command(&parts, &caller, &config, command).await?))
}
