//! Records.

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use proto_msgs::{
    ItemType, Record, Status,
    api::{Accepted, Done, LeaveAllBody, LeaveBody, RecordView},
    record::{AttemptReport, LeaveKind},
    vault::KeyRotation,
};

use super::{
    choice::{Choice, decided},
    config::started,
};
use crate::{
    client::path,
    failure::Failure,
    invocation::{ConfigArg, Invocation, segment},
    output::{self, or_dash},
};

#[derive(Debug, Subcommand)]
pub enum Records {
    /// Lists the records of a config, by type and name.
    List {
        #[command(flatten)]
        config: ConfigArg,
        /// Only records in this status.
        #[arg(long, value_parser = status())]
        status: Option<Status>,
        /// Only items of this type.
        #[arg(long = "type", value_parser = PossibleValuesParser::new(ItemType::ALL.map(ItemType::as_str)))]
        kind: Option<String>,
        /// Only names that match this glob.
        #[arg(long)]
        name: Option<String>,
    },
    /// Shows one record with its history.
    Get(RecordArgs),
    /// Syncs one record at once, or all in a run.
    Sync {
        #[command(flatten)]
        config: ConfigArg,
        /// secrets, certificates or keys.
        #[arg(value_name = "TYPE", requires = "name", value_parser = segment)]
        kind: Option<String>,
        /// Name of the item.
        #[arg(value_parser = segment)]
        name: Option<String>,
    },
    /// Acknowledges conflicts: the target items, which Keyferry did not write, are overwritten.
    Ack(Decision),
    /// Leaves records alone until somebody enables them. Their targets stay as they are.
    Disable(Decision),
    /// Replicates disabled records again.
    Enable(Decision),
}

/// What is decided about.
#[derive(Debug, Args)]
pub struct Decision {
    #[command(flatten)]
    choice: Choice,
    /// Only records in this status; without it, those that the command can do something for.
    #[arg(long, conflicts_with = "kind", value_parser = status())]
    status: Option<Status>,
}

fn status() -> impl TypedValueParser<Value = Status> {
    let words = PossibleValuesParser::new(Status::ALL.iter().map(|status| status.as_str()));
    words.try_map(|word| word.parse::<Status>())
}

/// Which record.
#[derive(Debug, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// secrets, certificates or keys.
    #[arg(value_name = "TYPE", value_parser = segment)]
    kind: String,
    /// Name of the item.
    #[arg(value_parser = segment)]
    name: String,
}

impl Records {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let client = invocation.client()?;
        match self {
            Self::List { config, status, kind, name } => {
                let filters =
                    [("status", status.map(Status::as_str)), ("type", kind.as_deref()), ("name", name.as_deref())];
                let views: Vec<RecordView> =
                    client.all(&path(&["configs", &config.config, "records"]), &filters).await?;
                invocation.answer(&views, || list(&views))
            }
            Self::Get(RecordArgs { config, kind, name }) => {
                let view: RecordView = client.get(&path(&["configs", &config.config, "records", &kind, &name])).await?;
                invocation.answer(&view, || describe(&view))
            }
            Self::Sync { config, kind: Some(kind), name: Some(name) } => {
                let path = path(&["configs", &config.config, "records", &kind, &name, "sync"]);
                let accepted: Accepted = client.post(&path).await?;
                invocation
                    .answer(&accepted, || format!("{kind} {name} is synced now, under {}", accepted.correlation_id))
            }
            Self::Sync { config, .. } => {
                let accepted: Accepted = client.post(&path(&["configs", &config.config, "sync"])).await?;
                invocation.answer(&accepted, || started(&config.config, "runs", &accepted))
            }
            Self::Ack(Decision { choice, status }) => {
                let status = status.or(Some(Status::BlockedTargetConflict));
                leave(&choice, LeaveKind::Acknowledge, status, "records ack", "acknowledged", invocation).await
            }
            Self::Disable(Decision { choice, status }) => set_enabled(&choice, status, false, invocation).await,
            Self::Enable(Decision { choice, status }) => {
                set_enabled(&choice, status.or(Some(Status::Disabled)), true, invocation).await
            }
        }
    }
}

