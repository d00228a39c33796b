//! One call of the command line: which installation is asked, how answers are written, and the id it all goes under.

use clap::Args;
use proto_msgs::CorrelationId;
use serde::Serialize;

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Output},
};

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

/// What every command is given.
#[derive(Debug)]
pub struct Invocation {
    pub server: Server,
    pub output: Output,
    /// Sent with every request, and printed with every failure.
    pub correlation: CorrelationId,
}

impl Invocation {
    /// The API of the installation.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.server, self.correlation)
    }

    /// Writes an answer; `table` is only made if it is shown.
    pub fn answer<T: Serialize>(&self, answer: &T, table: impl FnOnce() -> String) -> Result<(), Failure> {
        output::print(self.output, answer, table)
    }
}

/// Which config.
#[derive(Debug, Args)]
pub struct ConfigArg {
    /// Id or name.
    #[arg(value_name = "CONFIG", value_parser = segment)]
    pub config: String,
}

/// Text that can stand in a path of the API.
pub fn segment(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("this names nothing".to_owned()),
        text => Ok(text.to_owned()),
    }
}
