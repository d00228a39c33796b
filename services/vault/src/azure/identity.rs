//! Who a worker is to Azure: one caching credential per side.

use std::{collections::HashMap, fs, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::ClientOptions,
};
use azure_identity::{
    AzureCliCredential, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use proto_msgs::vault::Side;
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::{
    settings::{AzureSettings, IdentityKind, IdentitySettings, SettingsError},
    transport::Connection,
};

/// A token this close to its end is replaced.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The credential of one side.
pub(super) fn credential(
    side: Side,
    settings: &AzureSettings,
    connection: &Connection,
) -> Result<Arc<dyn TokenCredential>, SettingsError> {
    let identity = match side {
        Side::Source => &settings.source,
        Side::Target => &settings.target,
    };
    let mut options = connection.options();
    if let Some(authority) = &settings.authority_host {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host = authority.clone();
        options.cloud = Some(Arc::new(CloudConfiguration::Custom(cloud)));
    }
    let members = match identity.kind {
        IdentityKind::Chain => chain(identity, &options),
        IdentityKind::WorkloadIdentity
        | IdentityKind::ManagedIdentity
        | IdentityKind::ClientSecret
        | IdentityKind::AzureCli => vec![member(identity.kind, identity, &options)?],
    };
    if members.is_empty() {
        return Err(SettingsError::value("kind", "no identity was found: set one, or give client_id and a secret"));
    }
    Ok(Arc::new(Cached { members, tokens: Mutex::new(HashMap::new()) }))
}

/// Every member that has what it needs, in the order in which they are asked.
fn chain(identity: &IdentitySettings, options: &ClientOptions) -> Vec<Arc<dyn TokenCredential>> {
    [IdentityKind::WorkloadIdentity, IdentityKind::ManagedIdentity, IdentityKind::ClientSecret, IdentityKind::AzureCli]
        .into_iter()
        .filter_map(|kind| member(kind, identity, options).ok())
        .collect()
}

fn member(
    kind: IdentityKind,
    identity: &IdentitySettings,
    options: &ClientOptions,
) -> Result<Arc<dyn TokenCredential>, SettingsError> {
    let refused = |name: &'static str| move |error: azure_core::Error| SettingsError::value(name, error.to_string());
    Ok(match kind {
        IdentityKind::WorkloadIdentity => {
            let mut workload = WorkloadIdentityCredentialOptions::default();
            workload.credential_options.client_options = options.clone();
            workload.client_id.clone_from(&identity.client_id);
            workload.tenant_id.clone_from(&identity.tenant);
            WorkloadIdentityCredential::new(Some(workload)).map_err(refused("kind"))?
        }
        IdentityKind::ManagedIdentity => {
            let user_assigned_id = identity.client_id.clone().map(UserAssignedId::ClientId);
            let managed = ManagedIdentityCredentialOptions { user_assigned_id, client_options: options.clone() };
            ManagedIdentityCredential::new(Some(managed)).map_err(refused("kind"))?
        }
        IdentityKind::ClientSecret => {
            let tenant = identity
                .tenant
                .as_deref()
                .ok_or_else(|| SettingsError::value("tenant", "is needed for client_secret"))?;
            let client = identity
                .client_id
                .clone()
                .ok_or_else(|| SettingsError::value("client_id", "is needed for client_secret"))?;
            let secret = ClientSecretCredentialOptions { client_options: options.clone() };
            ClientSecretCredential::new(tenant, client, client_secret(identity)?, Some(secret))
                .map_err(refused("tenant"))?
        }
        IdentityKind::AzureCli => AzureCliCredential::new(None).map_err(refused("kind"))?,
        IdentityKind::Chain => return Err(SettingsError::value("kind", "a chain has no chain in it")),
    })
}

fn client_secret(identity: &IdentitySettings) -> Result<Secret, SettingsError> {
    let text = match (&identity.secret_file, &identity.secret_env) {
        (Some(file), _) => fs::read_to_string(file).map_err(|error| {
            SettingsError::value("secret_file", format!("{} cannot be read: {error}", file.display()))
        })?,
        (None, Some(name)) => std::env::var(name)
            .map_err(|_| SettingsError::value("secret_env", format!("the variable {name} is not set")))?,
        (None, None) => {
            return Err(SettingsError::value("secret_file", "give secret_file or secret_env for client_secret"));
        }
    };
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks its members in order, and remembers the token. One request at a time: a crowd of first calls makes one.
#[derive(Debug)]
struct Cached {
    members: Vec<Arc<dyn TokenCredential>>,
    tokens: Mutex<HashMap<String, AccessToken>>,
}

#[async_trait]
impl TokenCredential for Cached {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.join(" ");
        let mut tokens = self.tokens.lock().await;
        #[expect(clippy::disallowed_methods, reason = "a token's end is told in the wall clock's time")]
        let now = OffsetDateTime::now_utc();
        if let Some(token) = tokens.get(&scope)
            && token.expires_on > now + RENEW_BEFORE
        {
            return Ok(token.clone());
        }
        let mut failures = Vec::new();
        for member in &self.members {
            match member.get_token(scopes, options.clone()).await {
                Ok(token) => {
                    tokens.insert(scope, token.clone());
                    return Ok(token);
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(azure_core::Error::with_message(ErrorKind::Credential, failures.join("; ")))
    }
}
