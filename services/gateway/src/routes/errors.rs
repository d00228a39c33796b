//! What codes and statuses mean.

use actix_web::{HttpResponse, web};
use proto_msgs::{ErrorCode, RequestCode, api::Explanation, docs};

use super::Answer;
use crate::{caller::Caller, failure::Failure};

pub async fn explain(_: Caller, code: web::Path<String>) -> Answer {
    let page = docs::explain(&code).ok_or_else(|| {
        let fix = "the codes are listed at /docs/errors";
        Failure::new(RequestCode::NotFound, format!("`{code}` is neither a code nor a status"), fix)
    })?;
    let recoverability = code.parse::<ErrorCode>().ok().map(ErrorCode::recoverability);
    Ok(HttpResponse::Ok().json(Explanation { code: page.word.to_owned(), recoverability, page: page.text.to_owned() }))
}

/// All pages; nobody needs a token to read what a code means.
pub async fn pages() -> HttpResponse {
    HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(docs::ALL)
}
