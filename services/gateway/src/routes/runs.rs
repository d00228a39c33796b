//! Runs of a config.

use std::cmp::Reverse;

use actix_web::{HttpRequest, HttpResponse, web};
use proto_msgs::{RequestCode, Run, RunId, api::Page};

use super::{Answer, Parts, find};
use crate::{
    caller::{Bare, Caller, query},
    failure::Failure,
    paging::{Paging, cut},
};

/// Newest first. A page ends at the newest message of its last run, and all further runs have older ones: so the cursor
/// holds even where that run has left the log.
pub async fn list(parts: Parts, _: Caller, config: web::Path<String>, request: HttpRequest) -> Answer {
    let paging: Paging = query(&request)?;
    let config = find(&parts, &config).await?.envelope.body;
    let page = cut(parts.broker.log().runs(&config.id).await?, &paging, |entry| Reverse(entry.sequence.0))?;
    let items: Vec<_> = page.items.into_iter().map(|entry| entry.envelope.body).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: page.next, total: page.total, hash: None }))
}

pub async fn get(parts: Parts, _: Bare, path: web::Path<(String, String)>) -> Answer {
    let (config, run) = path.into_inner();
    let id: RunId = run
        .parse()
        .map_err(|error| Failure::invalid(format!("run: {error}"), "pass the id that a list of runs shows"))?;
    let config = find(&parts, &config).await?.envelope.body;
    let runs = parts.broker.log().runs(&config.id).await?;
    let mut runs: Vec<_> = runs.into_iter().map(|entry| entry.envelope.body).collect();
    match runs.iter().position(|run| run.id == id) {
        Some(found) => Ok(HttpResponse::Ok().json(runs.swap_remove(found))),
        None => Err(missing(id, &runs)),
    }
}

fn missing(id: RunId, runs: &[Run]) -> Failure {
    let before = runs.iter().find(|run| run.next.as_ref().is_some_and(|next| next.id == id));
    let (detail, fix) = match before {
        Some(before) => {
            (format!("run {id} has not begun: it waits behind run {}", before.id), "ask again when that one has ended")
        }
        None => (format!("there is no run {id} of this config"), "list the runs; old ones have left the log"),
    };
    Failure::new(RequestCode::NotFound, detail, fix)
}
