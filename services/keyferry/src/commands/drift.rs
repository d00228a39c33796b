//! Drift: target items that are not as Keyferry left them.

use clap::Subcommand;
use proto_msgs::{Status, api::RecordFilter, record::LeaveKind};

use super::{
    choice::{self, Choice, quoted},
    records,
};
use crate::{
    failure::Failure,
    invocation::{ConfigArg, Invocation},
};

#[derive(Debug, Subcommand)]
pub enum Drift {
    /// Lists the records whose target is not as it was left.
    List(ConfigArg),
    /// Writes the source's state back over one drifted target, or all that match.
    Correct(Choice),
    /// Takes one drifted target as it is, or all that match.
    Accept(Choice),
}

impl Drift {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let (choice, kind, verb, said) = match self {
            Self::List(ConfigArg { config }) => return list(&config, invocation).await,
            Self::Correct(choice) => (choice, LeaveKind::Correct, "drift correct", "to be written back"),
            Self::Accept(choice) => (choice, LeaveKind::Accept, "drift accept", "accepted with the target as it is"),
        };
        records::leave(&choice, kind, Some(Status::Drifted), verb, said, invocation).await
    }
}

async fn list(config: &str, invocation: &Invocation) -> Result<(), Failure> {
    let filter = RecordFilter { status: Some(Status::Drifted), ..RecordFilter::default() };
    let client = invocation.client()?;
    let command = |hash| format!("keyferry drift correct {} --hash {hash}", quoted(config));
    let offer = choice::offer(&client, config, &filter, command).await?;
    invocation.answer(&offer, || format!("{}{}", offer.table(), or_accept(offer.records.len())))
}

fn or_accept(count: usize) -> &'static str {
    if count == 0 { "" } else { "\n`drift accept` takes them as they are in place of that" }
}
