//! Reads the emulator's vaults directly, so that what was copied is checked without any of Keyferry's own code.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

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
    pub attributes: SecretAttributes,
}

/// When and whether a secret may be used; times in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecretAttributes {
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
struct VersionList {
    value: Vec<VersionItem>,
    #[serde(rename = "nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct VersionItem {
    id: String,
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
        let response = self.request(reqwest::Method::GET, vault, &format!("secrets/{name}")).send().await?;
        match response.status().as_u16() {
            200 => Ok(Some(response.json().await?)),
            404 => Ok(None),
            status => bail!("reading {name} from {vault} gave {status}: {}", response.text().await?),
        }
    }

    /// Writes a new version of a secret, as somebody else would.
    pub async fn set_secret(&self, vault: &str, name: &str, value: &str) -> Result<()> {
        let body = serde_json::json!({ "value": value });
        self.request(reqwest::Method::PUT, vault, &format!("secrets/{name}"))
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// How many versions a secret has.
    pub async fn secret_versions(&self, vault: &str, name: &str) -> Result<usize> {
        let mut page = self.request(reqwest::Method::GET, vault, &format!("secrets/{name}/versions"));
        let mut versions = BTreeSet::new();
        loop {
            let list: VersionList = page.send().await?.error_for_status()?.json().await?;
            versions.extend(list.value.into_iter().map(|item| item.id));
            match list.next {
                Some(next) => page = self.http.get(next).bearer_auth(&self.token),
                None => return Ok(versions.len()),
            }
        }
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

    fn request(&self, method: reqwest::Method, vault: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("https://{vault}.vault.localhost:{}/{path}?api-version={API_VERSION}", self.port);
        self.http.request(method, url).bearer_auth(&self.token)
    }
}
