//! `cargo xtask test`: installs what the tests need, lints, builds once, and runs every test.
//!
//! Invariants: CI runs exactly this; a step that counted nothing where tests were asked for is a failure; the last
//! line is the sum. Deliberately absent: retries, and tests that are left out by default.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::artefacts::{self, Artefacts, TestProgram};
use crate::counts::{self, Counts};
use crate::report::Report;
use crate::tools::{self, Tools};
use crate::workspace::Workspace;
use crate::{lint, process};

/// The crate whose tests start the whole system.
const SYSTEM: &str = "system-tests";
/// The suite that drives the emulator with Microsoft's own clients.
const CONFORMANCE: &str = "services/emulator/conformance";

#[derive(clap::Args)]
pub struct Args {
    /// Run this part alone.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Go on after a failure; the exit code tells of it all the same.
    #[arg(long)]
    keep_going: bool,
    /// Run only tests whose name contains this; lint and load are left out.
    filter: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Formatting, dependency, licence and source rules, clippy.
    Lint,
    /// The tests of every crate but those of the whole system.
    Unit,
    /// The whole system: real processes, a real NATS server, the emulator.
    System,
    /// The emulator under Microsoft's own Python clients.
    Python,
    /// The load test at a size that takes seconds.
    Load,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        let is_a_test = !matches!(part, Part::Lint | Part::Load);
        self.only.map_or(is_a_test || self.filter.is_none(), |only| only == part)
    }

    fn wants_tests(&self) -> bool {
        [Part::Unit, Part::System, Part::Python].into_iter().any(|part| self.wants(part))
    }
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let mut report = Report::new(args.keep_going);
    let needs_build = args.wants_tests() || args.wants(Part::Load);
    // Tools first: they take seconds, and a machine that lacks one should say so before it compiles for minutes.
    let tools = needs_build.then(|| report.step("tools", |_| install(workspace))).flatten();
    if args.wants(Part::Lint) {
        lint::steps(workspace, &mut report);
    }
    let built = needs_build.then(|| report.step("build", |_| artefacts::build(workspace))).flatten();
    let bench = match (built, tools) {
        (Some(built), Some(tools)) => Some(Bench { workspace, args, built, tools }),
        _ => None,
    };
    for (part, name, work) in PARTS {
        if args.wants(*part) {
            match &bench {
                Some(bench) => _ = report.step(name, |counts| work(bench, counts)),
                None => report.skip(name),
            }
        }
    }
    Ok(report.finish(args.wants_tests()))
}

type Work = fn(&Bench<'_>, &mut Counts) -> Result<()>;

/// The parts that need the build, in the order they run: the quick ones first.
const PARTS: &[(Part, &str, Work)] = &[
    (Part::Unit, "unit tests", |bench, counts| bench.unit(counts)),
    (Part::Unit, "doc tests", |bench, counts| bench.doc(counts)),
    (Part::System, "system tests", |bench, counts| bench.system(counts)),
    (Part::Python, "python tests", |bench, counts| bench.python(counts)),
    (Part::Load, "load test, smoke", |bench, counts| bench.load(counts)),
];

fn install(workspace: &Workspace) -> Result<Tools> {
    let nats_server = tools::nats_server(workspace)?;
    let python = tools::python(workspace)?;
    println!("nats-server: {}\npython: {}", nats_server.display(), python.display());
    Ok(Tools { nats_server, python })
}

/// What every test needs to know.
struct Bench<'a> {
    workspace: &'a Workspace,
    args: &'a Args,
    built: Artefacts,
    tools: Tools,
}

