//! Azure for a laptop: vaults, the token endpoint and the management plane on one TLS port.
//!
//! An independent reading of Azure's documentation, so that it and the product check each other. State is in memory,
//! and kept in a file on demand. What Azure does not document is listed as an assumption in this crate's README.
//! Deliberately absent: issuers and contacts, encryption and key wrapping, managed HSMs, vault management.

mod actions;
mod auth;
mod backup;
mod clock;
mod counts;
mod crypto;
mod error;
mod estate;
mod faults;
mod keep;
mod keyring;
mod keyspec;
mod leaving;
mod operation;
mod regions;
mod roles;
mod routes;
mod seed;
mod server;
mod state;
#[cfg(test)]
mod testing;
mod throttle;
mod tls;
mod vault;
mod world;
pub mod yaml;

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

pub use error::EmulatorError;
pub use estate::{Estate, EstateError};
pub use server::{Running, start};

/// Whether Azure's limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    Azure,
    Off,
}

impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "azure" => Ok(Self::Azure),
            "off" => Ok(Self::Off),
            _ => Err(format!("`{text}` is not one of azure, off")),
        }
    }
}

/// How an emulator runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Port 0: any that is free.
    pub listen: SocketAddr,
    /// Loopback only: it can change everything without a token.
    pub admin_listen: Option<SocketAddr>,
    pub estate: Estate,
    /// Where state is kept between starts; none: it ends with the process.
    pub state_file: Option<PathBuf>,
    /// Where the CA's certificate is written.
    pub ca_out: Option<PathBuf>,
    /// What every call takes at least; 10 minutes at most.
    pub latency: Duration,
    pub limits: Limits,
}
