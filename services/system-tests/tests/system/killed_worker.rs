//! A worker that dies without a word, in the middle of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use proto_msgs::{MemberId, Status, api::RecordView, record::OutcomeKind, run::RunEnd};
use system_tests::ClusterBuilder;

use crate::fixtures::{LIMIT, SOURCE, TARGET, create, pair, with_logs};

const SECRETS: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_without_help_when_a_worker_is_killed() -> Result<()> {
    let latency = Duration::from_millis(20);
    let mut cluster = ClusterBuilder::new(pair(SECRETS)).unlimited().latency(latency).start().await?;
    let config = create(&cluster).await?;
    let dead = cluster.workers[0].member(LIMIT).await?;
    with_logs(&cluster, cluster.api().active(&config, SECRETS as u64 / 4, LIMIT).await)?;
    cluster.workers[0].kill()?;
    let killed_at = cluster.api().config(&config).await?.summary.context("no coordinator answers")?;
    let run = killed_at.run.filter(proto_msgs::Run::is_open).context("the run was over already")?;

    with_logs(&cluster, cluster.api().settled(&config, LIMIT).await)?;

    let runs = cluster.api().runs(&config).await?;
    ensure!(runs.len() == 1 && runs[0].id == run.id, "one run, the same as before: {runs:?}");
    ensure!(runs[0].end == Some(RunEnd::Completed) && runs[0].counts.complete, "{:?}", runs[0]);
    let stories: BTreeMap<_, _> = cluster.api().stories(&config).await?.into_iter().map(named).collect();
    ensure!(stories.len() == SECRETS, "{} records", stories.len());
    ensure!(stories.values().all(|story| story.record.status == Status::Active), "not all are active");
    let unknown: BTreeSet<_> =
        stories.iter().filter(|(_, story)| has_open_intent(story, &dead)).map(|(name, _)| name.clone()).collect();
    ensure!(!unknown.is_empty(), "the worker died between attempts: nothing was shown");
    for name in &unknown {
        others_went_on(&stories[name], &dead).with_context(|| format!("the story of {name}"))?;
    }

    let writes = cluster.admin().counts().await?.applied(TARGET, "secrets.set");
    let allowed = SECRETS..=SECRETS + unknown.len();
    ensure!(allowed.contains(&usize::try_from(writes)?), "{writes} writes, {} unknown outcomes", unknown.len());
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    for (name, versions) in reader.compare(SOURCE, TARGET, stories.into_keys()).await? {
        let most = if unknown.contains(&name) { 2 } else { 1 };
        ensure!(versions <= most, "{name} has {versions} versions");
    }
    Ok(())
}

fn named(story: RecordView) -> (String, RecordView) {
    (story.record.id.name.to_string(), story)
}

/// Whether `worker` has begun an attempt that no outcome of its own ends: it may have written.
fn has_open_intent(story: &RecordView, worker: &MemberId) -> bool {
    let ended = |started| {
        let mut ends = story.history.iter().chain([story]).filter_map(|entry| entry.record.last_attempt.as_ref());
        ends.any(|end| end.worker == *worker && end.started == started)
    };
    let mut begun = story.history.iter().filter_map(|entry| entry.record.unresolved.as_ref());
    begun.any(|intent| intent.worker == *worker && !ended(intent.started))
}

/// The dead worker's intent is followed by the intent and then the outcome of another.
fn others_went_on(story: &RecordView, dead: &MemberId) -> Result<()> {
    let last = story.record.last_attempt.as_ref().context("no outcome")?;
    ensure!(last.worker != *dead, "the outcome is the dead worker's");
    ensure!(matches!(last.outcome, OutcomeKind::Written | OutcomeKind::Settled), "{:?}", last.outcome);
    ensure!(story.record.unresolved.is_none(), "it was never settled");
    // Newest first.
    let began = story.history.iter().position(|entry| entry.at == last.started).context("no intent of the other")?;
    let opened = story
        .history
        .iter()
        .rposition(|entry| entry.record.unresolved.as_ref().is_some_and(|intent| intent.worker == *dead))
        .context("no intent of the dead worker")?;
    ensure!(began < opened, "the other began before the dead one");
    Ok(())
}
