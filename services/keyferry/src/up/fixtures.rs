//! What tests of `up` look at.

use proto_msgs::api::ConfigView;
use serde_json::{Value, json};

/// A config whose newest run ended like this, with these records.
pub fn view(end: Value, complete: bool, records: Value) -> ConfigView {
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
