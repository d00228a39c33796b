//! Everything that is wrong without running anything, cheapest check first.
//!
//! Invariant: a finding is an error, there are no warnings. Deliberately absent: the rules themselves (`rules`,
//! `licences`, `sources`, `clippy.toml` and the workspace's lint table hold them).

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::graph::Graph;
use crate::report::Report;
use crate::workspace::Workspace;
use crate::{licences, process, rules, sources};

/// `cargo xtask lint`: all of it, whatever fails, so that one run shows everything.
pub fn run(workspace: &Workspace) -> ExitCode {
    let mut report = Report::new(true);
    steps(workspace, &mut report);
    report.finish(false)
}

pub fn steps(workspace: &Workspace, report: &mut Report) {
    report.step("lint: format", |_| {
        process::run(workspace.cargo(&["fmt", "--all", "--check"]), "the format check (`cargo fmt` mends it)")
    });
    report.step("lint: dependencies", |_| {
        let graph = Graph::of(&workspace.resolved()?);
        let mut found = rules::violations(&graph);
        found.extend(licences::violations(&graph));
        none_of(&found)
    });
    report.step("lint: sources", |_| none_of(&sources::violations(workspace.root(), workspace.target())?));
    report.step("lint: clippy", |_| {
        let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
        process::run(workspace.cargo(&arguments), "clippy")
    });
}

fn none_of(found: &[String]) -> Result<()> {
    for sentence in found {
        println!("error: {sentence}");
    }
    match found.len() {
        0 => Ok(()),
        1 => bail!("1 rule is broken"),
        many => bail!("{many} rules are broken"),
    }
}
