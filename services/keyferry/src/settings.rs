//! The settings file of all roles, and what is wrong with it.

use std::path::Path;

use broker::nats::NatsSettings;
use coordinator::CoordinatorSettings;
use gateway::GatewaySettings;
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
        settings.worker().check().map_err(|text| Failure::input(text, "correct the settings file"))?;
        Ok(settings)
    }

    pub fn worker(&self) -> WorkerSettings {
        WorkerSettings { attempts: self.worker.attempts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
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
}
