//! `cargo xtask sim`: more seeds of the simulation than the tests have time for, or one seed again.
//!
//! Invariant: it is the same program as in the tests. Deliberately absent: the simulation (it is a test of `system-tests`).

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::artefacts;
use crate::workspace::Workspace;

/// The test that plays seeds and checks every rule.
const TEST: &str = "seeds::whatever_happens_it_becomes_right_and_no_rule_is_broken";

#[derive(clap::Args)]
pub struct Args {
    /// How many seeds to play, one after the other.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Which seed comes first.
    #[arg(long, value_name = "S", default_value_t = 0)]
    first_seed: u64,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let built = artefacts::build(workspace)?;
    let simulation = built.tests.iter().find(|test| test.target == "simulation");
    let simulation = simulation.context("the build made no test program `simulation`")?;
    let mut command = Command::new(&simulation.program);
    command.args(["--exact", TEST, "--nocapture"]).current_dir(&simulation.folder);
    command.env("KEYFERRY_SIM_SEEDS", args.seeds.to_string()).env("KEYFERRY_SIM_FIRST", args.first_seed.to_string());
    let status = command.status().context("the simulation could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
