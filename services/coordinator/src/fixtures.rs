//! What the tests of this crate build from.

use std::collections::BTreeSet;

use broker::Entry;
use domain::inventory::Listed;
use proto_msgs::{
    Behaviour, Config, ConfigId, ConfigSpec, CorrelationId, Envelope, Epoch, ItemType, Message, MessageId, Record,
    RecordId, RecordKey, Revision, Rule, Run, RunId, Sequence, Status, Timestamp, VaultRef,
    config::{Change, DiscoveredVault, TargetType},
    record::{Arrival, AttemptReport, Baseline, OutcomeKind, UnresolvedAttempt},
    run::{Phase, RunCounts, RunEnd, Trigger},
    vault::{Attributes, CallCounts, ItemMeta, SideState, VaultIdentity},
};

/// Seconds after a fixed point.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

pub(crate) fn config_id(bits: u128) -> ConfigId {
    ConfigId::from_random(bits)
}

pub(crate) fn key(name: &str) -> RecordKey {
    RecordKey { kind: ItemType::Secrets, name: name.parse().expect("a valid name") }
}

pub(crate) fn record(config: u128, name: &str, status: Status) -> Record {
    let id = RecordId { config: config_id(config), kind: ItemType::Secrets, name: name.parse().expect("a valid name") };
    Record::new(id, status, None)
}

pub(crate) fn entry<T: Message>(body: T, sequence: u64) -> Entry<T> {
    let envelope =
        Envelope::new(MessageId::from_random(u128::from(sequence)), CorrelationId::from_random(1), at(0), body);
    Entry { envelope, sequence: Sequence(sequence), time: at(0) }
}

pub(crate) fn item(name: &str, updated: Timestamp) -> ItemMeta {
    ItemMeta {
        name: name.parse().expect("a valid name"),
        attributes: Attributes::plain(),
        created: Some(updated),
        updated: Some(updated),
        managed: false,
        x5t: None,
    }
}

pub(crate) fn listed(name: &str) -> Listed {
    Listed { item: item(name, at(-1_000)), at: at(0) }
}

pub(crate) fn side(updated: Timestamp) -> SideState {
    SideState {
        version: Some("v1".parse().expect("a valid version")),
        updated: Some(updated),
        attributes: Attributes::plain(),
        x5t: None,
    }
}

pub(crate) fn baseline() -> Baseline {
    Baseline {
        source: side(at(-1_000)),
        target: side(at(-900)),
        read_at: at(-900),
        synced_at: at(-900),
        how: Arrival::Written,
        source_uri: vault("source-kv").uri,
        target_uri: vault("target-kv").uri,
        source_resource_id: None,
        target_resource_id: None,
        rotation: None,
    }
}

pub(crate) fn unresolved() -> UnresolvedAttempt {
    UnresolvedAttempt {
        operation: MessageId::from_random(9),
        worker: "worker-1".parse().expect("a valid name"),
        epoch: Epoch(1),
        started: at(0),
        source_version: None,
        source_updated: None,
        x5t: None,
        brings: None,
        deletes: false,
    }
}

pub(crate) fn report(outcome: OutcomeKind) -> AttemptReport {
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

pub(crate) fn run(trigger: Trigger) -> Run {
    Run {
        id: RunId::from_random(5),
        config: config_id(1),
        revision: Revision(1),
        trigger,
        correlation_id: CorrelationId::from_random(1),
        asked_by: BTreeSet::new(),
        coordinator: "coordinator-1".parse().expect("a valid name"),
        epoch: Epoch(1),
        started: at(0),
        phase: Phase::Ended,
        ended: Some(at(10)),
        end: Some(RunEnd::Completed),
        counts: RunCounts::default(),
        failures: Vec::new(),
        resumed: 0,
        next: None,
        follow_up: 0,
    }
}

pub(crate) fn vault(name: &str) -> VaultIdentity {
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

/// Secrets from one vault to another, once a day.
pub(crate) fn config(bits: u128, source: &str, target: &str) -> Config {
    let discovered = |vault: &str| VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    Config {
        id: config_id(bits),
        spec: ConfigSpec {
            name: format!("config-{bits}"),
            target_type: TargetType::AzureKeyVault,
            source: discovered(source),
            target: discovered(target),
            item_types: BTreeSet::from([ItemType::Secrets]),
            rule: Rule::All {},
            exclude: Vec::new(),
            behaviour: Behaviour::default(),
            paused: false,
        },
        source: vault(source),
        target: vault(target),
        created: at(0),
        deleted: false,
        change: change("create"),
    }
}

pub(crate) fn change(action: &str) -> Change {
    Change {
        actor: "ann".to_owned(),
        action: action.to_owned(),
        reason: None,
        correlation_id: CorrelationId::from_random(2),
        at: at(0),
    }
}
