//! The emergency stop: one for all configs.
//!
//! Plain writes to the store, so they work with no coordinator up.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ETAG},
};
use broker::{Entry, LogError};
use proto_msgs::{
    Revision,
    api::{ApiRole, ControlView, ReasonBody},
    config::Control,
};

use super::{Answer, Parts, edits::TRIES};
use crate::{
    caller::{Bare, Saying},
    if_match::IfMatch,
    views,
};

pub async fn get(parts: Parts, Bare(_): Bare) -> Answer {
    Ok(answer(parts.broker.configs().control().await?))
}

pub async fn stop_all(parts: Parts, saying: Saying, request: HttpRequest) -> Answer {
    set(&parts, saying, &request, true).await
}

pub async fn resume_all(parts: Parts, saying: Saying, request: HttpRequest) -> Answer {
    set(&parts, saying, &request, false).await
}

/// What is so already is not written again. Somebody else's change in between is a reason to refuse only for a client
/// that says what it saw: what is meant does not depend on what was there.
async fn set(parts: &Parts, saying: Saying, request: &HttpRequest, stopped: bool) -> Answer {
    let (caller, said) = saying.with::<Option<ReasonBody>>(ApiRole::Operator)?;
    let seen = IfMatch::of(request)?;
    let configs = parts.broker.configs();
    let action = if stopped { "stop_all" } else { "resume_all" };
    let change = caller.change(parts, action, said.unwrap_or_default().reason)?;
    let mut tries = 0;
    loop {
        let before = configs.control().await?;
        let expected = Revision(before.as_ref().map_or(0, |entry| entry.sequence.0));
        seen.check(expected)?;
        if before.as_ref().is_some_and(|entry| entry.envelope.body.stopped) == stopped {
            return Ok(answer(before));
        }
        let control = Control { stopped, change: change.clone() };
        tries += 1;
        match configs.put_control(&parts.origin.envelope(caller.correlation, control.clone()), expected).await {
            Ok(revision) => {
                return Ok(tagged(&ControlView { stopped, change: Some(control.change), revision }));
            }
            Err(LogError::Conflict) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer(entry: Option<Entry<Control>>) -> HttpResponse {
    tagged(&views::control(entry))
}

fn tagged(view: &ControlView) -> HttpResponse {
    HttpResponse::build(StatusCode::OK).insert_header((ETAG, format!("\"{}\"", view.revision))).json(view)
}
