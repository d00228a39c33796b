//! The contract's stage: the SDK's adapter, and an emulator in this process with the stage's vaults and items.

use std::{fmt::Write, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use async_trait::async_trait;
use emulator::{Estate, Limits, Running, Settings};
use proto_msgs::ItemType;
use serde_json::{Value, json};
use system_tests::{AzureReader, CLIENT_ID, CLIENT_SECRET, EmulatorAdmin, TENANT};
use tempfile::TempDir;
use vault::{
    Operation, Vaults,
    azure::{AzureSettings, AzureVaults, IdentityKind, IdentitySettings},
    contract::{
        Broken, Claim, Failure, Stage,
        stage::{StageItem, StageVault, VAULTS},
    },
};

/// An emulator in this process.
pub struct Emulator {
    running: Running,
    pub folder: TempDir,
}

impl Emulator {
    pub async fn start(estate: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = emulator::start(Settings {
            listen: any_port,
            admin_listen: Some(any_port),
            estate: Estate::parse(estate)?,
            state_file: None,
            ca_out: Some(folder.path().join("ca.pem")),
            latency: Duration::ZERO,
            limits: Limits::Off,
        })
        .await?;
        // Once per process; a second time it says that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        std::fs::write(folder.path().join("secret"), CLIENT_SECRET)?;
        Ok(Self { running, folder })
    }

    pub fn admin_addr(&self) -> Result<SocketAddr> {
        self.running.admin_addr.context("the emulator has an admin listener")
    }

    pub fn admin(&self) -> Result<EmulatorAdmin> {
        EmulatorAdmin::new(self.admin_addr()?.port())
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The estate's first identity, by its secret.
    pub fn by_secret(&self) -> IdentitySettings {
        IdentitySettings {
            kind: IdentityKind::ClientSecret,
            tenant: Some(TENANT.to_owned()),
            client_id: Some(CLIENT_ID.to_owned()),
            secret_file: Some(self.folder.path().join("secret")),
            ..IdentitySettings::default()
        }
    }

    pub fn settings(&self, source: IdentitySettings, target: IdentitySettings) -> AzureSettings {
        let port = self.running.addr.port();
        AzureSettings {
            source,
            target,
            authority_host: Some(format!("https://login.localhost:{port}")),
            management_endpoint: format!("https://management.localhost:{port}"),
            vault_suffix: format!("vault.localhost:{port}"),
            ca_file: Some(self.ca()),
            resolve_localhost: true,
        }
    }

    pub async fn stop(self) -> Result<()> {
        Ok(self.running.stop().await?)
    }
}

pub struct AzureStage {
    vaults: AzureVaults,
    emulator: Emulator,
    admin: EmulatorAdmin,
}

impl AzureStage {
    pub async fn start() -> Result<Self> {
        let emulator = Emulator::start(&estate()).await?;
        let admin = emulator.admin()?;
        admin.change_settings(json!({ "phase_ms": 0 })).await?;
        let identity = emulator.by_secret();
        let vaults = AzureVaults::new(emulator.settings(identity.clone(), identity))?;
        Ok(Self { vaults, emulator, admin })
    }

    pub async fn stop(self) -> Result<()> {
        self.emulator.stop().await
    }

    async fn owner(&self, vault: &str) -> Result<AzureReader> {
        AzureReader::connect(self.emulator.running.addr, &self.emulator.ca(), &[vault]).await
    }
}

/// The stage, as the emulator reads it.
fn estate() -> String {
    let mut yaml = format!(
        "tenant: {TENANT}\nidentities:\n  - {{ name: keyferry, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET} }}\n\
         subscriptions:\n"
    );
    let mut subscriptions: Vec<_> = VAULTS.iter().map(|vault| vault.subscription).collect();
    subscriptions.sort_unstable();
    subscriptions.dedup();
    for subscription in subscriptions {
        // Writing to a string cannot fail.
        let _ = write!(yaml, "  - id: {subscription}\n    name: {subscription}\n    vaults:\n");
        VAULTS
            .iter()
            .filter(|vault| vault.subscription == subscription)
            .for_each(|vault| write_vault(&mut yaml, vault));
    }
    yaml
}

fn write_vault(yaml: &mut String, vault: &StageVault) {
    let StageVault { name, region, .. } = vault;
    let roles = if vault.is_bare { "" } else { "{ identity: keyferry, role: Key Vault Administrator }" };
    let firewall = if vault.is_shut { "deny" } else { "open" };
    let _ = write!(
        yaml,
        "      - name: {name}\n        resource_group: rg\n        region: {region}\n        roles: [{roles}]\n        \
         firewall: {firewall}\n        items:\n"
    );
    for kind in ItemType::ALL {
        let items = vault.items.iter().filter(|item| item.kind == kind).map(|item| described(item).to_string());
        let _ = writeln!(yaml, "          {kind}: [{}]", items.collect::<Vec<_>>().join(", "));
    }
}

/// JSON is YAML.
fn described(item: &StageItem) -> Value {
    let mut entry = json!({
        "name": item.name,
        "versions": item.versions,
        "enabled": item.enabled,
        "deleted": item.is_deleted,
        "tags": item.tag.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>(),
    });
    let mut set = |field: &str, value: Value| entry[field] = value;
    match item.kind {
        ItemType::Secrets => {
            set("count", json!((item.count > 1).then_some(item.count)));
            set("value", json!(item.value));
            set("content_type", json!(item.content_type));
            set("not_before", json!(item.times.map(|(from, _)| from)));
            set("expires", json!(item.times.map(|(_, to)| to)));
        }
        ItemType::Certificates => {
            set("type", json!("EC"));
            set("chain", json!(1));
            set("format", json!(if item.is_pem { "pem" } else { "pkcs12" }));
            set("exportable", json!(item.is_exportable));
            set("pending", json!(item.is_pending));
            set("not_before", json!("2020-01-01T00:00:00Z"));
            set("expires", json!(if item.is_expired { "2021-01-01T00:00:00Z" } else { "2090-01-01T00:00:00Z" }));
        }
        ItemType::Keys => {
            set("type", json!("EC"));
            set("rotate_after", json!(item.rotates.then_some("P90D")));
        }
    }
    entry
}

fn broken(error: anyhow::Error) -> Broken {
    Broken::new(format!("{error:#}"))
}

#[async_trait]
impl Stage for AzureStage {
    fn vaults(&self) -> &dyn Vaults {
        &self.vaults
    }

    async fn fail(&self, vault: &str, operation: Operation, failure: Failure) -> Claim {
        let operation = match operation {
            Operation::ReadSecret => "secrets.get",
            Operation::WriteSecret => "secrets.set",
            Operation::List
            | Operation::ListVersions
            | Operation::ReadMeta
            | Operation::ReadDeleted
            | Operation::ReadCertificate
            | Operation::ExportCertificate
            | Operation::ImportCertificate
            | Operation::ReadKey
            | Operation::ReadRotation
            | Operation::BackupKey
            | Operation::RestoreKey
            | Operation::Update
            | Operation::Delete
            | Operation::Resolve => return Err(Broken::new(format!("no claim lets {operation} fail"))),
        };
        let status = |status: u16| json!({ "status": { "status": status } });
        let (when, then) = match failure {
            Failure::Throttled(wait) => {
                let wait = wait.map(|wait| wait.as_secs());
                ("before", json!({ "status": { "status": 429, "code": "Throttled", "retry_after": wait } }))
            }
            Failure::Unavailable => ("before", status(503)),
            Failure::Unauthenticated => ("before", status(401)),
            Failure::PolicyDenied => ("before", json!({ "status": { "status": 403, "inner": "ForbiddenByPolicy" } })),
            Failure::Lost => ("after", json!("reset")),
            Failure::Hangs => ("before", json!("timeout")),
        };
        let fault = json!([{ "operation": operation, "vault": vault, "when": when, "then": then }]);
        self.admin.set_faults(fault).await.map_err(broken)
    }

    async fn set_phase(&self, phase: Duration) -> Claim {
        let phase = u64::try_from(phase.as_millis()).unwrap_or(u64::MAX);
        self.admin.change_settings(json!({ "phase_ms": phase })).await.map_err(broken)
    }

    async fn begin_with_empty_pages(&self) -> Claim {
        self.admin.change_settings(json!({ "empty_first_pages": true })).await.map_err(broken)
    }

    async fn recover(&self, vault: &str, kind: ItemType, name: &str) -> Claim {
        let owner = self.owner(vault).await.map_err(broken)?;
        owner.recover(vault, kind, name).await.map_err(broken)
    }

    async fn purge(&self, vault: &str, kind: ItemType, name: &str) -> Claim {
        let owner = self.owner(vault).await.map_err(broken)?;
        owner.purge(vault, kind, name).await.map_err(broken)
    }
}
