//! What codes and statuses mean.

use actix_web::{HttpResponse, web};
use proto_msgs::{RequestCode, api::Explanation, docs};

use super::Answer;
use crate::{caller::Bare, failure::Failure};

pub async fn explain(_: Bare, code: web::Path<String>) -> Answer {
    let explanation = Explanation::of(&code).ok_or_else(|| {
        let fix = "the codes are listed at /docs/errors";
        Failure::new(RequestCode::NotFound, format!("`{code}` is neither a code nor a status"), fix)
    })?;
    Ok(HttpResponse::Ok().json(explanation))
}

/// All pages; nobody needs a token to read what a code means.
pub async fn pages() -> HttpResponse {
    HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(docs::ALL)
}
