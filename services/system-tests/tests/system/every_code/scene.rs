//! Vaults, faults and people that bring a record to every status and code but those that take minutes.
//!
//! What the estate can express comes from there; a fault stands in only for what an emulated vault would not do by
//! itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::timing::SAME_SECOND_MARGIN;
use proto_msgs::{
    ErrorCode::*,
    ItemType::{Certificates, Keys, Secrets},
    Run,
    Status::*,
    run::RunEnd,
};
use serde_json::{Value, json};
use system_tests::{AzureReader, Cluster, ClusterBuilder, EstateBuilder, until};

use super::{Configs, Row, active, passes, stays, was};
use crate::{
    command_line::json as said,
    fixtures::{LIMIT, SOURCE, TARGET, all_active, between, records, with_logs},
};

const READER: &str = "00000000-0000-4000-8000-0000000000c1";
const WRITER: &str = "00000000-0000-4000-8000-0000000000c2";
const OTHER_SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000002";
/// All that a side needs, and more.
const EVERYTHING: &[(&str, &str)] = &[("reader", "Key Vault Administrator"), ("writer", "Key Vault Administrator")];
/// As long as a vault asks to be left alone, and a deletion takes: no test waits for either to end.
const LONG_S: u64 = 600;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    active("main", Secrets, "fine"),
    was("main", Secrets, "fine", Pending),
    was("main", Secrets, "fine", Syncing),
    active("main", Keys, "fine-key"),
    stays("main", Secrets, "excluded-1", BlockedExcluded, Excluded),
    stays("main", Secrets, "retired", BlockedSourceSoftDeleted, SourceSoftDeleted),
    stays("main", Secrets, "off", BlockedSourceDisabled, SourceDisabled),
    stays("main", Secrets, "taken", BlockedTargetConflict, TargetConflictActive),
    stays("main", Secrets, "dropped", BlockedTargetSoftDeleted, TargetSoftDeleted),
    passes("main", Secrets, "leaving", Retrying, TargetBeingDeleted),
    stays("main", Secrets, "rejected", Failed, TargetRejected),
    stays("main", Secrets, "unwanted", Failed, TargetPolicyDenied),
    stays("main", Secrets, "strange", Failed, Unknown),
    passes("main", Secrets, "vanishing", Retrying, SourceNotFound),
    stays("main", Secrets, "idle", Disabled, OperatorDisabled),
    stays("main", Certificates, "locked", BlockedCertificateNotExportable, CertificateNotExportable),
    stays("main", Certificates, "waiting", BlockedCertificatePending, CertificatePending),
    stays("main", Certificates, "stale", BlockedCertificateExpired, CertificateExpired),
    stays("main", Certificates, "edge", BlockedTargetNameTaken, TargetNameTaken),
    stays("main", Keys, "root", BlockedTargetKeyExists, TargetKeyExists),
    stays("main", Keys, "worn", Failed, TooManyVersions),
    passes("main", Keys, "odd", Retrying, UnknownKeyType),
    stays("main", Keys, "odd", Failed, UnknownKeyType),
    stays("other", Secrets, "fine", BlockedTargetClaimed, TargetClaimed),
    stays("other", Secrets, "tls", BlockedManagedByCertificate, ManagedByCertificate),
    stays("other", Secrets, "drifting", Drifted, Drift),
    stays("other", Secrets, "zz-unmatched", Disabled, RuleNoMatch),
    stays("near", Keys, "signer", Failed, AttributeCannotBeCleared),
    stays("far", Keys, "signer", BlockedCrossGeographyKey, CrossGeographyKey),
    stays("elsewhere", Keys, "signer", BlockedCrossSubscriptionKey, CrossSubscriptionKey),
    stays("nowhere", Keys, "signer", BlockedGeographyUnknown, GeographyUnknown),
    stays("unread", Secrets, "plain", Failed, SourceAuthFailed),
    stays("unread", Keys, "signer", Failed, RbacBackupKey),
    stays("unwritten", Secrets, "plain", Failed, TargetAuthFailed),
    stays("unwritten", Keys, "signer", Failed, RbacRestoreKey),
    stays("walled", Secrets, "read", Failed, SourceNetworkDenied),
    stays("walled", Secrets, "written", Failed, TargetNetworkDenied),
    passes("busy", Secrets, "hurried", Retrying, Throttled),
    passes("shaky", Secrets, "flaky", Retrying, TransientNetwork),
    stays("moved", Secrets, "kept", Failed, VaultReplaced),
];

