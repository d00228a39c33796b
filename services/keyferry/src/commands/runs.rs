//! Runs.

use clap::Subcommand;
use proto_msgs::{Run, run::RunEnd};

use crate::{
    client::path,
    failure::Failure,
    invocation::{ConfigArg, Invocation, segment},
    output::{self, or_dash},
};

#[derive(Debug, Subcommand)]
pub enum Runs {
    /// Lists the runs of a config, newest first.
    List(ConfigArg),
    /// Shows one run.
    Get {
        #[command(flatten)]
        config: ConfigArg,
        /// Id of the run.
        #[arg(value_parser = segment)]
        run: String,
    },
}

impl Runs {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let client = invocation.client()?;
        match self {
            Self::List(ConfigArg { config }) => {
                let runs: Vec<Run> = client.all(&path(&["configs", &config, "runs"]), &[]).await?;
                invocation.answer(&runs, || list(&runs))
            }
            Self::Get { config, run } => {
                let run: Run = client.get(&path(&["configs", &config.config, "runs", &run])).await?;
                invocation.answer(&run, || describe(&run))
            }
        }
    }
}

fn list(runs: &[Run]) -> String {
    let rows = runs.iter().map(|run| {
        vec![
            run.id.to_string(),
            run.started.to_string(),
            or_dash(run.ended),
            end(run),
            attempted(run),
            // A listing that broke off shows what it did not see as unchanged.
            or_dash(run.counts.complete.then_some(run.counts.unchanged)),
        ]
    });
    output::table(&["RUN", "STARTED", "ENDED", "RESULT", "ATTEMPTED", "UNCHANGED"], rows)
}

fn describe(run: &Run) -> String {
    let (counts, calls) = (&run.counts, &run.counts.calls);
    let mut rows = vec![
        ("run", run.id.to_string()),
        ("started", run.started.to_string()),
        ("ended", or_dash(run.ended)),
        ("result", end(run)),
    ];
    if let Some(RunEnd::Failed { message, .. }) = &run.end {
        rows.push(("detail", output::one_line(message)));
    }
    rows.extend([
        ("items", format!("{} at the source, {} at the target", counts.source_items, counts.target_items)),
        ("listings", if counts.complete { "complete" } else { "not complete" }.to_owned()),
        ("attempted", attempted(run)),
        ("unchanged", or_dash(counts.complete.then_some(counts.unchanged))),
        ("calls", format!("list {}, get {}, set {}", calls.list, calls.get, calls.set)),
        ("taken over", run.resumed.to_string()),
        ("correlation id", run.correlation_id.to_string()),
    ]);
    output::list(&rows)
}

fn attempted(run: &Run) -> String {
    format!("{}/{}", run.counts.attempted, run.counts.planned)
}

fn end(run: &Run) -> String {
    match &run.end {
        None => "under way".to_owned(),
        Some(RunEnd::Completed) => "completed".to_owned(),
        Some(RunEnd::CompletedWithFailures) => "completed, with failures".to_owned(),
        Some(RunEnd::Failed { code, .. }) => format!("failed: {code}"),
        Some(RunEnd::Interrupted) => "interrupted".to_owned(),
        Some(RunEnd::Cancelled) => "cancelled".to_owned(),
    }
}
