//! Reads the emulator's vaults directly, so that what was copied is checked without any of Keyferry's own code.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    estate::{CLIENT_ID, CLIENT_SECRET, TENANT},
    http,
};

const API_VERSION: &str = "2025-07-01";

/// A client of the data plane with a token.
#[derive(Clone)]
pub struct AzureReader {
    http: reqwest::Client,
    port: u16,
    token: String,
}

/// A secret as the data plane gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecretBundle {
    pub value: String,
    pub id: String,
    #[serde(default, rename = "contentType")]
    pub content_type: Option<String>,
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
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
        let mut versions = std::collections::BTreeSet::new();
        loop {
            let list: VersionList = page.send().await?.error_for_status()?.json().await?;
            versions.extend(list.value.into_iter().map(|item| item.id));
            match list.next {
                Some(next) => page = self.http.get(next).bearer_auth(&self.token),
                None => return Ok(versions.len()),
            }
        }
    }

    fn request(&self, method: reqwest::Method, vault: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("https://{vault}.vault.localhost:{}/{path}?api-version={API_VERSION}", self.port);
        self.http.request(method, url).bearer_auth(&self.token)
    }
}
