//! What `--exit-when-synced` says last: one JSON object, and an exit code.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{RequestCode, Status, api::ConfigView};
use serde::Deserialize;
use serde_json::json;

use crate::failure::Failure;

/// Exit code when some records failed.
const SOME_FAILED: u8 = 2;

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
pub async fn print(view: &ConfigView, taken: Duration, admin_port: u16) -> Result<u8, Failure> {
    let failed = |error: reqwest::Error| Failure::of(RequestCode::Unavailable, &error, "the emulator's log says more");
    let counts = reqwest::get(format!("http://127.0.0.1:{admin_port}/counts")).await.map_err(failed)?;
    let counts: Counts = counts.json().await.map_err(failed)?;
    let (records, codes) = match &view.summary {
        Some(summary) => (summary.by_status.clone(), summary.by_code.clone()),
        None => (BTreeMap::new(), BTreeMap::new()),
    };
    let some_failed = records.contains_key(&Status::Failed);
    let answer = json!({
        "settled": true,
        "duration_ms": u64::try_from(taken.as_millis()).unwrap_or(u64::MAX),
        "records": records,
        "codes": codes,
        "calls": by_kind(&counts.rows),
    });
    println!("{answer}");
    Ok(if some_failed { SOME_FAILED } else { 0 })
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

    #[test]
    fn calls_are_counted_by_what_they_do() {
        let row = |operation: &str| Row { operation: operation.to_owned(), calls: 2 };
        let rows =
            ["secrets.list_deleted", "keys.backup", "certificates.get_policy", "keys.restore", "login.token"].map(row);
        assert_eq!(by_kind(&rows), BTreeMap::from([("get", 4), ("list", 2), ("set", 2)]));
    }
}
