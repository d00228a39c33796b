//! An emulator for this crate's own tests, and a client that knows nothing of Azure's SDKs.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Estate, Limits, Running, Settings, start};

pub const TENANT: &str = "5f0c1d4e-0000-4000-8000-000000000001";
pub const CLIENT_ID: &str = "00000000-0000-4000-8000-0000000000aa";
pub const SECRET: &str = "demo-only";
/// Longest a state is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// An estate of one subscription, whose vaults are these lines.
pub fn estate(vaults: &str) -> Estate {
    let head = format!(
        "tenant: {TENANT}\nidentities:\n  - {{ name: app, client_id: {CLIENT_ID}, client_secret: {SECRET} }}\n"
    );
    let subscription = "subscriptions:\n  - id: 00000000-0000-4000-8000-000000000001\n    name: one\n    vaults:\n";
    Estate::parse(&format!("{head}{subscription}{vaults}")).unwrap()
}

/// A line of [`estate`]: a vault where the caller may do everything.
pub fn vault(name: &str, more: &str) -> String {
    let roles = "roles: [{ identity: app, role: Key Vault Administrator }]";
    format!("      - {{ name: {name}, resource_group: rg, region: westeurope, {roles}{more} }}\n")
}

/// How it runs unless a test says otherwise.
pub fn settings(estate: Estate) -> Settings {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        listen: any,
        admin_listen: Some(any),
        estate,
        state_file: None,
        ca_out: None,
        latency: Duration::ZERO,
        limits: Limits::Off,
    }
}

/// An emulator with a client that has a token.
pub struct Emulator {
    pub running: Running,
    client: Client,
}

/// Calls an emulator, and may outlive it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    port: u16,
    token: String,
}

impl Emulator {
    pub async fn start(settings: Settings) -> Self {
        // Once per process; a second time it says that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let names =
            settings.estate.vault_names().into_iter().map(|name| format!("{}.vault.localhost", name.to_lowercase()));
        let names: Vec<String> = names.chain(["login.localhost".into(), "management.localhost".into()]).collect();
        let running = start(settings).await.unwrap();
        let ca = reqwest::Certificate::from_pem(running.ca_pem.as_bytes()).unwrap();
        let mut http = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().timeout(LIMIT);
        for name in names {
            http = http.resolve(&name, running.addr);
        }
        let client = Client { http: http.build().unwrap(), port: running.addr.port(), token: String::new() };
        let token = client.token_for("vault").await;
        Self { running, client: Client { token, ..client } }
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A call to a vault: its status and what it answered.
    pub async fn call(&self, method: Method, vault: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.client.call(method, vault, path, body).await.unwrap()
    }

    pub async fn get(&self, vault: &str, path: &str) -> (u16, Value) {
        self.call(Method::GET, vault, path, None).await
    }

    pub async fn set_secret(&self, vault: &str, name: &str, value: &str) -> (u16, Value) {
        self.call(Method::PUT, vault, &format!("/secrets/{name}"), Some(json!({ "value": value }))).await
    }

    /// A call to the admin listener.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = self.admin_request(method, path).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// A call to the admin listener, not yet sent.
    pub fn admin_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.http.request(method, format!("http://{}{path}", self.running.admin_addr.unwrap()))
    }

    /// A field of the counts' row of one operation.
    pub async fn count(&self, vault: &str, operation: &str, field: &str) -> u64 {
        let (_, counts) = self.admin(Method::GET, "/counts", Value::Null).await;
        let rows = counts["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["vault"] == vault && row["operation"] == operation);
        row.map_or(0, |row| row[field].as_u64().unwrap())
    }
}

impl Client {
    /// A token for `vault` or `management`.
    pub async fn token_for(&self, audience: &str) -> String {
        let scope = format!("https://{audience}.localhost:{}/.default", self.port);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", SECRET),
            ("scope", &scope),
        ];
        let token = self.request(&Method::POST, "login", &format!("/{TENANT}/oauth2/v2.0/token")).form(&form);
        let answer: Value = token.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A request without a token.
    pub fn request(&self, method: &Method, host: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.clone(), format!("https://{host}.localhost:{}{path}", self.port))
    }

    /// A call to a vault: its status and what it answered.
    pub async fn call(
        &self,
        method: Method,
        vault: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, Value)> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}api-version=2025-07-01");
        let mut request = self.request(&method, &format!("{vault}.vault"), &path).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }))
    }
}

/// Waits until `state` holds.
#[expect(clippy::disallowed_methods, reason = "bounds the wait for a real server")]
pub async fn until<F: Future<Output = bool>>(what: &str, state: impl Fn() -> F) {
    let begun = Instant::now();
    while !state().await {
        assert!(begun.elapsed() < LIMIT, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
