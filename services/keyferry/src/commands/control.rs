//! The emergency stop.

use clap::Args;
use proto_msgs::api::{ControlView, ReasonBody};

use crate::{client::path, failure::Failure, invocation::Invocation, output::one_line};

/// Why, for the audit log.
#[derive(Debug, Args)]
pub struct Reason {
    /// Why, for the audit log.
    #[arg(long)]
    pub reason: Option<String>,
}

impl Reason {
    pub fn body(self) -> ReasonBody {
        ReasonBody { reason: self.reason }
    }
}

pub async fn stop_all(reason: Reason, invocation: &Invocation) -> Result<(), Failure> {
    set("stop-all", reason, invocation).await
}

pub async fn resume_all(reason: Reason, invocation: &Invocation) -> Result<(), Failure> {
    set("resume-all", reason, invocation).await
}

async fn set(verb: &str, reason: Reason, invocation: &Invocation) -> Result<(), Failure> {
    let path = path(&["control", verb]);
    let view: ControlView = invocation.client()?.post_body(&path, &reason.body()).await?;
    invocation.answer(&view, || describe(&view))
}

/// What is so now, and who made it so.
pub fn describe(view: &ControlView) -> String {
    let what = if view.stopped {
        "everything is stopped: nothing starts, and within seconds no write begins; `keyferry resume-all` ends that"
    } else {
        "nothing is stopped; configs that are paused stay so"
    };
    let Some(change) = &view.change else { return what.to_owned() };
    let reason = change.reason.as_deref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
    format!("{what} (since {}, by {}{reason})", change.at, change.actor)
}
