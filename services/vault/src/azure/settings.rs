//! Which identity each side uses, and where Azure is.

use std::path::PathBuf;

use serde::Deserialize;

/// How a worker reaches Azure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AzureSettings {
    /// Reads the source vaults.
    pub source: IdentitySettings,
    /// Reads and writes the target vaults.
    pub target: IdentitySettings,
    /// Where tokens come from; the public cloud's, or `AZURE_AUTHORITY_HOST`, if nothing is said.
    pub authority_host: Option<String>,
    pub management_endpoint: String,
    /// What follows a vault's name in its host, with the port where it is not 443.
    pub vault_suffix: String,
    /// Trusted instead of the public roots, PEM.
    pub ca_file: Option<PathBuf>,
    /// Lets every host under `localhost` be this machine, which not every resolver does.
    pub resolve_localhost: bool,
}

impl Default for AzureSettings {
    fn default() -> Self {
        Self {
            source: IdentitySettings::default(),
            target: IdentitySettings::default(),
            authority_host: None,
            management_endpoint: "https://management.azure.com".to_owned(),
            vault_suffix: "vault.azure.net".to_owned(),
            ca_file: None,
            resolve_localhost: false,
        }
    }
}

/// Who a worker is to Azure.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentitySettings {
    pub kind: IdentityKind,
    pub tenant: Option<String>,
    pub client_id: Option<String>,
    /// File that holds the client secret.
    pub secret_file: Option<PathBuf>,
    /// Environment variable that holds the client secret.
    pub secret_env: Option<String>,
    /// File that holds the client certificate and its private key (RSA), both in PEM.
    pub certificate_file: Option<PathBuf>,
}

/// Where the identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// The first of the others, in their order, that has what it needs.
    #[default]
    Chain,
    WorkloadIdentity,
    /// Of a virtual machine, or of an app service.
    ManagedIdentity,
    ClientSecret,
    ClientCertificate,
    /// Whoever is logged in with `az`.
    AzureCli,
    /// Whoever is logged in with `azd`.
    AzureDeveloperCli,
}

impl IdentityKind {
    /// As the settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::WorkloadIdentity => "workload_identity",
            Self::ManagedIdentity => "managed_identity",
            Self::ClientSecret => "client_secret",
            Self::ClientCertificate => "client_certificate",
            Self::AzureCli => "azure_cli",
            Self::AzureDeveloperCli => "azure_developer_cli",
        }
    }
}

/// Settings that cannot be used. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("setting azure.{name}: {message}")]
    Value { name: &'static str, message: String },
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

impl SettingsError {
    pub(super) fn value(name: &'static str, message: impl Into<String>) -> Self {
        Self::Value { name, message: message.into() }
    }
}
