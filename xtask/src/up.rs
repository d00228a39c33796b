//! `cargo xtask up`: gets what a bare machine lacks, builds `keyferry`, and becomes `keyferry up`.
//!
//! Invariant: from the moment everything is there, this process *is* `keyferry`: signals, output and exit code need
//! no passing on. Deliberately absent: everything `keyferry up` does.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, tools};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Handed to `keyferry up`; `--help` shows them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let mut keyferry = Command::new(workspace.program("debug", "keyferry"));
    keyferry.arg("up");
    if needs_server(&args.args) {
        keyferry.arg("--nats-server").arg(tools::nats_server(workspace)?);
    }
    keyferry.args(&args.args);
    process::run(workspace.cargo(&["build", "--package", "keyferry"]), "the build")?;
    match become_program(keyferry)? {}
}

/// Whoever names a server, or only asks for help, needs none installed.
fn needs_server(args: &[OsString]) -> bool {
    !args.iter().any(|arg| {
        let is_named = arg == OsStr::new("--nats-server") || arg.to_string_lossy().starts_with("--nats-server=");
        is_named || arg == OsStr::new("--help") || arg == OsStr::new("-h")
    })
}

/// Replaces this process by `program`; returns only when that failed.
pub fn become_program(mut program: Command) -> Result<Infallible> {
    let error = program.exec();
    Err(error).with_context(|| format!("{} could not be started", program.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_server_is_looked_for_unless_one_is_named() {
        assert!(needs_server(&list(&["--workers", "3"])));
        assert!(!needs_server(&list(&["--nats-server", "/opt/nats-server"])));
        assert!(!needs_server(&list(&["--nats-server=/opt/nats-server"])));
        assert!(!needs_server(&list(&["--help"])));
    }
}
