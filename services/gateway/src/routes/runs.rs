//! Runs of a config, newest first.

use actix_web::{HttpRequest, HttpResponse, web};
use proto_msgs::{RunId, api::Page};

use super::{Answer, Parts, find, query};
use crate::{
    caller::Caller,
    paging::{Paging, encode},
};

pub async fn list(parts: Parts, _: Caller, config: web::Path<String>, request: HttpRequest) -> Answer {
    let paging: Paging = query(&request)?;
    let (limit, after) = (paging.limit()? as usize, paging.after::<RunId>()?);
    let config = find(&parts, &config).await?.envelope.body;
    let runs = parts.broker.log().runs(&config.id).await?;
    let total = runs.len() as u64;
    let runs = runs.into_iter().map(|entry| entry.envelope.body);
    // A cursor whose run has gone from the log begins again at the newest.
    let mut runs: Vec<_> = match after {
        Some(after) => {
            let all: Vec<_> = runs.collect();
            let start = all.iter().position(|run| run.id == after).map_or(0, |place| place + 1);
            all.into_iter().skip(start).collect()
        }
        None => runs.collect(),
    };
    let has_more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| has_more).map(|run| encode(&run.id));
    Ok(HttpResponse::Ok().json(Page { items: runs, next, total: Some(total) }))
}
