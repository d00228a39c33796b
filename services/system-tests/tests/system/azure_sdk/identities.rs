//! Who a worker can be: every kind of identity that needs nothing but an endpoint, and what its failures mean.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use proto_msgs::{
    CorrelationId, ErrorCode, ItemName, VaultRef,
    config::DiscoveredVault,
    vault::{Attributes, Side},
    worker::ResolveFailure,
};
use serde_json::json;
use system_tests::{CLIENT_ID, CLIENT_SECRET, TENANT};
use vault::{
    Answer, SecretValue, Vault, VaultError, VaultErrorKind, Vaults, WriteGate,
    azure::{AzureSettings, AzureVaults, IdentityKind, IdentitySettings},
};

use super::stage::Emulator;

const WRITER_ID: &str = "00000000-0000-4000-8000-0000000000bb";
const WRITER_SECRET: &str = "writers-own";
/// Says to a test that it is the child of itself, and where the emulator is.
const CHILD: &str = "KEYFERRY_TEST_EMULATOR_PORT";

/// Two identities: one that may only read `from-kv`, one that may only write `into-kv`.
fn estate(certificate: Option<&str>) -> String {
    let certificate = certificate.map(|pem| format!(", client_certificate: {}", json!(pem))).unwrap_or_default();
    format!(
        "tenant: {TENANT}\nidentities:
  - {{ name: reader, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET}{certificate} }}
  - {{ name: writer, client_id: {WRITER_ID}, client_secret: {WRITER_SECRET} }}
subscriptions:
  - id: 00000000-0000-4000-8000-000000000001
    name: test
    vaults:
      - name: from-kv
        resource_group: rg
        region: westeurope
        roles: [{{ identity: reader, role: Key Vault Secrets User }}]
        items: {{ secrets: [{{ name: db, value: first }}] }}
      - name: into-kv
        resource_group: rg
        region: westeurope
        roles: [{{ identity: writer, role: Key Vault Secrets Officer }}]
"
    )
}

fn correlation() -> CorrelationId {
    CorrelationId::from_random(6)
}

async fn open(vaults: &AzureVaults, side: Side, vault: &str) -> Result<std::sync::Arc<dyn Vault>> {
    let reference = VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    let identity = vaults.resolve(side, &reference, correlation()).await;
    let identity = identity.map_err(|failure| anyhow::anyhow!("{vault}: {failure:?}"))?;
    Ok(vaults.open(side, &identity).await?)
}

async fn read(vault: &dyn Vault) -> Result<Answer<vault::Secret>, VaultError> {
    vault.read_secret(&db(), None, correlation()).await
}

async fn write(vault: &dyn Vault, gate: &WriteGate) -> Result<(), VaultError> {
    let value = SecretValue::from_text("x".to_owned());
    vault.write_secret(&db(), &value, &Attributes::plain(), gate, correlation()).await.map(|_| ())
}

fn db() -> ItemName {
    "db".parse().expect("a name")
}

fn open_gate() -> WriteGate {
    WriteGate::new(|| true)
}

/// That the source can be read with the settings' identity.
async fn reads(settings: AzureSettings) -> Result<()> {
    let vault = open(&AzureVaults::new(settings)?, Side::Source, "from-kv").await?;
    let secret = read(vault.as_ref()).await?.value;
    ensure!(secret.value == SecretValue::from_text("first".to_owned()), "another value");
    Ok(())
}

fn writer(emulator: &Emulator) -> Result<IdentitySettings> {
    let file = emulator.folder.path().join("writer");
    std::fs::write(&file, format!("{WRITER_SECRET}\n"))?;
    let client_id = Some(WRITER_ID.to_owned());
    Ok(IdentitySettings { client_id, secret_file: Some(file), ..emulator.by_secret() })
}

