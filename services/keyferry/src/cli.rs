//! What can be written on the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use runtime::HumanDuration;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   an error without a code
  2   `up --exit-when-synced`: some records failed
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

/// Which installation is asked.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// Address of the gateway.
    #[arg(long, global = true, env = "KEYFERRY_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// Bearer token; `keyferry token create` makes one.
    #[arg(long, global = true, env = "KEYFERRY_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
    Yaml,
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
    Gateway(Role),
    /// Runs Azure for a laptop.
    Emulator(Emulator),
    /// Prepares NATS.
    #[command(subcommand)]
    Nats(Nats),
    /// Makes tokens of the API, straight in NATS.
    #[command(subcommand)]
    Token(Token),
    /// Replication configs.
    #[command(subcommand)]
    Config(Config),
    /// Records: one per replicated item.
    #[command(subcommand)]
    Records(Records),
    /// Lists both vaults of a config again, and does what follows from it.
    Expand {
        /// Id or name.
        config: String,
    },
    /// Runs of a config.
    #[command(subcommand)]
    Runs(Runs),
    /// Follows what happens to a config, one line or object per event, until interrupted.
    Watch {
        /// Id or name.
        config: String,
        /// Go on after this event.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Says what a code or status means, and what to do about it.
    Explain {
        #[arg(value_name = "CODE")]
        word: String,
    },
}

#[derive(Debug, Args)]
pub struct Up {
    /// Where all data lives.
    #[arg(long, default_value = ".keyferry")]
    pub dir: PathBuf,
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub coordinators: u16,
    /// The emulated Azure; the demo estate if nothing is given. Items go from its first vault to its second.
    #[arg(long, value_name = "FILE.yaml")]
    pub estate: Option<PathBuf>,
    /// Ends when every record is settled, with one JSON object on standard output.
    #[arg(long)]
    pub exit_when_synced: bool,
    /// The nats-server to use.
    #[arg(long, value_name = "FILE")]
    pub nats_server: Option<PathBuf>,
    /// Port of the gateway.
    #[arg(long, default_value_t = 8_080)]
    pub port: u16,
    /// Port of NATS.
    #[arg(long, default_value_t = 4_222)]
    pub nats_port: u16,
    /// Port of the emulated Azure; its admin listener has the next.
    #[arg(long, default_value_t = 8_443)]
    pub emulator_port: u16,
}

#[derive(Debug, Clone, Args)]
pub struct Role {
    /// Settings; every one has a default.
    #[arg(long, value_name = "FILE.toml")]
    pub settings: Option<PathBuf>,
    /// Address of NATS, in place of the settings'.
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// Gateway: where to listen, in place of the settings'.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Log filter: a level, or target=level,target=level.
    #[arg(long, env = "KEYFERRY_LOG", default_value = "info")]
    pub log: String,
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Ends when standard input ends: with the process that started this one.
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Emulator {
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// The demo estate if nothing is given.
    #[arg(long, value_name = "FILE.yaml")]
    pub estate: Option<PathBuf>,
    /// Where the CA's certificate is written, for clients to trust.
    #[arg(long, value_name = "FILE.pem")]
    pub ca_out: Option<PathBuf>,
    /// What every call takes at least.
    #[arg(long, default_value = "0ms")]
    pub latency: HumanDuration,
    /// `azure` throttles as Azure does.
    #[arg(long, default_value = "azure")]
    pub limits: emulator::Limits,
    /// Loopback only: settings, faults and counts, without a token.
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Keeps state between starts.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum Nats {
    /// Makes every stream and bucket, or brings it up to date.
    Provision {
        #[arg(long, value_name = "FILE.toml")]
        settings: Option<PathBuf>,
        #[arg(long, value_name = "URL")]
        nats: Option<String>,
        /// Copies of every stream: 1, 3 or 5.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
        replicas: u8,
    },
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Prints a new token, the only time it is shown.
    Create {
        #[arg(long)]
        name: String,
        #[arg(long, value_enum)]
        role: TokenRole,
        #[arg(long, value_name = "FILE.toml")]
        settings: Option<PathBuf>,
        #[arg(long, value_name = "URL")]
        nats: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    Viewer,
    Operator,
    Admin,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Creates a config from a YAML file; `-` is standard input.
    Create {
        #[arg(short, long, value_name = "FILE.yaml")]
        file: PathBuf,
    },
    List,
    Get {
        /// Id or name.
        config: String,
    },
    /// Stops replicating. Nothing is deleted in any vault.
    Delete {
        /// Id or name.
        config: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Records {
    List {
        /// Id or name of the config.
        config: String,
        #[arg(long)]
        status: Option<String>,
        /// secrets, certificates or keys.
        #[arg(long = "type")]
        kind: Option<String>,
        /// Glob.
        #[arg(long)]
        name: Option<String>,
    },
    /// One record with its history.
    Get {
        /// Id or name of the config.
        config: String,
        #[arg(value_name = "TYPE")]
        kind: String,
        name: String,
    },
    /// Syncs one record at once, or all in a run.
    Sync {
        /// Id or name of the config.
        config: String,
        #[arg(value_name = "TYPE", requires = "name")]
        kind: Option<String>,
        name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Runs {
    /// Newest first.
    List {
        /// Id or name of the config.
        config: String,
    },
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
    fn a_record_needs_its_type_and_its_name() {
        assert!(Cli::try_parse_from(["keyferry", "records", "sync", "c"]).is_ok());
        assert!(Cli::try_parse_from(["keyferry", "records", "sync", "c", "secrets", "a"]).is_ok());
        assert!(Cli::try_parse_from(["keyferry", "records", "sync", "c", "secrets"]).is_err());
    }
}
