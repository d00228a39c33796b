//! One message of each kind, as the golden files have them.

use std::{collections::BTreeSet, time::Duration};

use proto_msgs::{
    Behaviour, Config, ConfigId, ConfigSpec, CorrelationId, Epoch, ErrorCode, ItemType, MemberId, MessageId, Record,
    RecordId, RecordKey, Revision, Rule, RunId, Sequence, SetHash, Slot, Status, Timestamp, VaultRef,
    api::{ApiRole, ApiToken, ConfigCommand, ConfigQuery, ConfigReply, LeaveAllBody, LeaveBody, RecordFilter, SetBody},
    config::{Change, DeleteTrigger, DiscoveredVault, TargetType},
    plan::{PlanAction, PlanItem, PlanView},
    record::{Arrival, AttemptReport, Baseline, Leave, LeaveKind, Miss, OutcomeKind, UnresolvedAttempt},
    run::{ListingFailure, NextRun, Phase, Run, RunCounts, RunEnd, Trigger},
    vault::{
        Attributes, CallCounts, CallFailure, DeletedMeta, Detail, ItemMeta, KeyRotation, Side, SideState, VaultIdentity,
    },
    worker::{Heartbeat, InventoryPage, InventoryRequest, Listing, Role, SlotLease, SyncRecord},
};

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_millis(1_793_527_200_250).plus(Duration::from_secs(seconds))
}

pub fn correlation() -> CorrelationId {
    CorrelationId::from_random(1)
}

pub fn config_id() -> ConfigId {
    ConfigId::from_random(5)
}

pub fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

pub fn record_id() -> RecordId {
    RecordId { config: config_id(), kind: ItemType::Certificates, name: "TLS-cert".parse().unwrap() }
}

pub fn discovered(name: &str) -> VaultRef {
    VaultRef::Discovered(DiscoveredVault { vault: name.to_owned() })
}

