//! What can be written on the command line.
//!
//! Here is only which commands there are; what a command takes stands with what it does, in `commands`, `roles` and
//! `up`. So a new command is one variant in one of those files, and what it does right below.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        config, control::Reason, deletes::Deletes, drift::Drift, explain::Explain, nats::Nats, records::Records,
        runs::Runs, token::Token, watch::Watch,
    },
    invocation::{ConfigArg, Server},
    output::Output,
    parent::WithParent,
    roles::{Emulator, Gateway, Role},
    up::Up,
};

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   an error without a code
  2   `up --exit-when-synced`: the run failed, or a record is neither in sync nor blocked
  130 `up --exit-when-synced`: stopped by Ctrl-C before all was settled; 143 by SIGTERM, 129 by SIGHUP
  64  bad input or settings      66  there is no such thing
  69  not available              70  Keyferry failed
  73  it exists already          75  busy, try again
  76  it was changed meanwhile   77  not signed in, or not allowed
  78  the vault pair did not pass validation";

/// Replicates Azure Key Vault items from one vault to another, continuously.
#[derive(Debug, Parser)]
#[command(name = "keyferry", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub server: Server,
    /// How answers are written.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Output,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts everything on this machine, against an emulated Azure.
    Up(Up),
    /// Runs a coordinator.
    Coordinator(Role),
    /// Runs a worker.
    Worker(Role),
    /// Runs a gateway: the REST API and the event stream.
    Gateway(Gateway),
    /// Runs Azure for a laptop. Prints one JSON object, with its addresses, when it listens.
    Emulator(Emulator),
    /// Prepares NATS.
    #[command(subcommand)]
    Nats(Nats),
    /// Makes tokens of the API, straight in NATS.
    #[command(subcommand)]
    Token(Token),
    /// Replication configs.
    #[command(subcommand)]
    Config(config::Config),
    /// Records: one per replicated item.
    #[command(subcommand)]
    Records(Records),
    /// Lists both vaults of a config again, and does what follows from it.
    Expand(ConfigArg),
    /// Shows what the next run of a config would do. Nothing is carried out.
    Plan(ConfigArg),
    /// Deletes that are held until somebody agrees.
    #[command(subcommand)]
    Deletes(Deletes),
    /// Target items that are not as they were left.
    #[command(subcommand)]
    Drift(Drift),
    /// The emergency stop: no config starts anything, and within seconds no write begins.
    StopAll(Reason),
    /// Ends the emergency stop. Configs that are paused stay so.
    ResumeAll(Reason),
    /// Runs of a config.
    #[command(subcommand)]
    Runs(Runs),
    /// Follows what happens to a config, one line or object per event, until interrupted.
    Watch(Watch),
    /// Says what a code or status means, and what to do about it.
    Explain(Explain),
    /// Becomes another program, which is told to end when the process that asked for it does.
    #[command(hide = true)]
    WithParent(WithParent),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is_for() {
        fn look(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no help");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} {} has no help", argument.get_id());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn a_record_needs_its_type_and_its_name() {
        assert!(Cli::try_parse_from(["keyferry", "records", "sync", "c"]).is_ok());
        assert!(Cli::try_parse_from(["keyferry", "records", "sync", "c", "secrets", "a"]).is_ok());
        assert!(Cli::try_parse_from(["keyferry", "records", "sync", "c", "secrets"]).is_err());
    }

    #[test]
    fn what_is_decided_about_is_one_record_or_what_a_hash_stands_for() {
        for good in [
            "records ack c secrets a",
            "records ack c",
            "drift correct c --type keys",
            "records enable c --status disabled",
        ] {
            assert!(Cli::try_parse_from(["keyferry"].into_iter().chain(good.split(' '))).is_ok(), "{good}");
        }
        for bad in [
            "records ack c secrets",
            "records ack c secrets a --status disabled",
            "deletes release c",
            "drift list c --hash x",
        ] {
            assert!(Cli::try_parse_from(["keyferry"].into_iter().chain(bad.split(' '))).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_path_names_no_config() {
        for name in ["", ".", ".."] {
            assert!(Cli::try_parse_from(["keyferry", "expand", name]).is_err(), "{name:?}");
        }
    }
}
