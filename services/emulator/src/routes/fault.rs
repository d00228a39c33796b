//! What a fault makes of a call: nothing, a late answer, another answer, or none.

use std::time::Duration;

use super::{Reply, Served};
use crate::{
    error::ApiError,
    faults::{Outcome, When},
};

/// Serves a call as the fault that hit it says.
pub async fn serve(hit: Option<(When, Outcome)>, answer: impl Future<Output = Reply>) -> Served {
    let Some((when, outcome)) = hit else { return Served::Reply(answer.await) };
    let instead = match outcome {
        Outcome::Delay { ms } => return Served::Reply(late(when, Duration::from_millis(ms), answer).await),
        Outcome::Timeout => Served::Hang,
        Outcome::Reset => Served::Reset,
        Outcome::Status { status, code, inner, message, retry_after } => {
            let mut error = default(status);
            error.code = code.unwrap_or(error.code);
            error.message = message.unwrap_or(error.message);
            Served::Reply(ApiError { inner, retry_after, ..error }.into())
        }
    };
    match when {
        When::Before => instead,
        When::After => {
            let reply = answer.await;
            // What would have been refused anyway had no effect to hide.
            if reply.status >= 400 { Served::Reply(reply) } else { instead }
        }
    }
}

async fn late(when: When, pause: Duration, answer: impl Future<Output = Reply>) -> Reply {
    match when {
        When::Before => {
            tokio::time::sleep(pause).await;
            answer.await
        }
        When::After => {
            let reply = answer.await;
            tokio::time::sleep(pause).await;
            reply
        }
    }
}

/// What Azure says with a status, if a fault does not say it itself.
fn default(status: u16) -> ApiError {
    let (code, message) = match status {
        400 => ("BadParameter", "The request is not valid.\r\n"),
        401 => ("Unauthorized", "AKV10000: Request is missing a Bearer or PoP token."),
        403 => ("Forbidden", "Access denied.\r\n"),
        404 => ("NotFound", "The resource was not found."),
        409 => ("Conflict", "There was a conflict."),
        429 => return throttled(),
        503 => ("ServiceUnavailable", "The service is temporarily unavailable."),
        504 => ("GatewayTimeout", "The gateway did not receive a response in time."),
        _ => ("InternalServerError", "An unexpected error occurred.\r\n"),
    };
    ApiError::new(status, code, message)
}

/// 429 in Azure's words.
pub fn throttled() -> ApiError {
    let message =
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
    ApiError::new(429, "Throttled", message)
}
