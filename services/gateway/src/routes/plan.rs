//! What the next run of a config would do. Nothing is carried out.

use actix_web::{HttpRequest, HttpResponse, web};
use proto_msgs::{
    RecordKey,
    api::{ConfigQuery, ConfigReply},
    plan::{PlanPage, PlanView},
};

use super::{Answer, Parts, find};
use crate::{
    asking,
    caller::{Caller, query},
    paging::{Paging, encode},
};

pub async fn get(parts: Parts, caller: Caller, config: web::Path<String>, request: HttpRequest) -> Answer {
    let paging: Paging = query(&request)?;
    let (limit, after) = (paging.limit()?, paging.after::<RecordKey>()?);
    let config = find(&parts, &config).await?.envelope.body;
    match asking::plan(&parts, &caller, &config, ConfigQuery::Plan { after, limit }).await? {
        ConfigReply::Plan { plan } => Ok(HttpResponse::Ok().json(page(*plan))),
        ConfigReply::Refused { refusal } => Err(refusal.into()),
        ConfigReply::Summary { .. } | ConfigReply::Records { .. } => Err(asking::stranger()),
    }
}

fn page(plan: PlanView) -> PlanPage {
    let PlanView { items, next, counts, not_found, complete, hash } = plan;
    PlanPage { items, next: next.map(|next| encode(&next)), counts, not_found, complete, hash }
}
