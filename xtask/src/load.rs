//! `cargo xtask load`: the load test, on a release build.
//!
//! Invariant: what is measured is what would be shipped. Deliberately absent: the measuring (`loadtest` does it).

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, test, tools, up};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Handed to `loadtest`; `--help` shows them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let nats_server = tools::nats_server(workspace)?;
    let build = ["build", "--release", "--package", "keyferry", "--package", "loadtest"];
    process::run(workspace.cargo(&build), "the release build")?;
    let mut loadtest = Command::new(workspace.program("release", "loadtest"));
    loadtest.args(&args.args);
    test::environment(&mut loadtest, &workspace.program("release", "keyferry"), &nats_server);
    match up::become_program(loadtest)? {}
}
