//! Reads the emulator's vaults directly, so that what was copied is checked without any of Keyferry's own code.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use proto_msgs::ItemType;
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    estate::{CLIENT_ID, CLIENT_SECRET, TENANT},
    http,
};

const API_VERSION: &str = "2025-07-01";
/// Calls under way at once where many secrets are looked at.
const AT_ONCE: usize = 64;

/// A client of the data plane with a token.
#[derive(Clone)]
pub struct AzureReader {
    http: reqwest::Client,
    port: u16,
    token: String,
}

/// A secret as the data plane gives it: all that is carried over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecretBundle {
    pub value: String,
    #[serde(default, rename = "contentType")]
    pub content_type: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub attributes: ItemAttributes,
}

/// When and whether an item may be used; times in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ItemAttributes {
    pub enabled: bool,
    #[serde(default, rename = "nbf")]
    pub not_before: Option<i64>,
    #[serde(default, rename = "exp")]
    pub expires: Option<i64>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct List<T> {
    value: Vec<T>,
    #[serde(rename = "nextLink")]
    next: Option<String>,
}

/// An item or a version of one; keys have a `kid` where the others have an `id`.
#[derive(Deserialize)]
struct ListedItem {
    #[serde(alias = "kid")]
    id: String,
    attributes: ItemAttributes,
    #[serde(default)]
    managed: bool,
}

impl ListedItem {
    /// `https://<vault>/secrets/<name>`
    fn name(&self) -> &str {
        self.id.rsplit('/').next().unwrap_or_default()
    }
}

impl AzureReader {
    /// Gets a token for the estate's identity.
    pub async fn connect(emulator: SocketAddr, ca: &Path, vaults: &[&str]) -> Result<Self> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).context("the emulator's CA cannot be read")?)?;
        let mut builder = http::client().tls_certs_only([ca]);
        let hosts = vaults.iter().map(|vault| format!("{vault}.vault.localhost")).chain(["login.localhost".to_owned()]);
        for host in hosts {
            builder = builder.resolve(&host, emulator);
        }
        let http = builder.build()?;
        let url = format!("https://login.localhost:{}/{TENANT}/oauth2/v2.0/token", emulator.port());
        let scope = format!("https://vault.localhost:{}/.default", emulator.port());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", &scope),
        ];
        let token: Token = http.post(url).form(&form).send().await?.error_for_status()?.json().await?;
        Ok(Self { http, port: emulator.port(), token: token.access_token })
    }

    /// The newest version of a secret; none where there is none.
    pub async fn secret(&self, vault: &str, name: &str) -> Result<Option<SecretBundle>> {
        let response = self.request(Method::GET, vault, &format!("secrets/{name}")).send().await?;
        match response.status().as_u16() {
            200 => Ok(Some(response.json().await?)),
            404 => Ok(None),
            status => bail!("reading {name} from {vault} gave {status}: {}", response.text().await?),
        }
    }

    /// Writes a new version of a secret, as somebody else would.
    pub async fn set_secret(&self, vault: &str, name: &str, value: &str) -> Result<()> {
        let body = serde_json::json!({ "value": value });
        self.request(Method::PUT, vault, &format!("secrets/{name}")).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Switches a secret's newest version on or off.
    pub async fn enable_secret(&self, vault: &str, name: &str, enabled: bool) -> Result<()> {
        self.update_secret(vault, name, &serde_json::json!({ "attributes": { "enabled": enabled } })).await
    }

    /// Changes the properties of a secret's newest version.
    pub async fn update_secret(&self, vault: &str, name: &str, body: &serde_json::Value) -> Result<()> {
        self.update(vault, ItemType::Secrets, name, body).await
    }

    /// Changes the properties of an item's newest version.
    pub async fn update(&self, vault: &str, kind: ItemType, name: &str, body: &serde_json::Value) -> Result<()> {
        self.request(Method::PATCH, vault, &format!("{kind}/{name}")).json(body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Soft-deletes an item, as somebody else would.
    pub async fn delete(&self, vault: &str, kind: ItemType, name: &str) -> Result<()> {
        self.request(Method::DELETE, vault, &format!("{kind}/{name}")).send().await?.error_for_status()?;
        Ok(())
    }

    /// What a vault lists under `secrets`, `certificates` or `keys`, by name; no values. What Key Vault keeps behind
    /// certificates is left out.
    pub async fn listed(&self, vault: &str, kind: ItemType) -> Result<BTreeMap<String, ItemAttributes>> {
        let items: Vec<ListedItem> = self.pages(self.request(Method::GET, vault, kind.as_str())).await?;
        let own = items.into_iter().filter(|item| !item.managed);
        Ok(own.map(|item| (item.name().to_owned(), item.attributes)).collect())
    }

    /// Brings a soft-deleted item back, as somebody else would.
    pub async fn recover(&self, vault: &str, kind: ItemType, name: &str) -> Result<()> {
        let path = format!("deleted{kind}/{name}/recover");
        self.request(Method::POST, vault, &path).send().await?.error_for_status()?;
        Ok(())
    }

    /// Ends a soft-deleted item for good, as somebody else would.
    pub async fn purge(&self, vault: &str, kind: ItemType, name: &str) -> Result<()> {
        let path = format!("deleted{kind}/{name}");
        self.request(Method::DELETE, vault, &path).send().await?.error_for_status()?;
        Ok(())
    }

    /// How many versions a secret has.
    pub async fn secret_versions(&self, vault: &str, name: &str) -> Result<usize> {
        let versions = self.request(Method::GET, vault, &format!("secrets/{name}/versions"));
        Ok(self.pages::<ListedItem>(versions).await?.into_iter().map(|item| item.id).collect::<BTreeSet<_>>().len())
    }

    /// Fails unless these secrets are the same in both vaults; gives how many versions the target has of each.
    pub async fn compare(
        &self,
        source: &str,
        target: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, usize>> {
        stream::iter(names)
            .map(|name| async move {
                let (given, copied) = tokio::try_join!(self.secret(source, &name), self.secret(target, &name))?;
                let given = given.with_context(|| format!("{name} is gone from {source}"))?;
                let copied = copied.with_context(|| format!("{name} is not in {target}"))?;
                ensure!(given == copied, "{name} differs between {source} and {target}");
                let versions = self.secret_versions(target, &name).await?;
                Ok((name, versions))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn pages<T: DeserializeOwned>(&self, mut page: reqwest::RequestBuilder) -> Result<Vec<T>> {
        let mut items = Vec::new();
        loop {
            let list: List<T> = page.send().await?.error_for_status()?.json().await?;
            items.extend(list.value);
            match list.next {
                Some(next) => page = self.http.get(next).bearer_auth(&self.token),
                None => return Ok(items),
            }
        }
    }

    fn request(&self, method: Method, vault: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("https://{vault}.vault.localhost:{}/{path}?api-version={API_VERSION}", self.port);
        self.http.request(method, url).bearer_auth(&self.token)
    }
}
