//! The vault port over the official Rust SDK, against the emulator over TLS: every call, and what its failures mean.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use emulator::{Estate, Limits, Running, Settings};
use proto_msgs::{
    CorrelationId, ItemName, ItemType, VaultRef,
    config::DiscoveredVault,
    vault::{Attributes, Side, VaultIdentity},
    worker::Listing,
};
use system_tests::{CLIENT_ID, CLIENT_SECRET, EstateBuilder, TENANT};
use tempfile::TempDir;
use vault::{
    CertificateImport, SecretValue, Vault, VaultErrorKind, Vaults, WriteGate,
    azure::{AzureSettings, AzureVaults, IdentityKind, IdentitySettings},
};

const ITEMS: &str = "        items:
          secrets:
            - { name: db, value: first, content_type: text/plain, tags: { a: b } }
            - { name: off, value: x, enabled: false }
            - { name: gone, value: x, deleted: true }
            - { name: \"bulk-{n}\", count: 60 }
          certificates:
            - { name: tls, chain: 1, type: EC, tags: { c: d } }
            - { name: tls-pem, format: pem, type: EC }
            - { name: waiting, pending: true, type: EC }
          keys:
            - { name: signer, type: EC, versions: 3 }
";

/// Two vaults of one geography, one elsewhere, and what is needed to call them.
struct Azure {
    vaults: AzureVaults,
    running: Running,
    _folder: TempDir,
}

impl Azure {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let estate = EstateBuilder::new()
            .vault_with("from-kv", "westeurope", ITEMS)
            .vault("into-kv", "northeurope", 0)
            .vault("far-kv", "eastus", 0)
            .vault_with("shut-kv", "westeurope", "        firewall: deny\n");
        let ca = folder.path().join("ca.pem");
        let running = emulator::start(Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: None,
            estate: Estate::parse(&estate.yaml())?,
            state_file: None,
            ca_out: Some(ca.clone()),
            latency: Duration::ZERO,
            limits: Limits::Off,
        })
        .await?;
        // Once per process; a second time it says that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, CLIENT_SECRET)?;
        let identity = || IdentitySettings {
            kind: IdentityKind::ClientSecret,
            tenant: Some(TENANT.to_owned()),
            client_id: Some(CLIENT_ID.to_owned()),
            secret_file: Some(secret.clone()),
            secret_env: None,
        };
        let port = running.addr.port();
        let vaults = AzureVaults::new(AzureSettings {
            source: identity(),
            target: identity(),
            authority_host: Some(format!("https://login.localhost:{port}")),
            management_endpoint: format!("https://management.localhost:{port}"),
            vault_suffix: format!("vault.localhost:{port}"),
            ca_file: Some(ca),
            resolve_localhost: true,
        })?;
        Ok(Self { vaults, running, _folder: folder })
    }

    async fn identity(&self, name: &str) -> Result<VaultIdentity> {
        let reference = VaultRef::Discovered(DiscoveredVault { vault: name.to_owned() });
        let answer = self.vaults.resolve(Side::Source, &reference, correlation()).await;
        answer.map_err(|failure| anyhow::anyhow!("{name}: {failure:?}"))
    }

    async fn open(&self, name: &str) -> Result<Arc<dyn Vault>> {
        let side = if name == "from-kv" { Side::Source } else { Side::Target };
        Ok(self.vaults.open(side, &self.identity(name).await?).await?)
    }
}

fn correlation() -> CorrelationId {
    CorrelationId::from_random(5)
}

fn name(text: &str) -> Result<ItemName> {
    Ok(text.parse()?)
}

fn plain() -> Attributes {
    Attributes { enabled: true, not_before: None, expires: None, content_type: None, tags: BTreeMap::new() }
}

fn open_gate() -> WriteGate {
    WriteGate::new(|| true)
}

#[actix_rt::test]
async fn a_vault_is_found_with_all_that_is_known_of_it() -> Result<()> {
    let azure = Azure::start().await?;
    let found = azure.identity("FROM-KV").await?;
    ensure!(found.geography.as_deref() == Some("Europe") && found.tenant == TENANT && found.verified, "{found:?}");
    ensure!(azure.identity("nowhere-kv").await.is_err(), "nowhere");
    Ok(azure.running.stop().await?)
}

#[actix_rt::test]
async fn listings_come_in_pages_with_metadata_and_no_values() -> Result<()> {
    let azure = Azure::start().await?;
    let vault = azure.open("from-kv").await?;
    let (mut live, mut continuation, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = vault.list(ItemType::Secrets, Listing::Live, continuation, correlation()).await?;
        pages += 1;
        live.extend(page.live);
        match page.next {
            Some(next) => continuation = Some(next),
            None => break,
        }
    }
    // 62 plain ones, and those of two certificates.
    ensure!(live.len() == 64 && pages == 3, "{} items on {pages} pages", live.len());
    let db = live.iter().find(|item| item.name.as_str() == "db").context("db is listed")?;
    ensure!(db.attributes.content_type.as_deref() == Some("text/plain"), "{db:?}");
    let own = live.iter().find(|item| item.name.as_str() == "tls").context("tls is listed")?;
    ensure!(own.managed, "{own:?}");
    let deleted = vault.list(ItemType::Secrets, Listing::Deleted, None, correlation()).await?;
    ensure!(deleted.deleted.len() == 1, "{:?}", deleted.deleted);
    let certificates = vault.list(ItemType::Certificates, Listing::Live, None, correlation()).await?;
    ensure!(certificates.live.len() == 3, "pending ones are listed too: {:?}", certificates.live);
    Ok(azure.running.stop().await?)
}

