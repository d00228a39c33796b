//! `cargo xtask`: the few commands a person or a CI machine needs on a fresh checkout.
//!
//! It exists so that "build it, start it, test it" is one command each, the same here and in CI, with the tools
//! that are not Rust installed on the way. Invariants: nothing outside the target folder is written; whatever is
//! missing is named in one line with the way to get it; a check that could not be made fails. Deliberately
//! absent: anything the product does (`keyferry` does it), and every dependency that takes long to compile,
//! because this crate is the first thing a fresh machine builds.

mod artefacts;
mod counts;
mod graph;
mod licences;
mod lint;
mod load;
mod process;
mod report;
mod rules;
mod sim;
mod sources;
mod test;
mod tools;
mod up;
mod venv;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, starts, tests and measures Keyferry.
#[derive(Parser)]
#[command(name = "cargo-xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and start everything on this machine with a demo estate; Ctrl-C stops it.
    Up(up::Args),
    /// Install what the tests need, lint, and run every test.
    Test(test::Args),
    /// Formatting, dependency and licence rules, source rules, clippy.
    Lint,
    /// Build for release and run the load test.
    Load(load::Args),
    /// Play seeds of the simulation: the whole system in one process, where everything goes wrong.
    Sim(sim::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Up(args) => up::run(&workspace, &args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Lint => Ok(lint::run(&workspace)),
        Command::Load(args) => load::run(&workspace, &args),
        Command::Sim(args) => sim::run(&workspace, &args),
    }
}
