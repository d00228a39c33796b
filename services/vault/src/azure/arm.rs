//! Azure Resource Manager, as far as it is needed: subscriptions, their vaults, their locations.
//!
//! There is no official Rust client for it; the SDK's own pipeline carries the requests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use azure_core::{
    credentials::TokenCredential,
    http::{
        Method, Pipeline, Request,
        policies::{Policy, auth::BearerTokenAuthorizationPolicy},
    },
};
use proto_msgs::vault::{Side, VaultIdentity};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{
    call::Call,
    failure,
    settings::{AzureSettings, SettingsError},
    transport::Connection,
};
use crate::{VaultError, VaultErrorKind, regions};

const SUBSCRIPTIONS_VERSION: &str = "2022-12-01";
const VAULTS_VERSION: &str = "2026-02-01";
/// Most pages followed of one list: a tenant with more subscriptions or vaults is named by hand.
const PAGES_MAX: usize = 200;

/// The management endpoint, for both identities.
pub(super) struct Arm {
    endpoint: Url,
    connection: Connection,
    /// Geography by region, which changes about once a year.
    geographies: Mutex<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
    #[serde(rename = "nextLink")]
    next_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    subscription_id: String,
}

#[derive(Deserialize)]
struct Location {
    name: String,
    metadata: Option<LocationMetadata>,
}

#[derive(Deserialize)]
struct LocationMetadata {
    geography: Option<String>,
}

#[derive(Deserialize)]
struct VaultResource {
    id: String,
    name: String,
    location: String,
    properties: VaultProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VaultProperties {
    tenant_id: String,
    vault_uri: String,
}

impl Arm {
    pub(super) fn new(settings: &AzureSettings, connection: &Connection) -> Result<Self, SettingsError> {
        let endpoint =
            Url::parse(&settings.management_endpoint).ok().filter(|url| url.scheme() == "https").ok_or_else(|| {
                SettingsError::value("management_endpoint", "write https://host, such as https://management.azure.com")
            })?;
        Ok(Self { endpoint, connection: connection.clone(), geographies: Mutex::default() })
    }

    /// Vaults of that name that the identity can see.
    pub(super) async fn vaults_named(
        &self,
        call: &Call,
        credential: &Arc<dyn TokenCredential>,
        name: &str,
    ) -> Result<Vec<VaultIdentity>, VaultError> {
        let session = Session::new(self, credential);
        let subscriptions: Vec<Subscription> = session.list(call, "/subscriptions", SUBSCRIPTIONS_VERSION).await?;
        let mut found = Vec::new();
        for subscription in subscriptions {
            let id = subscription.subscription_id;
            let path = format!("/subscriptions/{id}/providers/Microsoft.KeyVault/vaults");
            let vaults: Vec<VaultResource> = session.list(call, &path, VAULTS_VERSION).await?;
            for vault in vaults.into_iter().filter(|vault| vault.name.eq_ignore_ascii_case(name)) {
                let geography = self.geography(call, &session, &id, &vault.location).await?;
                found.push(VaultIdentity {
                    name: vault.name,
                    uri: vault.properties.vault_uri.trim_end_matches('/').to_owned(),
                    resource_id: Some(vault.id),
                    subscription: Some(id.clone()),
                    region: Some(vault.location),
                    geography,
                    tenant: vault.properties.tenant_id,
                    verified: true,
                });
            }
        }
        Ok(found)
    }

    async fn geography(
        &self,
        call: &Call,
        session: &Session<'_>,
        subscription: &str,
        region: &str,
    ) -> Result<Option<String>, VaultError> {
        if let Some(known) = self.known(region) {
            return Ok(Some(known));
        }
        let path = format!("/subscriptions/{subscription}/locations");
        let locations: Vec<Location> = match session.list(call, &path, SUBSCRIPTIONS_VERSION).await {
            Ok(locations) => locations,
            // Whoever may see the vault and not the locations knows the region all the same.
            Err(error) if error.kind == VaultErrorKind::Forbidden => {
                return Ok(regions::geography(region).map(str::to_owned));
            }
            Err(error) => return Err(error),
        };
        let mut geographies = self.geographies.lock().unwrap_or_else(PoisonError::into_inner);
        for location in locations {
            if let Some(geography) = location.metadata.and_then(|metadata| metadata.geography) {
                geographies.insert(location.name, geography);
            }
        }
        drop(geographies);
        Ok(self.known(region))
    }

    fn known(&self, region: &str) -> Option<String> {
        self.geographies.lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned()
    }
}

/// The endpoint under one identity.
struct Session<'a> {
    arm: &'a Arm,
    pipeline: Pipeline,
}

impl<'a> Session<'a> {
    fn new(arm: &'a Arm, credential: &Arc<dyn TokenCredential>) -> Self {
        let scope = format!("{}/.default", arm.endpoint.as_str().trim_end_matches('/'));
        let auth: Arc<dyn Policy> = Arc::new(BearerTokenAuthorizationPolicy::new(credential.clone(), vec![scope]));
        let pipeline = Pipeline::new(
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
            arm.connection.options(),
            Vec::new(),
            vec![auth],
            None,
        );
        Self { arm, pipeline }
    }

    /// All pages of a list.
    async fn list<T: DeserializeOwned>(&self, call: &Call, path: &str, version: &str) -> Result<Vec<T>, VaultError> {
        let mut url = self.arm.endpoint.clone();
        url.set_path(path);
        url.query_pairs_mut().append_pair("api-version", version);
        let mut items = Vec::new();
        for _ in 0..PAGES_MAX {
            let page: List<T> = self.get(call, url.clone()).await?;
            items.extend(page.value);
            match page.next_link.filter(|link| !link.is_empty()) {
                None => return Ok(items),
                Some(link) => url = self.own_link(call, &link)?,
            }
        }
        Err(VaultError {
            message: format!("{path} has more than {PAGES_MAX} pages"),
            ..failure::unreadable(call, None)
        })
    }

    async fn get<T: DeserializeOwned>(&self, call: &Call, url: Url) -> Result<T, VaultError> {
        let mut request = Request::new(url, Method::Get);
        let context = call.context();
        let response =
            self.pipeline.send(&context, &mut request, None).await.map_err(|error| failure::of(call, &error))?;
        serde_json::from_slice(response.body().as_ref()).map_err(|_| failure::unreadable(call, None))
    }

    fn own_link(&self, call: &Call, link: &str) -> Result<Url, VaultError> {
        Url::parse(link)
            .ok()
            .filter(|url| url.scheme() == "https" && url.host_str() == self.arm.endpoint.host_str())
            .ok_or_else(|| {
                let message = "the list goes on at another host, which is not followed".to_owned();
                VaultError { message, kind: VaultErrorKind::Unknown, ..failure::unreadable(call, None) }
            })
    }
}

/// A call to the management endpoint, named after the side whose identity makes it.
pub(super) fn call(side: Side, correlation: proto_msgs::CorrelationId) -> Call {
    Call::new(side, "(management)", crate::Operation::Resolve, correlation, None)
}
