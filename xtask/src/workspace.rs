//! Where things are in this checkout, and how cargo is called from inside a `cargo run`.
//!
//! Invariant: a cargo started here behaves like one started from a shell. `cargo run` hands its child the
//! variables of the package it runs; some build scripts rebuild when those change, so every nested build would
//! redo them. They are taken out again here, and nowhere else is cargo called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// What `cargo run` adds to the environment of the program it starts.
const RUN_VARIABLES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cargo: OsString,
}

impl Workspace {
    pub fn find() -> Result<Self> {
        let Some(manifest_dir) = std::env::var_os("CARGO_MANIFEST_DIR") else {
            bail!("the checkout was not found: start this as `cargo xtask`, not by its path");
        };
        let root = Path::new(&manifest_dir).parent().context("the checkout was not found: `xtask` has no parent")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut workspace = Self { root: root.to_path_buf(), target: PathBuf::new(), cargo };
        workspace.target = workspace.members()?.target_directory.into_std_path_buf();
        Ok(workspace)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where tools that are not Rust are installed.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The program `name` as a build with `profile_dir` (`debug`, `release`) leaves it.
    pub fn program(&self, profile_dir: &str, name: &str) -> PathBuf {
        self.target.join(profile_dir).join(name)
    }

    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root);
        for name in run_variables() {
            command.env_remove(name);
        }
        if std::env::var_os("CI").is_some() {
            // Incremental artefacts are written for a second build, which a CI machine never makes.
            command.env("CARGO_INCREMENTAL", "0");
        }
        command
    }

    /// The workspace's own packages, without looking at any other.
    pub fn members(&self) -> Result<Metadata> {
        let mut command = self.metadata_command();
        command.no_deps();
        command.exec().context("the workspace's manifests could not be read")
    }

    /// Every package built on this host, as the lock file pins it.
    pub fn resolved(&self) -> Result<Metadata> {
        let mut command = self.metadata_command();
        command.other_options(vec!["--locked".into(), "--filter-platform".into(), self.host()?]);
        command
            .exec()
            .context("the dependency graph could not be read (a stale Cargo.lock is renewed by `cargo check`)")
    }

    fn metadata_command(&self) -> MetadataCommand {
        let mut command = MetadataCommand::new();
        command.cargo_path(PathBuf::from(&self.cargo)).current_dir(&self.root);
        for name in run_variables() {
            command.env_remove(name);
        }
        command
    }

    fn host(&self) -> Result<String> {
        let output = self.cargo(&["-vV"]).output().context("cargo could not be started")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let host = text.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(host.context("`cargo -vV` names no host")?.to_owned())
    }
}

fn run_variables() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        RUN_VARIABLES.iter().any(|prefix| name.starts_with(prefix))
    })
}