#[actix_rt::test]
async fn source_and_target_are_each_called_with_their_own_identity() -> Result<()> {
    let emulator = Emulator::start(&estate(None)).await?;
    let vaults = AzureVaults::new(emulator.settings(emulator.by_secret(), writer(&emulator)?))?;
    let (from, into) = (open(&vaults, Side::Source, "from-kv").await?, open(&vaults, Side::Target, "into-kv").await?);
    read(from.as_ref()).await?;
    write(into.as_ref(), &open_gate()).await?;
    // The same vaults under the other identity.
    let (from, into) = (open(&vaults, Side::Target, "from-kv").await?, open(&vaults, Side::Source, "into-kv").await?);
    let error = read(from.as_ref()).await.err().context("the writer read the source")?;
    ensure!(error.kind == VaultErrorKind::Forbidden && error.code() == ErrorCode::TargetAuthFailed, "{error:?}");
    let error = write(into.as_ref(), &open_gate()).await.err().context("the reader wrote the target")?;
    ensure!(error.kind == VaultErrorKind::Forbidden && error.code() == ErrorCode::SourceAuthFailed, "{error:?}");
    emulator.stop().await
}

#[actix_rt::test]
async fn a_wrong_secret_is_refused_and_a_token_endpoint_that_is_not_well_is_an_outage() -> Result<()> {
    let emulator = Emulator::start(&estate(None)).await?;
    let wrong = IdentitySettings { client_id: Some(WRITER_ID.to_owned()), ..emulator.by_secret() };
    let vaults = AzureVaults::new(emulator.settings(emulator.by_secret(), writer(&emulator)?))?;
    let into = open(&vaults, Side::Target, "into-kv").await?;
    let reference = VaultRef::Discovered(DiscoveredVault { vault: "into-kv".to_owned() });
    let refused = AzureVaults::new(emulator.settings(wrong.clone(), wrong))?;
    let refused = refused.resolve(Side::Target, &reference, correlation()).await;
    let Err(ResolveFailure::Call { failure }) = refused else { anyhow::bail!("{refused:?}") };
    ensure!(failure.code == ErrorCode::TargetAuthFailed, "{failure:?}");
    for then in [json!({ "status": { "status": 503 } }), json!({ "status": { "status": 429 } }), json!("reset")] {
        emulator.admin()?.set_faults(json!([{ "operation": "login.token", "then": then }])).await?;
        let error = write(into.as_ref(), &open_gate()).await.err().context("a token was got")?;
        ensure!(error.kind == VaultErrorKind::Transient && error.left_no_trace(), "{then}: {error:?}");
    }
    emulator.admin()?.set_faults(json!([])).await?;
    write(into.as_ref(), &open_gate()).await?;
    emulator.stop().await
}

#[actix_rt::test]
async fn a_closed_gate_is_told_from_a_token_that_cannot_be_got() -> Result<()> {
    let emulator = Emulator::start(&estate(None)).await?;
    // So short that every call needs a new one.
    emulator.admin()?.change_settings(json!({ "token_lifetime_s": 60 })).await?;
    let vaults = AzureVaults::new(emulator.settings(emulator.by_secret(), writer(&emulator)?))?;
    let into = open(&vaults, Side::Target, "into-kv").await?;
    write(into.as_ref(), &open_gate()).await?;
    let error = write(into.as_ref(), &WriteGate::new(|| false)).await.err().context("the gate was closed")?;
    ensure!(error.kind == VaultErrorKind::GateClosed && error.left_no_trace(), "{error:?}");
    emulator.stop().await
}

#[actix_rt::test]
async fn a_client_certificate_gets_tokens_and_another_one_does_not() -> Result<()> {
    let (own, other) = (client_certificate("own").await?, client_certificate("other").await?);
    let certificate =
        own.split("-----BEGIN").find(|part| part.starts_with(" CERTIFICATE")).context("no certificate")?;
    let emulator = Emulator::start(&estate(Some(&format!("-----BEGIN{certificate}")))).await?;
    let by_certificate = |name: &str, pem: &str| -> Result<IdentitySettings> {
        let file = emulator.folder.path().join(name);
        std::fs::write(&file, pem)?;
        let (kind, certificate_file) = (IdentityKind::ClientCertificate, Some(file));
        Ok(IdentitySettings { kind, certificate_file, secret_file: None, ..emulator.by_secret() })
    };
    let by_own = by_certificate("own.pem", &own)?;
    reads(emulator.settings(by_own.clone(), by_own.clone())).await?;
    // Also as a member of a chain.
    let chain = IdentitySettings { kind: IdentityKind::Chain, ..by_own };
    reads(emulator.settings(chain.clone(), chain)).await?;
    let by_other = by_certificate("other.pem", &other)?;
    let refused = reads(emulator.settings(by_other.clone(), by_other)).await.err().context("a token was got")?;
    ensure!(refused.to_string().contains("700027"), "{refused}");
    emulator.stop().await
}

