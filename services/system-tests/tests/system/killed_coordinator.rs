//! A coordinator that dies without a word, in the middle of a run it decides.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{Run, Status, run::RunEnd};
use system_tests::ClusterBuilder;

use crate::fixtures::{LIMIT, SOURCE, TARGET, create, pair, with_logs};

const SECRETS: usize = 800;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_under_the_same_id_when_its_coordinator_is_killed() -> Result<()> {
    let latency = Duration::from_millis(60);
    let mut cluster = ClusterBuilder::new(pair(SECRETS)).unlimited().latency(latency).start().await?;
    cluster.start_coordinator()?;
    let members = [cluster.coordinators[0].member(LIMIT).await?, cluster.coordinators[1].member(LIMIT).await?];
    let config = create(&cluster).await?;
    with_logs(&cluster, cluster.api().active(&config, SECRETS as u64 / 4, LIMIT).await)?;
    let owner = cluster.api().config(&config).await?.summary.context("no coordinator answers")?.coordinator;
    let owner = members.iter().position(|member| *member == owner).context("the owner is none of the two")?;
    cluster.coordinators[owner].kill()?;
    let open = cluster.api().runs(&config).await?;
    ensure!(open.len() == 1 && open[0].is_open(), "the run was over already: {open:?}");

    let view = with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;

    let summary = view.summary.context("no coordinator answers")?;
    ensure!(summary.coordinator == members[1 - owner], "{summary:?}");
    let runs = cluster.api().runs(&config).await?;
    ensure!(runs.len() == 1 && runs[0].id == open[0].id, "the run goes on, and none is begun: {runs:?}");
    let Run { end, resumed, counts, .. } = &runs[0];
    ensure!((end, *resumed) == (&Some(RunEnd::Completed), 1) && counts.complete, "{runs:?}");
    let all = SECRETS as u64;
    ensure!((counts.planned, counts.attempted, counts.unchanged) == (all, all, 0), "{counts:?}");
    // Each is read once, looked for once and written once, whoever heard of it.
    ensure!((counts.calls.get, counts.calls.set) == (2 * all, all), "{counts:?}");
    let stories = cluster.api().stories(&config).await?;
    ensure!(stories.len() == SECRETS, "{} records", stories.len());
    ensure!(stories.iter().all(|story| story.record.status == Status::Active), "not all are active");
    ensure!(stories.iter().all(|story| story.record.run == Some(runs[0].id)), "synced in another run");
    // The workers lived: each of them ended what it had begun, so nothing is written twice.
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let names = stories.into_iter().map(|story| story.record.id.name.to_string());
    let versions = reader.compare(SOURCE, TARGET, names).await?;
    ensure!(versions.values().all(|count| *count == 1), "{versions:?}");
    Ok(())
}
