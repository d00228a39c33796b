//! What became of the replication: what `--exit-when-synced` says last, one JSON object and an exit code, and what is
//! wrong where something is.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{
    CorrelationId, ErrorCode, RequestCode, Status, api::ConfigSummary, api::ConfigView, docs, run::RunEnd,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::SignalKind;

use super::progress::Seen;
use crate::{
    failure::{self, Failure},
    output,
};

/// Exit code when not everything is replicated that should be.
const IN_TROUBLE: u8 = 2;
/// What shells add to a signal's number.
const BY_SIGNAL: u8 = 128;
/// Longest that the emulator's counts are waited for.
const COUNTS_LIMIT: Duration = Duration::from_secs(5);
/// What all trouble comes down to.
pub const INCOMPLETE: &str = "not everything is replicated";

/// Why not everything is replicated that should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// An [`ErrorCode`] where there is one, else a [`RequestCode`].
    pub code: &'static str,
    pub what: String,
    pub fix: String,
}

impl Trouble {
    /// In the form of every other error.
    pub fn sentence(&self, correlation: CorrelationId) -> String {
        failure::sentence(self.code, &format!("{INCOMPLETE}: {}", self.what), &self.fix, correlation)
    }
}

/// What is wrong after a run; none: it completed, and every record is in sync or blocked by a rule.
pub fn trouble(view: &ConfigView) -> Option<Trouble> {
    let name = &view.config.spec.name;
    let again = format!("`keyferry records sync '{name}'` starts another run");
    let trouble = |code: &'static str, what: String, fix: String| Some(Trouble { code, what, fix });
    let unavailable = RequestCode::Unavailable.as_str();
    let Some(summary) = &view.summary else {
        return trouble(unavailable, "no coordinator answers".to_owned(), "check that one runs".to_owned());
    };
    let Some(run) = &summary.run else { return trouble(unavailable, "there was no run".to_owned(), again) };
    match &run.end {
        Some(RunEnd::Failed { code, message }) => {
            let what = format!("the run failed: {}", output::one_line(message));
            return trouble(code.as_str(), what, fix_of(*code));
        }
        None | Some(RunEnd::Interrupted | RunEnd::Cancelled) => {
            return trouble(unavailable, "the run did not come to its end".to_owned(), again);
        }
        Some(RunEnd::Completed | RunEnd::CompletedWithFailures) => {}
    }
    let is_well = |status: &Status| *status == Status::Active || status.is_blocked();
    let unwell: Vec<_> = summary.by_status.iter().filter(|(status, count)| **count > 0 && !is_well(status)).collect();
    if let Some((first, _)) = unwell.first() {
        let counts: Vec<_> = unwell.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let fix = format!("`keyferry records list '{name}' --status {first}` shows which, and with which code");
        return trouble(main_code(summary).as_str(), format!("of the records, {}", counts.join(", ")), fix);
    }
    if let Some(failure) = run.failures.first() {
        let (side, message) = (failure.side.as_str(), output::one_line(&failure.message));
        let what = format!("the {side}'s {} could not be listed: {message}", failure.kind);
        return trouble(failure.code.as_str(), what, fix_of(failure.code));
    }
    // A run that ended while a record was still being retried says so; by now, that record is well.
    if !run.counts.complete {
        let fix = format!("`keyferry config get '{name}' -o json` tells why, under `conditions`");
        return trouble(ErrorCode::Unknown.as_str(), "not all items could be listed, and planned".to_owned(), fix);
    }
    None
}

/// The code of most records that are not well: blocked ones have codes of their own.
fn main_code(summary: &ConfigSummary) -> ErrorCode {
    let unwell = summary.by_code.iter().filter(|(code, _)| Status::blocked_by(**code).is_none());
    unwell.max_by_key(|(_, count)| **count).map_or(ErrorCode::Unknown, |(code, _)| *code)
}

fn fix_of(code: ErrorCode) -> String {
    let page = docs::explain(code.as_str());
    page.map_or_else(|| format!("`keyferry explain {code}` says what to do"), |page| output::one_line(page.fix))
}

#[derive(Deserialize)]
struct Counts {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    operation: String,
    calls: u64,
}

/// Says that everything is settled, as far as nobody stopped it; `admin_port` is the emulator's.
pub async fn print(seen: &Seen, is_in_trouble: bool, admin_port: u16) -> Result<u8, Failure> {
    let calls = calls(admin_port)
        .await
        .map_err(|error| Failure::of(RequestCode::Unavailable, &error, "look into the emulator's log"))?;
    let is_settled = seen.views.iter().all(|view| view.summary.as_ref().is_some_and(ConfigSummary::is_settled));
    say(&object(is_settled, seen, Some(calls)), if is_in_trouble || !is_settled { IN_TROUBLE } else { 0 })
}

/// Says how far it came until a signal stopped it.
pub async fn print_unsettled(seen: &Seen, admin_port: u16, signal: SignalKind) -> Result<u8, Failure> {
    // It may have been stopped before there was anybody to ask: then the calls are not known.
    let calls = calls(admin_port).await.ok();
    let number = u8::try_from(signal.as_raw_value()).unwrap_or_default();
    say(&object(false, seen, calls), BY_SIGNAL.saturating_add(number))
}

/// The exit code tells those, too, who do not read the object.
fn say(object: &Value, code: u8) -> Result<u8, Failure> {
    match output::line(object) {
        Ok(()) | Err(Failure::OutputClosed) => Ok(code),
        Err(failure) => Err(failure),
    }
}