/// Gives leave: for one record as it is read now, or for all that match.
pub async fn leave(
    choice: &Choice,
    kind: LeaveKind,
    status: Option<Status>,
    verb: &str,
    said: &str,
    invocation: &Invocation,
) -> Result<(), Failure> {
    let client = invocation.client()?;
    let done: Done = if let Some((of_type, name)) = choice.one() {
        let record = ["configs", choice.config(), "records", of_type, name];
        let view: RecordView = client.get(&path(&record)).await?;
        let target_version = view.record.target_seen.and_then(|seen| seen.version);
        let body = LeaveBody { kind, sequence: view.sequence, target_version };
        client.post_body(&path(&[&record[..], &["leave"]].concat()), &body).await?
    } else if let Some(set) = choice.set(status) {
        let body = LeaveAllBody { kind, set };
        client.post_body(&path(&["configs", choice.config(), "records", "leave"]), &body).await?
    } else {
        return choice.offer(&client, invocation, verb, status).await;
    };
    invocation.answer(&done, || decided(said, &done))
}

async fn set_enabled(
    choice: &Choice,
    status: Option<Status>,
    enabled: bool,
    invocation: &Invocation,
) -> Result<(), Failure> {
    let client = invocation.client()?;
    let verb = if enabled { "enable" } else { "disable" };
    let done: Done = if let Some((of_type, name)) = choice.one() {
        client.post(&path(&["configs", choice.config(), "records", of_type, name, verb])).await?
    } else if let Some(set) = choice.set(status) {
        client.post_body(&path(&["configs", choice.config(), "records", verb]), &set).await?
    } else {
        return choice.offer(&client, invocation, &format!("records {verb}"), status).await;
    };
    invocation.answer(&done, || decided(&format!("{verb}d"), &done))
}

pub fn list(views: &[RecordView]) -> String {
    let rows = views.iter().map(|view| {
        let record = &view.record;
        vec![
            record.id.kind.to_string(),
            record.id.name.to_string(),
            record.status.to_string(),
            or_dash(record.code),
            view.at.to_string(),
        ]
    });
    output::table(&["TYPE", "NAME", "STATUS", "CODE", "SINCE"], rows)
}

fn describe(view: &RecordView) -> String {
    let record = &view.record;
    let mut rows = vec![
        ("type", record.id.kind.to_string()),
        ("name", record.id.name.to_string()),
        ("status", record.status.to_string()),
        ("code", or_dash(record.code)),
    ];
    if let Some(detail) = &record.detail {
        rows.push(("detail", output::one_line(&detail.message)));
    }
    if let Some(fix) = &view.fix {
        rows.push(("fix", output::one_line(fix)));
    }
    if let Some(portal) = &view.portal {
        rows.push(("portal", portal.clone()));
    }
    rows.push(("since", view.at.to_string()));
    if let Some(rotation) = record.baseline.as_ref().and_then(|baseline| baseline.rotation) {
        rows.push(("rotation", rotated(rotation).to_owned()));
    }
    rows.extend(decisive(record));
    if let Some(moment) = record.next_attempt {
        rows.push(("next attempt", moment.to_string()));
    }
    rows.push(("run", or_dash(record.run)));
    rows.push(("correlation id", view.correlation_id.to_string()));
    let history = output::table(&HISTORY, states(view).map(|(state, attempt)| row(state, attempt)));
    format!("{}\n\nhistory, newest first:\n{history}", output::list(&rows))
}

/// How the target's key gets new versions.
fn rotated(rotation: KeyRotation) -> &'static str {
    match rotation {
        KeyRotation::Manual => "by hand",
        KeyRotation::Automatic => {
            "by its policy, which came with the key: source and target rotate apart; clear it at the target to prevent that"
        }
        KeyRotation::Unknown => "unknown: the rotation policy could not be read",
    }
}