/// A self-signed certificate with its private key, in PEM: made by an emulator, and exported from there.
async fn client_certificate(name: &str) -> Result<String> {
    let items = format!("items: {{ certificates: [{{ name: {name}, format: pem }}] }}\n");
    let estate = system_tests::EstateBuilder::new().vault_with("maker-kv", "westeurope", &format!("        {items}"));
    let maker = Emulator::start(&estate.yaml()).await?;
    let vaults = AzureVaults::new(maker.settings(maker.by_secret(), maker.by_secret()))?;
    let vault = open(&vaults, Side::Source, "maker-kv").await?;
    let material = vault.export_certificate(&name.parse()?, None, correlation()).await?.value;
    let pem = material.value.expose_text().context("PEM is text")?.to_owned();
    maker.stop().await?;
    Ok(pem)
}

#[actix_rt::test]
async fn a_chain_takes_the_first_member_that_gets_a_token() -> Result<()> {
    let emulator = Emulator::start(&estate(None)).await?;
    // No workload identity, no managed identity: the secret is next.
    let chain = IdentitySettings { kind: IdentityKind::Chain, ..emulator.by_secret() };
    reads(emulator.settings(chain.clone(), chain)).await?;
    emulator.stop().await
}

/// The identity's endpoint comes from the environment, so that the test calls itself as a process of its own.
#[actix_rt::test]
async fn a_managed_identity_of_an_app_service_gets_tokens() -> Result<()> {
    if let Ok(port) = std::env::var(CHILD) {
        return managed(&port).await;
    }
    let emulator = Emulator::start(&estate(None)).await?;
    let port = emulator.settings(emulator.by_secret(), emulator.by_secret()).vault_suffix;
    let port = port.rsplit_once(':').context("a port")?.1.to_owned();
    let (endpoint, ca) = (format!("http://{}/msi/token", emulator.admin_addr()?), emulator.ca());
    let child = tokio::task::spawn_blocking(move || {
        let name = concat!(module_path!(), "::a_managed_identity_of_an_app_service_gets_tokens");
        let name = name.split_once("::").map_or(name, |(_, name)| name);
        Command::new(std::env::current_exe()?)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, port)
            .env("KEYFERRY_TEST_CA", ca)
            .env("IDENTITY_ENDPOINT", endpoint)
            .env("IDENTITY_HEADER", CLIENT_SECRET)
            .output()
    });
    let child = child.await??;
    let output = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    ensure!(child.status.success() && output.contains("1 passed"), "{output}");
    emulator.stop().await
}

async fn managed(port: &str) -> Result<()> {
    let ca = std::env::var("KEYFERRY_TEST_CA")?;
    let settings = |kind: IdentityKind, client_id: Option<&str>| {
        let identity =
            IdentitySettings { kind, client_id: client_id.map(str::to_owned), ..IdentitySettings::default() };
        AzureSettings {
            source: identity.clone(),
            target: identity,
            authority_host: Some(format!("https://login.localhost:{port}")),
            management_endpoint: format!("https://management.localhost:{port}"),
            vault_suffix: format!("vault.localhost:{port}"),
            ca_file: Some(ca.clone().into()),
            resolve_localhost: true,
        }
    };
    let managed = IdentityKind::ManagedIdentity;
    reads(settings(managed, None)).await.context("assigned by the system")?;
    reads(settings(managed, Some(CLIENT_ID))).await.context("assigned by a user")?;
    reads(settings(IdentityKind::Chain, None)).await.context("in a chain")?;
    let refused = reads(settings(managed, Some(WRITER_ID))).await;
    ensure!(refused.is_err(), "an identity that is not assigned got a token");
    Ok(())
}
