//! What the next run of a config would do. Nothing is carried out.

use actix_web::{HttpRequest, HttpResponse, web};
use proto_msgs::{
    ConfigId, RecordKey,
    api::{ConfigQuery, ConfigReply},
    plan::{PlanPage, PlanView},
};

use super::{Answer, Parts, find};
use crate::{
    asking,
    caller::{Caller, query},
    paging::{Of, Paging, encode, of_config},
};

pub async fn get(parts: Parts, caller: Caller, config: web::Path<String>, request: HttpRequest) -> Answer {
    let paging: Paging = query(&request)?;
    let limit = paging.limit()?;
    let config = find(&parts, &config).await?.envelope.body;
    let after = paging.after_in::<_, RecordKey>(&of_config("plan", config.id))?;
    match asking::plan(&parts, &caller, &config, ConfigQuery::Plan { after, limit }).await? {
        ConfigReply::Plan { plan } => Ok(HttpResponse::Ok().json(page(of_config("plan", config.id), *plan))),
        ConfigReply::Refused { refusal } => Err(refusal.into()),
        ConfigReply::Summary { .. } | ConfigReply::Records { .. } => Err(asking::stranger()),
    }
}

fn page(of: (String, ConfigId), plan: PlanView) -> PlanPage {
    let PlanView { items, next, counts, not_found, complete, hash } = plan;
    PlanView { items, next: next.map(|after| encode(&Of { of, after })), counts, not_found, complete, hash }
}
