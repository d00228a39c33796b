//! One build for everything a test run needs.
//!
//! Cargo unites the features of dependencies per call, over the packages that are named: each other choice of packages
//! compiles half the dependencies again. So the product and all its test programs are built by one call, which shares
//! everything with `cargo build --package keyferry`, and the test programs are then started directly. `xtask` is
//! built apart, because what it asks of `serde_json` would change that crate for all. Invariant: every test program
//! cargo built is in the list. Deliberately absent: running them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};

use crate::workspace::Workspace;

pub struct Artefacts {
    programs: BTreeMap<String, PathBuf>,
    /// In the order of their names, so that two runs do the same.
    pub tests: Vec<TestProgram>,
}

pub struct TestProgram {
    /// The crate it belongs to.
    pub package: String,
    /// The target inside that crate: the library's name or that of a file in `tests/`.
    pub target: String,
    pub program: PathBuf,
    /// Where cargo would start it.
    pub folder: PathBuf,
}

impl Artefacts {
    pub fn program(&self, name: &str) -> Result<&Path> {
        let program = self.programs.get(name);
        Ok(program.with_context(|| format!("the build made no program `{name}`"))?)
    }
}

pub fn build(workspace: &Workspace) -> Result<Artefacts> {
    let mut artefacts = Artefacts { programs: BTreeMap::new(), tests: Vec::new() };
    artefacts.build(workspace, &["--workspace", "--exclude", "xtask", "--bins", "--tests"])?;
    artefacts.build(workspace, &["--package", "xtask", "--tests"])?;
    artefacts.tests.sort_by(|one, other| (&one.package, &one.target).cmp(&(&other.package, &other.target)));
    Ok(artefacts)
}

impl Artefacts {
    fn build(&mut self, workspace: &Workspace, what: &[&str]) -> Result<()> {
        let mut cargo = workspace.cargo(&["build", "--locked", "--message-format=json-render-diagnostics"]);
        cargo.args(what).stdout(Stdio::piped());
        let mut child = cargo.spawn().context("cargo could not be started")?;
        let stdout = child.stdout.take().context("cargo's output was not captured")?;
        for message in Message::parse_stream(std::io::BufReader::new(stdout)) {
            if let Message::CompilerArtifact(artifact) = message.context("cargo's messages could not be read")? {
                self.add(artifact)?;
            }
        }
        let status = child.wait().context("cargo could not be waited for")?;
        if !status.success() {
            bail!("the build failed ({status})");
        }
        Ok(())
    }

    fn add(&mut self, artifact: Artifact) -> Result<()> {
        let Some(program) = artifact.executable else {
            return Ok(());
        };
        let program = program.into_std_path_buf();
        if !artifact.profile.test {
            if artifact.target.is_bin() {
                self.programs.insert(artifact.target.name, program);
            }
            return Ok(());
        }
        let folder = artifact.manifest_path.parent().context("a manifest without a folder")?;
        // A crate's folder bears its name.
        let package = folder.file_name().context("a manifest at the root of the file system")?.to_owned();
        let folder = folder.as_std_path().to_path_buf();
        self.tests.push(TestProgram { package, target: artifact.target.name, program, folder });
        Ok(())
    }
}
