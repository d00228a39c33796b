//! How to reach NATS.

use std::path::PathBuf;

use proto_msgs::subject::Subjects;
use serde::Deserialize;

use crate::error::ConnectError;

/// Where NATS is, and who we are there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSettings {
    /// `nats://host:port`, or several, separated by commas.
    pub url: String,
    /// Credentials file (JWT and nkey), where the server asks for one.
    pub credentials_file: Option<PathBuf>,
    /// CA of the server, PEM.
    pub ca_file: Option<PathBuf>,
    /// First token of every subject; two installations can share an account under different ones.
    pub prefix: String,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self { url: "nats://127.0.0.1:4222".to_owned(), credentials_file: None, ca_file: None, prefix: "kf".to_owned() }
    }
}

impl NatsSettings {
    pub fn subjects(&self) -> Result<Subjects, ConnectError> {
        self.prefix.parse().map_err(|error| ConnectError::Settings { name: "prefix", message: format!("{error}") })
    }
}
