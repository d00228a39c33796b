//! Held deletes: due at the target, and too many at once to be carried out without somebody's word.

use clap::Subcommand;
use proto_msgs::{
    SetHash, Status,
    api::{Done, RecordFilter, ReleaseBody},
};

use super::choice::{self, decided, quoted};
use crate::{
    client::path,
    failure::Failure,
    invocation::{ConfigArg, Invocation},
};

#[derive(Debug, Subcommand)]
pub enum Deletes {
    /// Lists the deletes that are held, and the hash that releases exactly these.
    List(ConfigArg),
    /// Releases the held deletes, once, if they are still those that were listed.
    Release {
        #[command(flatten)]
        config: ConfigArg,
        /// As `deletes list` printed it.
        #[arg(long)]
        hash: SetHash,
    },
}

impl Deletes {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let client = invocation.client()?;
        match self {
            Self::List(ConfigArg { config }) => {
                let filter = RecordFilter { status: Some(Status::BlockedDeleteHeld), ..RecordFilter::default() };
                let command = |hash| format!("keyferry deletes release {} --hash {hash}", quoted(&config));
                let offer = choice::offer(&client, &config, &filter, command).await?;
                invocation.answer(&offer, || offer.table())
            }
            Self::Release { config, hash } => {
                let path = path(&["configs", &config.config, "deletes", "release"]);
                let done: Done = client.post_body(&path, &ReleaseBody { hash }).await?;
                invocation.answer(&done, || decided("released: each is confirmed at the source once more", &done))
            }
        }
    }
}
