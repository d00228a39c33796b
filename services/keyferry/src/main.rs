//! The one program: every role, the emulator, the whole system on one machine, and the command line of an operator.
//!
//! What a role does is in its own crate; here is how it becomes a process. Standard output carries answers only, so that
//! scripts can read it; everything else goes to standard error.

// `output` writes instead: these two panic where the reader has left.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod client;
mod commands;
mod failure;
mod invocation;
mod output;
mod parent;
mod roles;
mod settings;
mod up;

use std::process::ExitCode;

use clap::Parser;
use proto_msgs::{CorrelationId, RequestCode};
use runtime::{Entropy, SystemEntropy};

use crate::{
    cli::{Cli, Command},
    failure::{FIX_INTERNAL, Failure},
    invocation::Invocation,
};

fn main() -> ExitCode {
    let correlation = CorrelationId::from_random(SystemEntropy.bits());
    match begin(correlation) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if let Some(text) = failure.text(correlation) {
                output::tell(text);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn begin(correlation: CorrelationId) -> Result<u8, Failure> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are answers.
        Err(error) if !error.use_stderr() => return output::line(error.render().to_string().trim_end()).map(|()| 0),
        Err(error) => return Err(error.into()),
    };
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err(Failure::new(RequestCode::Internal, "the cryptography was set up twice", FIX_INTERNAL));
    }
    let invocation = Invocation { server: cli.server, output: cli.output, correlation };
    // One system for all: roles have actors, which live on its thread.
    actix_rt::System::new().block_on(run(cli.command, &invocation))
}

/// Gives the exit code.
async fn run(command: Command, invocation: &Invocation) -> Result<u8, Failure> {
    match command {
        Command::Up(args) => return up::run(args, invocation.correlation).await,
        Command::Coordinator(args) => roles::coordinator(args).await,
        Command::Worker(args) => roles::worker(args).await,
        Command::Gateway(args) => roles::gateway(args).await,
        Command::Emulator(args) => roles::emulator(args).await,
        Command::Nats(command) => command.run(invocation).await,
        Command::Token(command) => command.run(invocation).await,
        Command::Config(command) => command.run(invocation).await,
        Command::Records(command) => command.run(invocation).await,
        Command::Expand(args) => commands::config::expand(&args.config, invocation).await,
        Command::Plan(args) => commands::plan::run(args, invocation).await,
        Command::Deletes(command) => command.run(invocation).await,
        Command::Drift(command) => command.run(invocation).await,
        Command::StopAll(reason) => commands::control::stop_all(reason, invocation).await,
        Command::ResumeAll(reason) => commands::control::resume_all(reason, invocation).await,
        Command::Runs(command) => command.run(invocation).await,
        Command::Watch(args) => args.run(invocation).await,
        Command::Explain(args) => args.run(invocation),
        Command::WithParent(args) => args.run(),
    }
    .map(|()| 0)
}