/// What the next step depends on.
fn decisive(record: &Record) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(seen) = &record.target_seen {
        let version = or_dash(seen.version.as_ref());
        rows.push(("target seen", format!("version {version}, updated {}", or_dash(seen.updated))));
    }
    if let Some(leave) = &record.leave {
        rows.push(("leave", format!("to {}, by {}, {}", leave.kind.as_str(), leave.actor, leave.at)));
    }
    if let Some(miss) = &record.miss {
        rows.push(("missing since", format!("{}, run {}", miss.at, miss.run)));
    }
    if record.delete.is_some() {
        rows.push(("delete", "due at the target".to_owned()));
    }
    rows
}

const HISTORY: [&str; 9] =
    ["AT", "STATUS", "CODE", "OUTCOME", "DURATION", "SOURCE VERSION", "TARGET VERSION", "AZURE REQUEST ID", "WORKER"];

/// Every state known, newest first, each with the attempt that ended in it. A state carries the report of the last
/// attempt on, so a report belongs to the state in which it is new.
fn states(view: &RecordView) -> impl Iterator<Item = (&RecordView, Option<&AttemptReport>)> {
    let all = || std::iter::once(view).chain(&view.history);
    let before = all().skip(1).map(|state| state.record.last_attempt.as_ref()).chain([None]);
    all().zip(before).map(|(state, before)| {
        let report = state.record.last_attempt.as_ref();
        (state, report.filter(|_| report != before))
    })
}

fn row(state: &RecordView, attempt: Option<&AttemptReport>) -> Vec<String> {
    let record = &state.record;
    // An intent has a worker and no outcome yet.
    let intent = record.unresolved.as_ref().filter(|_| record.status == Status::Syncing);
    let worker = attempt.map(|attempt| &attempt.worker).or(intent.map(|intent| &intent.worker));
    vec![
        state.at.to_string(),
        record.status.to_string(),
        or_dash(record.code),
        or_dash(attempt.map(|attempt| attempt.outcome.as_str())),
        or_dash(attempt.map(|attempt| format!("{} ms", attempt.duration_ms))),
        or_dash(attempt.and_then(|attempt| attempt.source_version.as_ref())),
        or_dash(attempt.and_then(|attempt| attempt.target_version.as_ref())),
        or_dash(attempt.and_then(|attempt| attempt.azure_request_id.as_ref())),
        or_dash(worker),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(status: &str, attempt: Option<u64>) -> serde_json::Value {
        let mut state = json!({
            "id": { "config": "00000000-0000-4000-8000-000000000001", "kind": "secrets", "name": "a" },
            "status": status,
            "sequence": 1,
            "at": "2026-11-01T10:00:00Z",
            "correlation_id": "00000000-0000-4000-8000-000000000002",
        });
        if let Some(duration) = attempt {
            state["last_attempt"] = json!({
                "worker": "worker-1", "started": "2026-11-01T10:00:00Z", "duration_ms": duration, "outcome": "written",
                "calls": { "list": 0, "get": 1, "set": 1 }, "source_version": "s1", "target_version": "t1",
                "azure_request_id": "r1",
            });
        }
        state
    }

    #[test]
    fn an_attempt_is_told_once_where_it_ended() {
        let mut newest = state("pending", Some(12));
        newest["history"] = json!([state("active", Some(12)), state("syncing", Some(7)), state("active", Some(7))]);
        let view: RecordView = serde_json::from_value(newest).unwrap();
        let told: Vec<_> = states(&view).map(|(_, attempt)| attempt.map(|attempt| attempt.duration_ms)).collect();
        assert_eq!(told, [None, Some(12), None, Some(7)]);
        let text = describe(&view);
        for word in ["written", "12 ms", "s1", "t1", "r1", "worker-1", "correlation id"] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }
}