const MAIN: &str = "        items:
          secrets:
            - { name: fine }
            - { name: excluded-1 }
            - { name: retired, deleted: true }
            - { name: \"off\", enabled: false }
            - { name: taken, value: ours }
            - { name: dropped }
            - { name: leaving }
            - { name: rejected }
            - { name: unwanted }
            - { name: strange }
            - { name: vanishing }
            - { name: idle }
          certificates:
            - { name: locked, type: EC, exportable: false }
            - { name: waiting, type: EC, pending: true }
            - { name: stale, type: EC, not_before: \"2020-01-01T00:00:00Z\", expires: \"2021-01-01T00:00:00Z\" }
            - { name: edge, type: EC }
          keys:
            - { name: fine-key, type: EC }
            - { name: root, type: EC }
            - { name: worn, type: EC, versions: 501 }
            - { name: odd, type: EC, shown_type: AKP }
";
const MAIN_TARGET: &str = "        items:
          secrets:
            - { name: taken, value: theirs }
            - { name: dropped, deleted: true }
            - { name: leaving }
            - { name: edge }
          keys: [{ name: root, type: EC }]
";
const OTHER: &str = "        items:
          secrets: [{ name: fine }, { name: drifting }, { name: zz-unmatched }]
          certificates: [{ name: tls, type: EC }]
";
const PLAIN_AND_SIGNER: &str = "        items: { secrets: [{ name: plain }], keys: [{ name: signer, type: EC }] }\n";

/// A cluster with its configs, in which every row is shown sooner or later.
pub(super) async fn play() -> Result<(Cluster, Configs)> {
    let cluster = ClusterBuilder::new(estate()).unlimited().identities(READER, WRITER).start().await?;
    let reader = cluster.reader(&[SOURCE, TARGET, "near-kv"]).await.context("the emulator gives no token")?;
    // Deleted by somebody else, and for long not through with it.
    cluster.admin().change_settings(json!({ "phase_ms": LONG_S * 1_000 })).await?;
    reader.delete(TARGET, Secrets, "leaving").await?;
    cluster.admin().change_settings(json!({ "phase_ms": 0 })).await?;
    cluster.admin().set_faults(faults()).await?;

    let mut configs = Configs::new();
    for (name, source, target, change) in CONFIGS {
        let mut spec = between(name, source, target);
        merge(&mut spec, serde_json::from_str(change)?);
        let id = cluster.api().create(spec).await?.config.id;
        // One after the other: the first to write a target item owns it.
        with_logs(&cluster, cluster.api().run_ended(&id, None, LIMIT).await)?;
        configs.insert(name, id);
    }
    people(&cluster, &configs, &reader).await?;
    Ok((cluster, configs))
}

const KEYS: &str = r#"{ "item_types": ["keys"] }"#;
const SECRETS_AND_KEYS: &str = r#"{ "item_types": ["secrets", "keys"] }"#;

/// Name, source, target, and what of the spec is other than usual.
const CONFIGS: [(&str, &str, &str, &str); 12] = [
    ("main", SOURCE, TARGET, r#"{ "item_types": ["secrets", "certificates", "keys"], "exclude": ["excluded-*"] }"#),
    ("other", "other-kv", TARGET, "{}"),
    ("near", "keys-kv", "near-kv", r#"{ "item_types": ["keys"], "behaviour": { "drift_policy": "correct" } }"#),
    ("far", "keys-kv", "far-kv", KEYS),
    ("elsewhere", "keys-kv", "elsewhere-kv", KEYS),
    ("nowhere", "keys-kv", "nowhere-kv", KEYS),
    ("unread", "unread-kv", "spare-kv", SECRETS_AND_KEYS),
    ("unwritten", "plain-kv", "unwritten-kv", SECRETS_AND_KEYS),
    ("walled", "walled-kv", "walled-into-kv", "{}"),
    ("busy", "busy-kv", "busy-into-kv", "{}"),
    ("shaky", "shaky-kv", "shaky-into-kv", "{}"),
    ("moved", "moved-kv", "moved-into-kv", "{}"),
];

fn merge(spec: &mut Value, change: Value) {
    if let Value::Object(change) = change {
        change.into_iter().for_each(|(field, value)| spec[field] = value);
    }
}

fn estate() -> EstateBuilder {
    let secrets = |names: &[&str]| {
        let list: Vec<_> = names.iter().map(|name| format!("{{ name: {name} }}")).collect();
        format!("        items: {{ secrets: [{}] }}\n", list.join(", "))
    };
    let keys = "        items: { keys: [{ name: signer, type: EC }] }\n";
    let (west, north) = ("westeurope", "northeurope");
    let few_reads = ["secrets/readMetadata/action", "keys/read"];
    let few_writes = ["secrets/readMetadata/action", "secrets/getSecret/action", "keys/read"];
    let estate = EstateBuilder::new()
        .identity("reader", READER)
        .identity("writer", WRITER)
        .custom_role("few-reads", &few_reads)
        .custom_role("few-writes", &few_writes)
        .unlisted_region("uksouth");
    [
        (SOURCE, west, MAIN),
        (TARGET, north, MAIN_TARGET),
        ("other-kv", west, OTHER),
        ("keys-kv", west, keys),
        ("near-kv", north, ""),
        ("far-kv", "eastus", ""),
        ("nowhere-kv", "uksouth", ""),
        ("spare-kv", north, ""),
        ("plain-kv", west, PLAIN_AND_SIGNER),
        ("walled-kv", west, &secrets(&["read", "written"])),
        ("walled-into-kv", north, ""),
        ("busy-kv", west, &secrets(&["hurried"])),
        ("busy-into-kv", north, ""),
        ("shaky-kv", west, &secrets(&["flaky"])),
        ("shaky-into-kv", north, ""),
        ("moved-kv", west, &secrets(&["kept"])),
        ("moved-into-kv", north, ""),
    ]
    .into_iter()
    .fold(estate, |estate, (vault, region, items)| estate.vault_for(vault, region, EVERYTHING, items))
    .vault_for("unread-kv", west, &[("reader", "few-reads")], PLAIN_AND_SIGNER)
    .vault_for("unwritten-kv", north, &[("writer", "few-writes")], "")
    .subscription(OTHER_SUBSCRIPTION, "other")
    .vault_for("elsewhere-kv", north, EVERYTHING, "")
}

/// What no emulated vault does by itself.
fn faults() -> Value {
    let status = |status: u16, more: Value| {
        let mut then = json!({ "status": status });
        merge(&mut then, more);
        json!({ "status": then })
    };
    let on = |operation: &str, vault: &str, item: &str, then: Value| json!({ "operation": operation, "vault": vault, "item": item, "then": then });
    let mut throttled = on(
        "secrets.get",
        "busy-into-kv",
        "hurried",
        status(429, json!({ "code": "Throttled", "retry_after": LONG_S })),
    );
    // Its first write looks first; somebody who asks for it later is throttled.
    throttled["skip"] = json!(1);
    json!([
        on("secrets.set", TARGET, "rejected", status(400, json!({ "code": "BadParameter" }))),
        on(
            "secrets.set",
            TARGET,
            "unwanted",
            status(403, json!({ "code": "Forbidden", "inner": "ForbiddenByPolicy" }))
        ),
        on("secrets.set", TARGET, "strange", status(418, json!({ "code": "Teapot" }))),
        on("secrets.get", "shaky-kv", "flaky", status(503, json!({ "retry_after": LONG_S }))),
        throttled,
    ])
}

/// What somebody does to items, records and vaults once they were replicated.
async fn people(cluster: &Cluster, configs: &Configs, reader: &AzureReader) -> Result<()> {
    let (api, admin) = (cluster.api(), cluster.admin());
    said(cluster, &["records", "disable", "main", "secrets", "idle"])?;

    reader.delete(SOURCE, Secrets, "vanishing").await?;
    let purged = until("the deleted item to be purged", LIMIT, || async {
        Ok(reader.purge(SOURCE, Secrets, "vanishing").await.ok())
    });
    purged.await?;
    api.sync_record(&configs["main"], Secrets, "vanishing").await?;

    // A listing says nothing of what was written within the second before it.
    tokio::time::sleep(SAME_SECOND_MARGIN + Duration::from_secs(1)).await;
    reader.delete(TARGET, Secrets, "drifting").await?;
    let mut narrowed = between("other", "other-kv", TARGET);
    narrowed["rule"] = json!({ "kind": "pattern", "glob": "[a-y]*" });
    api.edit("other", "*", &narrowed).await?.error_for_status()?;

    reader.update("near-kv", Keys, "signer", &json!({ "attributes": { "exp": 2_900_000_000_u64 } })).await?;
    api.sync_record(&configs["near"], Keys, "signer").await?;

    admin.change_vault("walled-kv", json!({ "firewall": "deny" })).await?;
    settled_as(cluster, configs, "walled", "read").await?;
    admin.change_vault("walled-kv", json!({ "firewall": "open" })).await?;
    admin.change_vault("walled-into-kv", json!({ "firewall": "deny" })).await?;
    settled_as(cluster, configs, "walled", "written").await?;

    api.sync_record(&configs["busy"], Secrets, "hurried").await?;

    replaced_and_back(cluster, configs).await
}

/// A vault that was moved is another one as far as anybody can tell: nothing is written there until it is back.
async fn replaced_and_back(cluster: &Cluster, configs: &Configs) -> Result<()> {
    let (api, admin, config) = (cluster.api(), cluster.admin(), &configs["moved"]);
    let moved_to = async |group: &str| {
        admin.change_vault("moved-into-kv", json!({ "resource_group": group })).await?;
        let run = api.sync(config).await?.run;
        with_logs(cluster, api.run_ended(config, run, LIMIT).await)
    };
    let is_stopped =
        |run: &Run| matches!(run.end, Some(RunEnd::Failed { code: VaultReplaced, .. })) && !run.counts.complete;

    let run = moved_to("rg-elsewhere").await?;
    ensure!(is_stopped(&run), "{run:?}");
    let before = api.record(config, Secrets, "kept").await?;
    let calls = admin.counts().await?.of("moved-into-kv", "secrets.get");
    api.sync_record(config, Secrets, "kept").await?;
    let refused = until("an attempt in a vault that was replaced to be refused", LIMIT, || async {
        let view = api.record(config, Secrets, "kept").await?;
        Ok((view.sequence > before.sequence && view.record.code == Some(VaultReplaced)).then_some(()))
    });
    with_logs(cluster, refused.await)?;
    let now = admin.counts().await?.of("moved-into-kv", "secrets.get");
    ensure!(now == calls, "it was read {} times", now - calls);

    let run = moved_to("rg-test").await?;
    ensure!(run.end == Some(RunEnd::Completed), "{run:?}");
    all_active(&records(cluster, config).await?, 1)?;
    let run = moved_to("rg-elsewhere").await?;
    ensure!(is_stopped(&run), "{run:?}");
    Ok(())
}

/// Syncs a record by itself, and waits until it shows what its row says.
async fn settled_as(cluster: &Cluster, configs: &Configs, config: &str, name: &str) -> Result<()> {
    cluster.api().sync_record(&configs[config], Secrets, name).await?;
    let row = ROWS.iter().find(|row| (row.config, row.name) == (config, name)).context("it has a row")?;
    row.shown(cluster, configs).await.map(drop)
}