impl Bench<'_> {
    fn unit(&self, counts: &mut Counts) -> Result<()> {
        self.programs(counts, |test| test.package != SYSTEM)
    }

    fn system(&self, counts: &mut Counts) -> Result<()> {
        self.programs(counts, |test| test.package == SYSTEM)
    }

    fn doc(&self, counts: &mut Counts) -> Result<()> {
        let mut cargo = self.workspace.cargo(&["test", "--workspace", "--exclude", "xtask", "--doc", "--locked", "--"]);
        cargo.args(&self.args.filter);
        self.counted(cargo, "the doc tests", counts, counts::from_libtest)
    }

    fn python(&self, counts: &mut Counts) -> Result<()> {
        let mut pytest = Command::new(&self.tools.python);
        pytest.args(["-m", "pytest", CONFORMANCE, "-p", "no:cacheprovider", "-ra"]);
        pytest.current_dir(self.workspace.root()).env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(filter) = &self.args.filter {
            pytest.args(["-k", &python_filter(filter)]);
        }
        self.counted(pytest, "pytest", counts, counts::from_pytest)?;
        self.must_have_run(*counts)
    }

    fn load(&self, _: &mut Counts) -> Result<()> {
        let mut smoke = Command::new(self.built.program("loadtest")?);
        smoke.arg("--smoke").current_dir(self.workspace.root());
        let mut said_nothing = true;
        let status = process::watched(self.with_tools(smoke)?, "the load test", |_| said_nothing = false)?;
        if !status.success() {
            bail!("the load test failed ({status})");
        }
        if said_nothing {
            bail!("the load test reported nothing");
        }
        Ok(())
    }

    fn programs(&self, counts: &mut Counts, wanted: impl Fn(&TestProgram) -> bool) -> Result<()> {
        for test in self.built.tests.iter().filter(|test| wanted(test)) {
            println!("\n-- {} ({})", test.package, test.target);
            let mut command = Command::new(&test.program);
            command.args(&self.args.filter).current_dir(&test.folder).env("CARGO_MANIFEST_DIR", &test.folder);
            self.counted(command, &format!("{} ({})", test.package, test.target), counts, counts::from_libtest)?;
        }
        self.must_have_run(*counts)
    }

    /// Runs a test program and adds up what it prints; it has to print a count, and the count has to be good.
    fn counted(
        &self,
        command: Command,
        what: &str,
        counts: &mut Counts,
        read: fn(&str) -> Option<Counts>,
    ) -> Result<()> {
        let mut found: Option<Counts> = None;
        let status = process::watched(self.with_tools(command)?, what, |line| {
            if let Some(read) = read(line) {
                found.get_or_insert_default().add(read);
            }
        })?;
        let Some(found) = found else { bail!("{what} ended without a count ({status})") };
        counts.add(found);
        found.must_be_good()?;
        // pytest's word for "nothing to do"; whether that is right is decided by the caller.
        let is_empty = found.is_empty() && status.code() == Some(5);
        if !status.success() && !is_empty {
            bail!("{what} failed ({status})");
        }
        Ok(())
    }

    fn must_have_run(&self, counts: Counts) -> Result<()> {
        match &self.args.filter {
            // With a filter, tests of one part may well be meant.
            Some(_) if self.args.only.is_none() => Ok(()),
            Some(filter) if counts.is_empty() => bail!("no test has a name that contains `{filter}`"),
            None if counts.is_empty() => bail!("no test was found"),
            _ => Ok(()),
        }
    }

    fn with_tools(&self, mut command: Command) -> Result<Command> {
        environment(&mut command, self.built.program("keyferry")?, &self.tools.nats_server);
        command.env("KEYFERRY_PYTHON", &self.tools.python);
        Ok(command)
    }
}

/// Tells a test or the load test where the programs are.
pub fn environment(command: &mut Command, keyferry: &Path, nats_server: &Path) {
    command.env("KEYFERRY_BIN", keyferry).env("KEYFERRY_NATS_SERVER", nats_server);
}

/// pytest's `-k` reads expressions over names; a Rust path's last part is such a name.
fn python_filter(filter: &str) -> String {
    filter.rsplit("::").next().unwrap_or(filter).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(only: Option<Part>, filter: Option<&str>) -> Args {
        Args { only, keep_going: false, filter: filter.map(str::to_owned) }
    }

    #[test]
    fn without_arguments_every_part_runs() {
        let args = args(None, None);

        for part in Part::value_variants() {
            assert!(args.wants(*part));
        }
    }

    #[test]
    fn a_filter_leaves_out_what_has_no_tests() {
        let args = args(None, Some("lease"));

        assert!(!args.wants(Part::Lint) && !args.wants(Part::Load));
        assert!(args.wants(Part::Unit) && args.wants(Part::System) && args.wants(Part::Python));
    }

    #[test]
    fn one_part_alone_is_one_part() {
        let args = args(Some(Part::Lint), None);

        assert!(args.wants(Part::Lint) && !args.wants_tests() && !args.wants(Part::Load));
    }

    #[test]
    fn a_rust_path_becomes_a_name_pytest_can_read() {
        assert_eq!(python_filter("lease::tests::epoch"), "epoch");
        assert_eq!(python_filter("recover"), "recover");
    }
}
