//! What the tests of this crate build from.

use std::collections::BTreeSet;

use proto_msgs::{
    Behaviour, Config, ConfigId, ConfigSpec, CorrelationId, Epoch, ItemType, MessageId, Record, RecordId, Revision,
    Rule, Status, Timestamp, VaultRef,
    config::{Change, DiscoveredVault, TargetType},
    record::{Arrival, AttemptReport, Baseline, OutcomeKind, UnresolvedAttempt},
    vault::{Attributes, CallCounts, ItemMeta, SideState, VaultIdentity},
    worker::InventoryPage,
};

pub fn spec(rule: Rule) -> ConfigSpec {
    let discovered = |vault: &str| VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    ConfigSpec {
        name: "prod-eu to prod-ne".to_owned(),
        target_type: TargetType::AzureKeyVault,
        source: discovered("prod-eu-kv"),
        target: discovered("prod-ne-kv"),
        item_types: BTreeSet::from(ItemType::ALL),
        rule,
        exclude: Vec::new(),
        behaviour: Behaviour::default(),
        paused: false,
    }
}

pub fn vault(name: &str) -> VaultIdentity {
    VaultIdentity {
        name: name.to_owned(),
        uri: format!("https://{name}.vault.azure.net"),
        resource_id: None,
        subscription: Some("00000000-0000-4000-8000-000000000001".to_owned()),
        region: Some("westeurope".to_owned()),
        geography: Some("Europe".to_owned()),
        tenant: "5f0c1d4e-0000-4000-8000-000000000001".to_owned(),
        verified: true,
    }
}

pub fn config(rule: Rule) -> Config {
    Config {
        id: ConfigId::from_random(1),
        spec: spec(rule),
        source: vault("prod-eu-kv"),
        target: vault("prod-ne-kv"),
        created: at(0),
        deleted: false,
        change: Change {
            actor: "test".to_owned(),
            action: "create".to_owned(),
            reason: None,
            correlation_id: CorrelationId::from_random(2),
            at: at(0),
        },
    }
}

/// Seconds after a fixed point.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

pub fn attributes() -> Attributes {
    Attributes::plain()
}

pub fn item(name: &str, updated: i64) -> ItemMeta {
    ItemMeta {
        name: name.parse().expect("a valid name"),
        attributes: attributes(),
        created: Some(at(updated)),
        updated: Some(at(updated)),
        managed: false,
        x5t: None,
    }
}

pub fn page(live: Vec<ItemMeta>) -> InventoryPage {
    InventoryPage { live, deleted: Vec::new(), next: None, read_at: at(1_000) }
}

pub fn side(version: &str, updated: i64) -> SideState {
    SideState {
        version: Some(version.parse().expect("a valid version")),
        updated: Some(at(updated)),
        attributes: attributes(),
        x5t: None,
    }
}

pub fn record(kind: ItemType, name: &str, status: Status) -> Record {
    Record::new(
        RecordId { config: ConfigId::from_random(1), kind, name: name.parse().expect("a valid name") },
        status,
        None,
    )
}

/// A write whose answer was lost.
pub fn unresolved(operation: u128) -> UnresolvedAttempt {
    UnresolvedAttempt {
        operation: MessageId::from_random(operation),
        worker: "worker-1".parse().expect("a valid name"),
        epoch: Epoch(1),
        started: at(0),
        source_version: None,
        source_updated: Some(at(0)),
        x5t: None,
        brings: None,
        deletes: false,
    }
}

/// A delete whose answer was lost.
pub fn deleting() -> UnresolvedAttempt {
    UnresolvedAttempt { source_updated: None, deletes: true, ..unresolved(1) }
}

pub fn baseline(source: SideState, read_at: i64) -> Baseline {
    Baseline {
        target: side("t1", 500),
        source,
        read_at: at(read_at),
        synced_at: at(read_at),
        how: Arrival::Written,
        source_uri: vault("prod-eu-kv").uri,
        target_uri: vault("prod-ne-kv").uri,
        source_resource_id: None,
        target_resource_id: None,
        rotation: None,
    }
}

pub fn report(outcome: OutcomeKind) -> AttemptReport {
    AttemptReport {
        worker: "worker-1".parse().expect("a valid name"),
        started: at(0),
        duration_ms: 20,
        outcome,
        calls: CallCounts::default(),
        source_version: None,
        target_version: None,
        azure_request_id: None,
        throttled: None,
        failed: None,
        answered: BTreeSet::new(),
        retry_after_ms: None,
    }
}

pub const REVISION: Revision = Revision(3);
