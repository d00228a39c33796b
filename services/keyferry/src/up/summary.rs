//! What became of the replication: what `--exit-when-synced` says last, one JSON object and an exit code, and what is
//! wrong where something is.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{ErrorCode, RequestCode, Status, api::ConfigView, docs, run::RunEnd};
use serde::Deserialize;
use serde_json::json;

use crate::{
    failure::Failure,
    output::{self, tell},
};

/// Exit code when not everything is replicated that should be.
const IN_TROUBLE: u8 = 2;

/// Why not everything is replicated that should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    pub what: String,
    pub fix: String,
}

/// What is wrong after a run; none: it completed, and every record is in sync or blocked by a rule.
pub fn trouble(view: &ConfigView) -> Option<Trouble> {
    let name = &view.config.spec.name;
    let again = format!("`keyferry records sync '{name}'` starts another run");
    let trouble = |what: String, fix: String| Some(Trouble { what, fix });
    let Some(summary) = &view.summary else {
        return trouble("no coordinator answers".to_owned(), "check that one runs".to_owned());
    };
    let Some(run) = &summary.run else { return trouble("there was no run".to_owned(), again) };
    match &run.end {
        Some(RunEnd::Failed { code, message }) => {
            let message = message.replace(['\r', '\n'], " ");
            return trouble(format!("the run failed with {code}: {message}"), fix_of(*code));
        }
        None | Some(RunEnd::Interrupted | RunEnd::Cancelled) => {
            return trouble("the run did not come to its end".to_owned(), again);
        }
        Some(RunEnd::Completed | RunEnd::CompletedWithFailures) => {}
    }
    let is_well = |status: &Status| *status == Status::Active || status.is_blocked();
    let unwell: Vec<_> = summary.by_status.iter().filter(|(status, count)| **count > 0 && !is_well(status)).collect();
    if let Some((first, _)) = unwell.first() {
        let counts: Vec<_> = unwell.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let fix = format!("`keyferry records list '{name}' --status {first}` shows which, and with which code");
        return trouble(format!("of the records, {}", counts.join(", ")), fix);
    }
    if let Some(failure) = run.failures.first() {
        let (side, message) = (failure.side.as_str(), failure.message.replace(['\r', '\n'], " "));
        let what = format!("the {side}'s {} could not be listed: {}: {message}", failure.kind, failure.code);
        return trouble(what, fix_of(failure.code));
    }
    if !run.counts.complete || run.end == Some(RunEnd::CompletedWithFailures) {
        let fix = format!("`keyferry config get '{name}' -o json` tells why, under `conditions`");
        return trouble("not all items could be listed".to_owned(), fix);
    }
    None
}

