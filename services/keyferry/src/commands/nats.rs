//! Preparing NATS.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{failure::Failure, invocation::Invocation, settings::Settings};

#[derive(Debug, Subcommand)]
pub enum Nats {
    /// Makes every stream and bucket, or brings it up to date.
    Provision {
        #[command(flatten)]
        place: NatsArgs,
        /// Copies of every stream: 1, 3 or 5.
        #[arg(long, default_value = "1", value_parser = replicas)]
        replicas: usize,
    },
}

/// Which NATS a command goes to.
#[derive(Debug, Args)]
pub struct NatsArgs {
    /// Settings; every one has a default.
    #[arg(long, value_name = "FILE.toml")]
    settings: Option<PathBuf>,
    /// Address of NATS, in place of the settings'.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
}

impl NatsArgs {
    pub fn load(&self) -> Result<Settings, Failure> {
        Settings::load(self.settings.as_deref(), self.nats.as_deref())
    }
}

impl Nats {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let Self::Provision { place, replicas } = self;
        let settings = place.load()?;
        broker::nats::provision(&settings.nats, replicas).await?;
        let answer = json!({ "nats": settings.nats.url, "replicas": replicas });
        invocation.answer(&answer, || format!("streams are ready at {}", settings.nats.url))
    }
}

/// An even number of copies survives no more losses than one fewer.
fn replicas(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(replicas @ (1 | 3 | 5)) => Ok(replicas),
        Ok(_) | Err(_) => Err("give 1, 3 or 5".to_owned()),
    }
}
