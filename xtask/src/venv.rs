//! Python environments under the target folder: made once, kept until what they hold is no longer what is wanted.
//!
//! Invariants: an environment is whole or made again (a stamp is written last); two runs at once wait for each
//! other; every way this can fail on a bare machine has one line that says how to mend it. Deliberately absent:
//! anything installed outside the target folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, Quiet};
use crate::workspace::Workspace;

/// Written into an environment after all went well: what was installed, as it was asked for.
const STAMP: &str = "installed.txt";
/// Microsoft's clients and the server's wheel need this much.
const OLDEST_PYTHON: (u32, u32) = (3, 9);

/// A Python environment `target/tools/<name>` and what has to be in it.
pub struct Venv<'a> {
    pub name: &'a str,
    /// What is in it, for people.
    pub what: &'a str,
    /// What `pip install` is given, with paths relative to the workspace.
    pub install: &'a [&'a str],
    /// The exact wish in text: equal text means nothing to do.
    pub wish: &'a str,
    /// What else helps when it cannot be installed, as the end of a sentence.
    pub way_out: &'a str,
}

impl Venv<'_> {
    /// Makes the environment unless it is there as wished, and answers where it is.
    pub fn ensure(&self, workspace: &Workspace) -> Result<PathBuf> {
        let tools = workspace.tools();
        let folder = tools.join(self.name);
        if self.is_ready(&folder) {
            return Ok(folder);
        }
        let _lock = lock(&tools)?;
        if self.is_ready(&folder) {
            return Ok(folder);
        }
        println!("installing {} into {}", self.what, folder.display());
        self.create(&folder)?;
        self.fill(workspace, &folder)?;
        fs::write(folder.join(STAMP), self.wish).with_context(|| unwritable(&folder))?;
        Ok(folder)
    }

    fn is_ready(&self, folder: &Path) -> bool {
        let stamped = fs::read_to_string(folder.join(STAMP)).is_ok_and(|installed| installed == self.wish);
        // The environment points at the system's Python, which may have been removed since.
        stamped && python_version(&python_in(folder)).is_some()
    }

    fn create(&self, folder: &Path) -> Result<()> {
        let way_out = self.way_out;
        let Some(version) = python_version(Path::new("python3")) else {
            bail!(
                "python3 was not found: install Python 3.9 or newer (Debian: `apt-get install python3-venv`){way_out}"
            );
        };
        if version < OLDEST_PYTHON {
            bail!("python3 is {}.{}, too old: install Python 3.9 or newer{way_out}", version.0, version.1);
        }
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(folder);
        let Some(made) = process::quiet(&mut command)? else { bail!("python3 disappeared") };
        if made.succeeded {
            return Ok(());
        }
        if made.said.contains("ensurepip") || made.said.contains("No module named venv") {
            bail!("this Python has no venv module: install it (Debian: `apt-get install python3-venv`){way_out}");
        }
        bail!("a Python environment could not be made in {} ({}){way_out}", folder.display(), last_line(&made));
    }

    fn fill(&self, workspace: &Workspace, folder: &Path) -> Result<()> {
        let mut command = Command::new(python_in(folder));
        command.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
        command.args(self.install).current_dir(workspace.root());
        let Some(filled) = process::quiet(&mut command)? else { bail!("{} has no python", folder.display()) };
        if filled.succeeded {
            return Ok(());
        }
        bail!(
            "pip could not install {} ({}): check the network and pip's settings (PIP_INDEX_URL, PIP_PROXY){}",
            self.what,
            last_line(&filled),
            self.way_out
        );
    }
}

pub fn python_in(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

fn python_version(python: &Path) -> Option<(u32, u32)> {
    let mut command = Command::new(python);
    command.args(["-c", "import sys; print('%d %d' % sys.version_info[:2])"]);
    let answer = process::quiet(&mut command).ok().flatten().filter(|answer| answer.succeeded)?;
    let (major, minor) = answer.said.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Held while something is installed; released when dropped, or by the system when this process ends.
fn lock(tools: &Path) -> Result<File> {
    fs::create_dir_all(tools).with_context(|| unwritable(tools))?;
    let file = File::create(tools.join(".lock")).with_context(|| unwritable(tools))?;
    file.lock().with_context(|| unwritable(tools))?;
    Ok(file)
}

fn unwritable(folder: &Path) -> String {
    format!("{} cannot be written: make it writable, or choose another place with CARGO_TARGET_DIR", folder.display())
}

/// The line of a tool's output that says what went wrong: pip marks it, Python prints it last.
fn last_line(output: &Quiet) -> &str {
    let mut lines = output.said.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = output.said.lines().rev().find_map(|line| line.trim().strip_prefix("ERROR: "));
    marked.or_else(|| lines.next_back()).unwrap_or("it said nothing")
}

/// Reads `path`, naming it when that fails.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).or_else(|error: io::Error| bail!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_pip_marks_as_its_error_is_the_one_shown() {
        let said = "WARNING: Retrying\nERROR: No matching distribution found for x==1\n\nnotice: new pip\n".to_owned();

        assert_eq!(last_line(&Quiet { succeeded: false, said }), "No matching distribution found for x==1");
    }

    #[test]
    fn without_a_mark_the_last_line_is_shown() {
        let said = "Traceback\nPermissionError: denied\n\n".to_owned();

        assert_eq!(last_line(&Quiet { succeeded: false, said }), "PermissionError: denied");
        assert_eq!(last_line(&Quiet { succeeded: false, said: String::new() }), "it said nothing");
    }
}