fn fix_of(code: ErrorCode) -> String {
    let page = docs::explain(code.as_str());
    page.map_or_else(|| format!("`keyferry explain {code}` says what to do"), |page| page.fix.replace('\n', " "))
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

/// Prints the object; `admin_port` is the emulator's.
pub async fn print(
    view: &ConfigView,
    trouble: Option<&Trouble>,
    taken: Duration,
    admin_port: u16,
) -> Result<u8, Failure> {
    let failed = |error: reqwest::Error| Failure::of(RequestCode::Unavailable, &error, "look into the emulator's log");
    let counts = reqwest::get(format!("http://127.0.0.1:{admin_port}/counts")).await.map_err(failed)?;
    let counts: Counts = counts.json().await.map_err(failed)?;
    if let Some(Trouble { what, fix }) = trouble {
        tell(format_args!("not everything is replicated: {what}; fix: {fix}"));
    }
    output::line(json!({
        "settled": true,
        "duration_ms": u64::try_from(taken.as_millis()).unwrap_or(u64::MAX),
        "records": view.summary.as_ref().map(|summary| summary.by_status.clone()).unwrap_or_default(),
        "codes": codes(view),
        "calls": by_kind(&counts.rows),
    }))?;
    Ok(if trouble.is_some() { IN_TROUBLE } else { 0 })
}

/// Codes of the records, of the run if it failed, and of listings that broke off.
fn codes(view: &ConfigView) -> BTreeMap<ErrorCode, u64> {
    let Some(summary) = &view.summary else { return BTreeMap::new() };
    let mut codes = summary.by_code.clone();
    let Some(run) = &summary.run else { return codes };
    let failed = match &run.end {
        Some(RunEnd::Failed { code, .. }) => vec![*code],
        Some(RunEnd::Completed | RunEnd::CompletedWithFailures | RunEnd::Interrupted | RunEnd::Cancelled) | None => {
            run.failures.iter().map(|failure| failure.code).collect()
        }
    };
    for code in failed {
        *codes.entry(code).or_default() += 1;
    }
    codes
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

    /// A config whose newest run ended like this, with these records.
    fn view(end: serde_json::Value, complete: bool, records: serde_json::Value) -> ConfigView {
        let vault = json!({ "name": "a", "uri": "https://a", "resource_id": null, "subscription": null, "region": null, "geography": null, "tenant": "t", "verified": true });
        let id = "00000000-0000-4000-8000-000000000001";
        let (at, calls) = ("2026-11-01T10:00:00Z", json!({ "list": 1, "get": 0, "set": 0 }));
        let run = json!({
            "id": id, "config": id, "revision": 1, "trigger": "saved", "correlation_id": id, "coordinator": "c", "epoch": 1,
            "started": at, "phase": "ended", "ended": at, "end": end,
            "counts": { "source_items": 0, "target_items": 0, "planned": 0, "attempted": 0, "unchanged": 0, "calls": calls, "complete": complete },
        });
        let view = json!({
            "id": id, "source": vault, "target": vault, "created": at, "revision": 1,
            "spec": { "name": "a to b", "source": { "vault": "a" }, "target": { "vault": "b" }, "item_types": ["secrets"], "rule": { "kind": "all" } },
            "change": { "actor": "me", "action": "create", "correlation_id": id, "at": at },
            "summary": { "coordinator": "c", "epoch": 1, "by_status": records, "by_code": {}, "run": run, "next_run": null, "last_verified_at": null, "conditions": [] },
        });
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn only_a_completed_run_with_every_record_in_sync_or_blocked_is_well() {
        let completed = json!({ "result": "completed" });
        assert_eq!(trouble(&view(completed.clone(), true, json!({ "active": 2, "blocked_excluded": 1 }))), None);
        for (end, complete, records, word) in [
            (completed.clone(), true, json!({ "active": 1, "failed": 2 }), "2 failed"),
            (completed.clone(), true, json!({ "drifted": 1 }), "1 drifted"),
            (completed, false, json!({ "active": 1 }), "listed"),
            (json!({ "result": "completed_with_failures" }), true, json!({ "retrying": 1 }), "1 retrying"),
            (json!({ "result": "completed_with_failures" }), true, json!({ "active": 1 }), "listed"),
            (json!({ "result": "interrupted" }), true, json!({}), "end"),
        ] {
            let trouble = trouble(&view(end, complete, records)).unwrap();
            assert!(trouble.what.contains(word) && !trouble.fix.is_empty(), "{word}: {trouble:?}");
        }
    }

    #[test]
    fn a_run_that_failed_is_told_with_its_code_and_the_fix() {
        let end =
            json!({ "result": "failed", "code": "source_network_denied", "message": "refused\r\nby the firewall" });
        let view = view(end, false, json!({}));
        let trouble = trouble(&view).unwrap();
        assert!(trouble.what.contains("source_network_denied: refused  by"), "{trouble:?}");
        assert!(trouble.fix.contains("private endpoint"), "{trouble:?}");
        assert_eq!(codes(&view), BTreeMap::from([(ErrorCode::SourceNetworkDenied, 1)]));
    }

    #[test]
    fn calls_are_counted_by_what_they_do() {
        let row = |operation: &str| Row { operation: operation.to_owned(), calls: 2 };
        let rows =
            ["secrets.list_deleted", "keys.backup", "certificates.get_policy", "keys.restore", "login.token"].map(row);
        assert_eq!(by_kind(&rows), BTreeMap::from([("get", 4), ("list", 2), ("set", 2)]));
    }
}