pub fn vault(name: &str) -> VaultIdentity {
    VaultIdentity {
        name: name.to_owned(),
        uri: format!("https://{name}.vault.azure.net"),
        resource_id: Some(format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/{name}")),
        subscription: Some("00000000-0000-4000-8000-000000000001".to_owned()),
        region: Some("westeurope".to_owned()),
        geography: Some("Europe".to_owned()),
        tenant: "5f0c1d4e-0000-4000-8000-000000000001".to_owned(),
        verified: true,
    }
}

pub fn attributes() -> Attributes {
    Attributes {
        enabled: true,
        not_before: Some(at(1)),
        expires: Some(at(2)),
        content_type: Some("text/plain".to_owned()),
        tags: [("replicate".to_owned(), "true".to_owned())].into(),
        key_operations: None,
    }
}

pub fn side(version: &str) -> SideState {
    SideState {
        version: Some(version.parse().unwrap()),
        updated: Some(at(3)),
        attributes: attributes(),
        x5t: Some("qvTYJXE".to_owned()),
    }
}

pub fn unresolved() -> UnresolvedAttempt {
    UnresolvedAttempt {
        operation: MessageId::from_random(6),
        worker: member("worker-1"),
        epoch: Epoch(7),
        started: at(4),
        source_version: Some("0a1b".parse().unwrap()),
        source_updated: Some(at(3)),
        x5t: Some("qvTYJXE".to_owned()),
        brings: None,
        deletes: false,
    }
}

pub fn report() -> AttemptReport {
    AttemptReport {
        worker: member("worker-1"),
        started: at(4),
        duration_ms: 61,
        outcome: OutcomeKind::Unknown,
        calls: CallCounts { list: 0, get: 2, set: 1 },
        source_version: Some("0a1b".parse().unwrap()),
        target_version: None,
        azure_request_id: Some("8f2c".to_owned()),
        throttled: None,
        failed: None,
        answered: BTreeSet::new(),
        retry_after_ms: None,
    }
}

/// With what only a key has.
pub fn key_record() -> Record {
    let mut record = Record { id: RecordId { kind: ItemType::Keys, ..record_id() }, ..record() };
    let baseline = record.baseline.as_mut().unwrap();
    baseline.rotation = Some(KeyRotation::Automatic);
    (baseline.source.x5t, baseline.target.x5t) = (None, None);
    baseline.source.attributes.key_operations = Some(["sign".to_owned(), "verify".to_owned()].into());
    record
}

pub fn record() -> Record {
    Record {
        status: Status::Retrying,
        code: Some(ErrorCode::TransientNetwork),
        detail: Some(Detail {
            message: "the connection was lost".to_owned(),
            azure_code: Some("InternalServerError".to_owned()),
            azure_request_id: Some("8f2c".to_owned()),
            missing_action: Some("Microsoft.KeyVault/vaults/secrets/getSecret/action".to_owned()),
        }),
        baseline: Some(Baseline {
            source: side("0a1b"),
            target: side("2c3d"),
            read_at: at(5),
            synced_at: at(6),
            how: Arrival::Written,
            source_uri: vault("prod-eu-kv").uri,
            target_uri: vault("prod-ne-kv").uri,
            source_resource_id: vault("prod-eu-kv").resource_id,
            target_resource_id: vault("prod-ne-kv").resource_id,
            rotation: None,
        }),
        source_seen: Some(side("0a1b")),
        leave: Some(Leave {
            actor: "token:admin".to_owned(),
            at: at(7),
            sequence: Sequence(11),
            target_version: Some("2c3d".parse().unwrap()),
            kind: LeaveKind::Acknowledge,
        }),
        attempt: 2,
        next_attempt: Some(at(8)),
        unresolved: Some(unresolved()),
        last_attempt: Some(report()),
        run: Some(RunId::from_random(4)),
        revision: Revision(3),
        ..Record::new(record_id(), Status::Retrying, None)
    }
}

/// A record that is compared again: after a late write, and because somebody asked.
pub fn doubted() -> Record {
    let report = AttemptReport { throttled: Some(Side::Target), retry_after_ms: Some(7_000), ..report() };
    Record { late: vec![unresolved()], thorough: true, last_attempt: Some(report), ..record() }
}

/// A record whose item is missing, whose target drifted and for which leave was given.
pub fn seen() -> Record {
    let leave = Leave {
        actor: "token:admin".to_owned(),
        at: at(7),
        sequence: Sequence(11),
        target_version: None,
        kind: LeaveKind::Correct,
    };
    Record {
        code: Some(ErrorCode::Drift),
        target_seen: Some(SideState { version: None, ..side("2c3d") }),
        leave: Some(leave),
        miss: Some(Miss { run: RunId::from_random(4), at: at(8) }),
        ..Record::new(record_id(), Status::Drifted, None)
    }
}

/// A record whose attempt named the attributes that it was about to bring.
pub fn bringing() -> Record {
    let brings = UnresolvedAttempt { brings: Some(u64::MAX), ..unresolved() };
    Record { unresolved: Some(brings), ..Record::new(record_id(), Status::Syncing, None) }
}

/// A record whose delete is under way, after an earlier one.
pub fn deleting() -> Record {
    let report = AttemptReport { outcome: OutcomeKind::Deleted, ..report() };
    Record {
        delete: Some(DeleteTrigger::Deleted),
        deleted_at: Some(at(9)),
        unresolved: Some(UnresolvedAttempt { deletes: true, ..unresolved() }),
        last_attempt: Some(report),
        ..Record::new(record_id(), Status::Syncing, None)
    }
}

pub fn broken_off() -> ListingFailure {
    ListingFailure {
        side: Side::Source,
        kind: ItemType::Keys,
        listing: Listing::Deleted,
        code: ErrorCode::SourceAuthFailed,
        message: "403 ForbiddenByRbac".to_owned(),
    }
}

pub fn next_run() -> NextRun {
    NextRun {
        id: RunId::from_random(5),
        correlation_id: correlation(),
        trigger: Trigger::Manual,
        asked_by: BTreeSet::new(),
    }
}

pub fn run() -> Run {
    Run {
        id: RunId::from_random(4),
        config: config_id(),
        revision: Revision(3),
        trigger: Trigger::Schedule,
        correlation_id: correlation(),
        asked_by: BTreeSet::new(),
        coordinator: member("coordinator-1"),
        epoch: Epoch(7),
        started: at(0),
        phase: Phase::Ended,
        ended: Some(at(9)),
        end: Some(RunEnd::Failed { code: ErrorCode::SourceAuthFailed, message: "no token".to_owned() }),
        counts: RunCounts {
            source_items: 5,
            target_items: 4,
            planned: 3,
            attempted: 2,
            unchanged: 1,
            calls: CallCounts { list: 6, get: 4, set: 2 },
            by_status: [(Status::Active, 4), (Status::Failed, 1)].into(),
            by_code: [(ErrorCode::SourceAuthFailed, 1)].into(),
            complete: true,
        },
        failures: Vec::new(),
        resumed: 1,
        next: None,
        follow_up: 0,
    }
}

pub fn config() -> Config {
    Config {
        id: config_id(),
        spec: ConfigSpec {
            name: "prod-eu to prod-ne".to_owned(),
            target_type: TargetType::AzureKeyVault,
            source: discovered("prod-eu-kv"),
            target: discovered("prod-ne-kv"),
            item_types: ItemType::ALL.into(),
            rule: Rule::Tagged { tag: "replicate=true".to_owned() },
            exclude: vec!["tmp-*".to_owned()],
            behaviour: Behaviour::default(),
            paused: false,
        },
        source: vault("prod-eu-kv"),
        target: vault("prod-ne-kv"),
        created: at(0),
        deleted: false,
        change: Change {
            actor: "token:admin".to_owned(),
            action: "create".to_owned(),
            reason: Some("disaster recovery".to_owned()),
            correlation_id: correlation(),
            at: at(0),
        },
    }
}

pub fn item() -> ItemMeta {
    ItemMeta {
        name: "TLS-cert".parse().unwrap(),
        attributes: attributes(),
        created: Some(at(0)),
        updated: Some(at(3)),
        managed: true,
        x5t: Some("qvTYJXE".to_owned()),
    }
}

pub fn lease() -> SlotLease {
    SlotLease { slot: Slot(52), owner: member("coordinator-1"), epoch: Some(Epoch(9)), renewals: 0 }
}

pub fn sync_record() -> SyncRecord {
    SyncRecord {
        record: record(),
        expected: Sequence(11),
        epoch: Epoch(7),
        revision: Revision(3),
        outcome_unknown: true,
        thorough: true,
        source: vault("prod-eu-kv"),
        target: vault("prod-ne-kv"),
        behaviour: Behaviour { overwrite_on_conflict: true, ..Behaviour::default() },
        listed: Some(item()),
        listed_at: None,
    }
}

pub fn inventory_request() -> InventoryRequest {
    InventoryRequest {
        config: config_id(),
        side: Side::Target,
        vault: vault("prod-ne-kv"),
        kind: ItemType::Keys,
        listing: Listing::Deleted,
        continuation: Some("https://prod-ne-kv.vault.azure.net/deletedkeys?$skiptoken=x".to_owned()),
    }
}

pub fn inventory_page() -> InventoryPage {
    InventoryPage {
        live: vec![item()],
        deleted: vec![DeletedMeta { item: item(), deleted: Some(at(1)), purge_due: Some(at(2)) }],
        next: Some("https://prod-ne-kv.vault.azure.net/keys?$skiptoken=x".to_owned()),
        read_at: at(3),
    }
}

pub fn failure() -> CallFailure {
    CallFailure { code: ErrorCode::Throttled, detail: Detail::new("too many calls"), retry_after_ms: Some(2_000) }
}

pub fn heartbeat() -> Heartbeat {
    Heartbeat {
        member: member("worker-1"),
        role: Role::Worker,
        version: "0.1.0".to_owned(),
        started: at(0),
        beat: 42,
        slots: vec![Slot(1), Slot(52)],
        room: 250,
        in_flight: 6,
        draining: true,
    }
}

pub fn config_query() -> ConfigQuery {
    let filter =
        RecordFilter { status: Some(Status::Failed), kind: Some(ItemType::Keys), name: Some("db-*".to_owned()) };
    ConfigQuery::Records { filter, after: Some(record_id().key()), limit: 100 }
}

pub fn config_reply() -> ConfigReply {
    let key: RecordKey = record_id().key();
    ConfigReply::Records { keys: vec![key.clone()], next: Some(key), total: 1, hash: None }
}

pub fn records_with_hash() -> ConfigReply {
    ConfigReply::Records { keys: vec![record_id().key()], next: None, total: 1, hash: Some(SetHash(7)) }
}

pub fn plan_view() -> PlanView {
    PlanView {
        items: vec![PlanItem {
            key: record_id().key(),
            action: PlanAction::Block,
            code: Some(ErrorCode::DeleteHeld),
            message: Some("held".to_owned()),
        }],
        next: Some(record_id().key()),
        counts: [(PlanAction::Nothing, 3), (PlanAction::Block, 1)].into(),
        not_found: vec!["gone".parse().unwrap()],
        complete: true,
        hash: SetHash(0x0a1b_2c3d),
    }
}

pub fn set() -> SetBody {
    let filter = RecordFilter { status: Some(Status::BlockedTargetConflict), ..RecordFilter::default() };
    SetBody { filter, hash: SetHash(7) }
}

pub fn leave_command() -> ConfigCommand {
    let leave =
        LeaveBody { kind: LeaveKind::Accept, sequence: Sequence(11), target_version: Some("2c3d".parse().unwrap()) };
    ConfigCommand::Leave { actor: "token:admin".into(), key: record_id().key(), leave }
}

pub fn leave_all_command() -> ConfigCommand {
    let leave = LeaveAllBody { kind: LeaveKind::Acknowledge, set: set() };
    ConfigCommand::LeaveAll { actor: "token:admin".into(), leave }
}

pub fn api_token() -> ApiToken {
    ApiToken { name: "admin".to_owned(), role: ApiRole::Admin, sha256: "00".repeat(32), created: at(0) }
}
