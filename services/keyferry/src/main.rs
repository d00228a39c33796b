//! The one program: every role, the emulator, the whole system on one machine, and the command line of an operator.
//!
//! What a role does is in its own crate; here is how it becomes a process. Standard output carries answers only, so that
//! scripts can read it; everything else goes to standard error.

mod cli;
mod client;
mod commands;
mod failure;
mod output;
mod roles;
mod settings;
mod up;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is bad input.
            let code = if error.use_stderr() { runtime::settings::EXIT_CODE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("keyferry: the cryptography was set up twice");
        return ExitCode::from(70);
    }
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<u8, Failure> {
    // One system for all: roles have actors, which live on its thread.
    actix_rt::System::new().block_on(async move {
        match cli.command {
            Command::Up(args) => up::run(args).await,
            Command::Coordinator(args) => roles::coordinator(args).await.map(|()| 0),
            Command::Worker(args) => roles::worker(args).await.map(|()| 0),
            Command::Gateway(args) => roles::gateway(args).await.map(|()| 0),
            Command::Emulator(args) => roles::emulator(args).await.map(|()| 0),
            Command::Nats(command) => commands::nats::run(command).await.map(|()| 0),
            Command::Token(command) => commands::token::run(command).await.map(|()| 0),
            Command::Explain { word } => commands::explain::run(&word, cli.output).map(|()| 0),
            Command::Config(command) => commands::config::run(&cli.server, cli.output, command).await.map(|()| 0),
            Command::Records(command) => commands::records::run(&cli.server, cli.output, command).await.map(|()| 0),
            Command::Expand { config } => commands::config::expand(&cli.server, cli.output, &config).await.map(|()| 0),
            Command::Runs(command) => commands::runs::run(&cli.server, cli.output, command).await.map(|()| 0),
            Command::Watch { config, cursor } => {
                commands::watch::run(&cli.server, cli.output, &config, cursor.as_deref()).await.map(|()| 0)
            }
        }
    })
}
