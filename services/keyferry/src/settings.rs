//! The settings file of all roles, and what is wrong with it.
//!
//! Invariant: whatever can be told from the settings themselves is checked when they are read, before anything connects
//! or listens. A worker's identities are checked by the worker alone: no other process has its secrets.

use std::path::Path;

use broker::nats::NatsSettings;
use coordinator::CoordinatorSettings;
use gateway::GatewaySettings;
use reqwest::Url;
use serde::Deserialize;
use vault::azure::AzureSettings;
use worker::WorkerSettings;

use crate::failure::Failure;

/// Every section is optional; a role reads its own and `[nats]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub nats: NatsSettings,
    pub coordinator: CoordinatorSettings,
    pub worker: WorkerSection,
    pub gateway: GatewaySettings,
}

/// A worker's settings, those of Azure among them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSection {
    pub attempts: u32,
    pub azure: AzureSettings,
}

impl Default for WorkerSection {
    fn default() -> Self {
        Self { attempts: WorkerSettings::default().attempts, azure: AzureSettings::default() }
    }
}

impl Settings {
    /// Reads a file; `nats` comes before what it says.
    pub fn load(file: Option<&Path>, nats: Option<&str>) -> Result<Self, Failure> {
        let mut settings: Self = runtime::settings::load(file)?;
        if let Some(url) = nats {
            url.clone_into(&mut settings.nats.url);
        }
        settings.check().map_err(|text| Failure::input(text, "correct the settings; README.md lists them"))?;
        Ok(settings)
    }

    pub fn worker(&self) -> WorkerSettings {
        WorkerSettings { attempts: self.worker.attempts }
    }

    /// What is wrong, by the setting's name.
    fn check(&self) -> Result<(), String> {
        self.worker().check()?;
        self.coordinator.check()?;
        check_nats(&self.nats)?;
        check_azure(&self.worker.azure)
    }
}

fn check_nats(nats: &NatsSettings) -> Result<(), String> {
    for server in nats.url.split(',').map(str::trim) {
        let whole = if server.contains("://") { server.to_owned() } else { format!("nats://{server}") };
        let is_server =
            Url::parse(&whole).is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.host_str().is_some());
        if !is_server {
            return Err(format!("nats.url: `{server}` is not an address; write nats://HOST:PORT"));
        }
    }
    nats.subjects().map_err(|error| error.to_string())?;
    let read = |name: &str, file: &Path| {
        std::fs::read(file).map_err(|error| format!("nats.{name}: {} cannot be read: {error}", file.display()))
    };
    if let Some(file) = &nats.credentials_file {
        read("credentials_file", file)?;
    }
    if let Some(file) = &nats.ca_file {
        let pem = read("ca_file", file)?;
        if !reqwest::Certificate::from_pem_bundle(&pem).is_ok_and(|found| !found.is_empty()) {
            return Err(format!("nats.ca_file: {} holds no certificate in PEM", file.display()));
        }
    }
    Ok(())
}

fn check_azure(azure: &AzureSettings) -> Result<(), String> {
    let is_https = |text: &str| Url::parse(text).is_ok_and(|url| url.scheme() == "https");
    if !is_https(&azure.management_endpoint) {
        return Err("worker.azure.management_endpoint: write https://HOST".to_owned());
    }
    if azure.authority_host.as_deref().is_some_and(|host| !is_https(host)) {
        return Err("worker.azure.authority_host: write https://HOST".to_owned());
    }
    // A vault's name and a dot come before it, and nothing comes behind.
    let suffix = &azure.vault_suffix;
    let vault = Url::parse(&format!("https://x.{suffix}"));
    let is_host = vault.is_ok_and(|url| {
        let authority = url.port().map_or_else(String::new, |port| format!(":{port}"));
        url.host_str().is_some_and(|host| format!("{host}{authority}").eq_ignore_ascii_case(&format!("x.{suffix}")))
    });
    if suffix.is_empty() || suffix.starts_with('.') || !is_host {
        return Err("worker.azure.vault_suffix: write what follows a vault's name, such as vault.azure.net".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../README.md");

    fn parse(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }

    fn wrong(text: &str) -> String {
        parse(text).unwrap().check().unwrap_err()
    }

    #[test]
    fn every_section_may_be_left_out_and_none_misspelt() {
        assert_eq!(parse("").unwrap().nats.url, "nats://127.0.0.1:4222");
        assert!(parse("[natz]\n").is_err());
        assert!(parse("[worker]\natempts = 1\n").is_err());
        assert!(parse("[worker.azure]\nsource = { kind = \"magic\" }\n").is_err());
        let text = "[coordinator]\nreads_per_10s = 0\n[worker.azure]\nsource = { kind = \"client_secret\", secret_env = \"S\" }\n";
        assert_eq!(parse(text).unwrap().coordinator.reads_per_10s, 0);
    }

    /// The block has the defaults, and behind a `#` at the beginning of a line what has none.
    #[test]
    fn the_documented_settings_are_the_ones_there_are() {
        let block = README.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(format!("{:?}", parse(block).unwrap()), format!("{:?}", Settings::default()));
        let all: String = block.lines().map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect();
        let all = parse(&all).unwrap_or_else(|error| panic!("{error}"));
        let identity = &all.worker.azure.source;
        assert!(all.nats.credentials_file.is_some() && all.nats.ca_file.is_some());
        assert!(
            identity.certificate_file.is_some()
                && identity.secret_file.is_some()
                && identity.secret_env.is_some()
                && identity.client_id.is_some()
        );
        assert!(all.worker.azure.authority_host.is_some() && all.worker.azure.ca_file.is_some());
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        assert_eq!(parse("").unwrap().check(), Ok(()));
        let cases = [
            ("[nats]\nurl = \"nonsense url\"\n", "nats.url"),
            ("[nats]\nurl = \"http://127.0.0.1:4222\"\n", "nats.url"),
            ("[nats]\nurl = \"nats://a:4222,\"\n", "nats.url"),
            ("[nats]\nprefix = \"a b\"\n", "nats.prefix"),
            ("[nats]\nca_file = \"/nowhere.pem\"\n", "/nowhere.pem"),
            ("[nats]\ncredentials_file = \"/nowhere.creds\"\n", "/nowhere.creds"),
            ("[worker]\nattempts = 0\n", "worker.attempts"),
            ("[coordinator]\nreads_per_10s = 1\n", "coordinator.reads_per_10s"),
            ("[worker.azure]\nvault_suffix = \"\"\n", "vault_suffix"),
            ("[worker.azure]\nvault_suffix = \"a/b\"\n", "vault_suffix"),
            ("[worker.azure]\nvault_suffix = \".vault.azure.net\"\n", "vault_suffix"),
            ("[worker.azure]\nauthority_host = \"login\"\n", "authority_host"),
            ("[worker.azure]\nmanagement_endpoint = \"http://a\"\n", "management_endpoint"),
        ];
        for (text, name) in cases {
            assert!(wrong(text).contains(name), "{name} is not in {}", wrong(text));
        }
        for suffix in ["vault.azure.net", "vault.localhost:8443", "vault.azure.cn"] {
            let settings = parse(&format!("[worker.azure]\nvault_suffix = \"{suffix}\"\n")).unwrap();
            assert_eq!(settings.check(), Ok(()), "{suffix}");
        }
    }
}
