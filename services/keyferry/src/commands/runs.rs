//! Runs.

use proto_msgs::{Run, run::RunEnd};

use crate::{
    cli::{Output, Runs, Server},
    client::{Client, segment},
    failure::Failure,
    output::{self, or_dash},
};

pub async fn run(server: &Server, output: Output, command: Runs) -> Result<(), Failure> {
    let Runs::List { config } = command;
    let path = format!("/api/v1/configs/{}/runs?limit=100", segment(&config));
    let runs: Vec<Run> = Client::new(server)?.all(&path).await?;
    output::print(output, &runs, || list(&runs))
}

fn list(runs: &[Run]) -> String {
    let rows = runs.iter().map(|run| {
        let counts = &run.counts;
        vec![
            run.id.to_string(),
            run.started.to_string(),
            or_dash(run.ended),
            end(run),
            format!("{}/{}", counts.attempted, counts.planned),
            counts.unchanged.to_string(),
        ]
    });
    output::table(&["RUN", "STARTED", "ENDED", "RESULT", "SYNCED", "UNCHANGED"], rows)
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