fn object(is_settled: bool, seen: &Seen, calls: Option<BTreeMap<&'static str, u64>>) -> Value {
    // The others are there to be looked at; how the first fares is how everything does.
    let first = seen.views.first().and_then(|view| view.summary.as_ref());
    let run = first.and_then(|summary| summary.run.as_ref());
    json!({
        "settled": is_settled,
        "duration_ms": u64::try_from(seen.taken().as_millis()).unwrap_or(u64::MAX),
        "records": seen.by_status(),
        "codes": seen.by_code(),
        "run": run.map(|run| json!({ "end": run.end, "failures": run.failures })),
        "calls": calls,
    })
}

async fn calls(admin_port: u16) -> Result<BTreeMap<&'static str, u64>, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().timeout(COUNTS_LIMIT).build()?;
    let counts: Counts = client.get(format!("http://127.0.0.1:{admin_port}/counts")).send().await?.json().await?;
    Ok(by_kind(&counts.rows))
}

/// Calls to vaults: what lists, what reads one item, what writes one.
fn by_kind(rows: &[Row]) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::from([("list", 0), ("get", 0), ("set", 0)]);
    for row in rows {
        let Some((family, verb)) = row.operation.split_once('.') else { continue };
        let kind = match (family, verb) {
            ("arm" | "login", _) => continue,
            (_, verb) if verb.starts_with("list") => "list",
            (_, "backup") => "get",
            (_, verb) if verb.starts_with("get") => "get",
            (_, _) => "set",
        };
        *kinds.entry(kind).or_default() += row.calls;
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::fixtures::view;

    #[test]
    fn only_a_completed_run_with_every_record_in_sync_or_blocked_is_well() {
        let completed = json!({ "result": "completed" });
        // With failures: a record was still being retried when it ended, and is in sync by now.
        for end in [completed.clone(), json!({ "result": "completed_with_failures" })] {
            assert_eq!(trouble(&view(end, true, json!({ "active": 2, "blocked_excluded": 1 }))), None);
        }
        for (end, complete, records, word) in [
            (completed.clone(), true, json!({ "active": 1, "failed": 2 }), "2 failed"),
            (completed.clone(), true, json!({ "drifted": 1 }), "1 drifted"),
            (completed, false, json!({ "active": 1 }), "listed"),
            (json!({ "result": "completed_with_failures" }), true, json!({ "retrying": 1 }), "1 retrying"),
            (json!({ "result": "completed_with_failures" }), false, json!({ "active": 1 }), "listed"),
            (json!({ "result": "interrupted" }), true, json!({}), "end"),
        ] {
            let trouble = trouble(&view(end, complete, records)).unwrap();
            assert!(trouble.what.contains(word) && !trouble.fix.is_empty(), "{word}: {trouble:?}");
            assert!(docs::explain(trouble.code).is_some(), "{word}: {trouble:?}");
        }
    }

    #[test]
    fn a_run_that_failed_is_told_with_its_code_and_the_fix() {
        let end =
            json!({ "result": "failed", "code": "source_network_denied", "message": "refused\r\nby the firewall" });
        let view = view(end, false, json!({}));
        let trouble = trouble(&view).unwrap();
        assert!(trouble.fix.contains("private endpoint"), "{trouble:?}");
        let (correlation, text) = (CorrelationId::from_random(7), trouble.sentence(CorrelationId::from_random(7)));
        let start = "keyferry: source_network_denied: not everything is replicated: the run failed: refused  by the firewall; fix: ";
        assert!(text.starts_with(start) && text.ends_with(&format!("; correlation id: {correlation}")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn failed_records_are_told_with_the_code_of_most_of_them() {
        let mut view = view(
            json!({ "result": "completed_with_failures" }),
            true,
            json!({ "failed": 3, "blocked_excluded": 5, "drifted": 1 }),
        );
        let codes = [
            (ErrorCode::Excluded, 5),
            (ErrorCode::TargetAuthFailed, 1),
            (ErrorCode::TargetRejected, 2),
            (ErrorCode::Drift, 1),
        ];
        view.summary.as_mut().unwrap().by_code = BTreeMap::from(codes);
        let trouble = trouble(&view).unwrap();
        assert_eq!((trouble.code, trouble.what.as_str()), ("target_rejected", "of the records, 3 failed, 1 drifted"));
    }

    #[test]
    fn codes_are_those_of_records_and_the_end_of_the_run_stands_by_itself() {
        let end = json!({ "result": "failed", "code": "source_network_denied", "message": "refused" });
        let mut view = view(end.clone(), false, json!({ "active": 1, "blocked_excluded": 2 }));
        view.summary.as_mut().unwrap().by_code = BTreeMap::from([(ErrorCode::Excluded, 2)]);
        let mut seen = Seen::default();
        assert_eq!(object(false, &seen, None)["records"], json!({}), "stopped before anything was seen");
        seen.see(&view);
        let mut other = view.clone();
        other.config.id = proto_msgs::ConfigId::from_random(7);
        other.summary.as_mut().unwrap().run = None;
        seen.see(&other);
        seen.see(&view);
        let object = object(true, &seen, Some(by_kind(&[])));
        assert_eq!(object["codes"], json!({ "excluded": 4 }), "of both configs");
        assert_eq!(object["records"], json!({ "active": 2, "blocked_excluded": 4 }));
        assert_eq!(object["run"], json!({ "end": end, "failures": [] }));
        assert_eq!(object["calls"], json!({ "list": 0, "get": 0, "set": 0 }));
    }

    #[test]
    fn calls_are_counted_by_what_they_do() {
        let row = |operation: &str| Row { operation: operation.to_owned(), calls: 2 };
        let rows =
            ["secrets.list_deleted", "keys.backup", "certificates.get_policy", "keys.restore", "login.token"].map(row);
        assert_eq!(by_kind(&rows), BTreeMap::from([("get", 4), ("list", 2), ("set", 2)]));
    }
}