#[actix_rt::test]
async fn a_secret_is_read_written_and_updated() -> Result<()> {
    let azure = Azure::start().await?;
    let (from, into) = (azure.open("from-kv").await?, azure.open("into-kv").await?);
    let read = from.read_secret(&name("db")?, None, correlation()).await?.value;
    ensure!(read.value == SecretValue::from_text("first".to_owned()), "another value");
    let db = name("db")?;
    let written = into.write_secret(&db, &read.value, &read.state.attributes, &open_gate(), correlation()).await?;
    ensure!(written.request_id.is_some(), "no request id");
    let mut attributes = read.state.attributes.clone();
    attributes.tags.insert("more".to_owned(), "1".to_owned());
    let updated = into.update(ItemType::Secrets, &db, &attributes, &open_gate(), correlation()).await?.value;
    ensure!(updated.version == written.value.version && updated.attributes == attributes, "{updated:?}");
    let versions = into.versions(ItemType::Secrets, &db, correlation()).await?.value;
    ensure!(versions.len() == 1, "{versions:?}");
    Ok(azure.running.stop().await?)
}

#[actix_rt::test]
async fn a_closed_gate_lets_nothing_out() -> Result<()> {
    let azure = Azure::start().await?;
    let into = azure.open("into-kv").await?;
    let (gated, value) = (name("gated")?, SecretValue::from_text("x".to_owned()));
    let gate = WriteGate::new(|| false);
    let refused = into.write_secret(&gated, &value, &plain(), &gate, correlation()).await;
    let error = refused.err().context("the gate was closed")?;
    ensure!(error.kind == VaultErrorKind::GateClosed && !error.may_have_written, "{error:?}");
    let read = into.read_secret(&gated, None, correlation()).await;
    ensure!(read.err().map(|error| error.kind) == Some(VaultErrorKind::NotFound), "something was written");
    Ok(azure.running.stop().await?)
}

#[actix_rt::test]
async fn certificates_keep_their_thumbprint_on_the_way() -> Result<()> {
    let azure = Azure::start().await?;
    let (from, into) = (azure.open("from-kv").await?, azure.open("into-kv").await?);
    for item in ["tls", "tls-pem"] {
        let item = name(item)?;
        let source = from.read_certificate(&item, correlation()).await?.value;
        let material = from.export_certificate(&item, None, correlation()).await?.value;
        let import = CertificateImport { material, policy: source.policy, attributes: source.state.attributes.clone() };
        let imported = into.import_certificate(&item, &import, &open_gate(), correlation()).await?.value;
        ensure!(imported.x5t == source.state.x5t && imported.x5t.is_some(), "{item}: {imported:?}");
        let listed = into.list(ItemType::Certificates, Listing::Live, None, correlation()).await?;
        let listed = listed.live.iter().find(|listed| listed.name == item).context("it is listed")?;
        ensure!(listed.attributes == imported.attributes, "{item}: {listed:?} {imported:?}");
    }
    Ok(azure.running.stop().await?)
}

#[actix_rt::test]
async fn a_key_is_restored_once_and_in_its_own_geography_only() -> Result<()> {
    let azure = Azure::start().await?;
    let from = azure.open("from-kv").await?;
    let backup = from.backup_key(&name("signer")?, correlation()).await?.value;
    let far = azure.open("far-kv").await?.restore_key(&backup, &open_gate(), correlation()).await;
    let far = far.err().map(|error| error.kind);
    ensure!(matches!(far, Some(VaultErrorKind::OtherGeography | VaultErrorKind::Rejected)), "{far:?}");
    let into = azure.open("into-kv").await?;
    let restored = into.restore_key(&backup, &open_gate(), correlation()).await?.value;
    let source = from.read_key(&name("signer")?, correlation()).await?.value;
    ensure!(restored.version == source.state.version, "{restored:?}");
    let again = into.restore_key(&backup, &open_gate(), correlation()).await.err().map(|error| error.kind);
    ensure!(again == Some(VaultErrorKind::AlreadyExists), "{again:?}");
    Ok(azure.running.stop().await?)
}

#[actix_rt::test]
async fn failures_are_told_apart() -> Result<()> {
    let azure = Azure::start().await?;
    let from = azure.open("from-kv").await?;
    let read = |item: &'static str| {
        let from = from.clone();
        async move { anyhow::Ok(from.read_secret(&name(item)?, None, correlation()).await.err().map(|error| error.kind)) }
    };
    ensure!(read("absent").await? == Some(VaultErrorKind::NotFound), "absent");
    ensure!(read("off").await? == Some(VaultErrorKind::Disabled), "off");
    let value = SecretValue::from_text("x".to_owned());
    for (item, expected) in [("gone", VaultErrorKind::SoftDeleted), ("tls", VaultErrorKind::ManagedByCertificate)] {
        let written = from.write_secret(&name(item)?, &value, &plain(), &open_gate(), correlation()).await;
        let kind = written.err().map(|error| error.kind);
        ensure!(kind == Some(expected), "{item}: {kind:?}");
    }
    let large = SecretValue::from_text("x".repeat(30_000));
    let rejected = from.write_secret(&name("large")?, &large, &plain(), &open_gate(), correlation()).await;
    ensure!(rejected.err().map(|error| error.kind) == Some(VaultErrorKind::Rejected), "large");
    let shut = azure.open("shut-kv").await?.read_secret(&name("any")?, None, correlation()).await;
    ensure!(shut.err().map(|error| error.kind) == Some(VaultErrorKind::NetworkDenied), "shut");
    Ok(azure.running.stop().await?)
}
