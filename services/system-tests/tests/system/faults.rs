//! Whatever dies or is cut off in the middle of a run, while calls fail in every way: the run goes on without help,
//! nothing is lost, and nothing is written twice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{ConfigId, ErrorCode, Status, subject::Subjects};
use serde_json::{Value, json};
use system_tests::{Cluster, ClusterBuilder, TcpLine};

use crate::fixtures::{LIMIT, SOURCE, TARGET, become_active, create, pair, records, run_again, with_logs};

const SECRETS: usize = 2_000;
/// Two of a hundred calls fail, all kinds alike.
const SHARE: f64 = 0.02;
/// Calls that are refused for want of a role, until somebody gives it. Who takes over does not try again.
const REFUSED: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_without_help_whatever_is_killed_and_however_calls_fail() -> Result<()> {
    let mut cluster = start(ClusterBuilder::new(pair(SECRETS))).await?;
    cluster.start_coordinator()?;
    let members = [cluster.coordinators[0].member(LIMIT).await?, cluster.coordinators[1].member(LIMIT).await?];
    let config = begin(&cluster).await?;

    reach(&cluster, &config, 1).await?;
    cluster.workers[0].kill()?;
    reach(&cluster, &config, 2).await?;
    let owner = cluster.api().config(&config).await?.summary.context("no coordinator answers")?.coordinator;
    let owner = members.iter().position(|member| *member == owner).context("the owner is none of the two")?;
    cluster.coordinators[owner].kill()?;
    reach(&cluster, &config, 3).await?;
    cluster.gateway.kill()?;
    cluster.restart_gateway()?;
    reach(&cluster, &config, 4).await?;
    cluster.nats.kill(0)?;
    cluster.nats.restart(0).await?;

    goes_on_to_its_end(&cluster, &config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_from_nats_for_a_while_costs_nothing() -> Result<()> {
    const CUT: Duration = Duration::from_secs(30);
    let mut cluster = start(ClusterBuilder::new(pair(SECRETS)).workers(1)).await?;
    let line = TcpLine::to(cluster.nats.port()).await?;
    cluster.start_worker_over(&line)?;
    let lonely = cluster.workers[1].member(LIMIT).await?;
    let config = begin(&cluster).await?;

    reach(&cluster, &config, 1).await?;
    line.cut();
    tokio::time::sleep(CUT).await;
    line.mend();

    goes_on_to_its_end(&cluster, &config).await?;
    let stories = cluster.api().stories(&config).await?;
    let worked = |story: &proto_msgs::api::RecordView| {
        story.record.last_attempt.as_ref().is_some_and(|attempt| attempt.worker == lonely)
    };
    ensure!(stories.iter().any(worked), "the worker that was cut off had no part in the run");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_without_help_when_the_server_that_leads_its_stream_is_killed() -> Result<()> {
    let mut cluster = start(ClusterBuilder::new(pair(SECRETS)).replicated()).await?;
    let config = begin(&cluster).await?;

    reach(&cluster, &config, 1).await?;
    let leader = cluster.nats.leader(&Subjects::default().record_stream_of(&config)).await?;
    cluster.nats.kill(leader)?;

    goes_on_to_its_end(&cluster, &config).await
}

async fn start(builder: ClusterBuilder) -> Result<Cluster> {
    builder.unlimited().latency(Duration::from_millis(20)).start().await
}

/// Creates the config; from then on, calls fail.
async fn begin(cluster: &Cluster) -> Result<ConfigId> {
    let config = create(cluster).await?;
    let kinds = [
        ("before", json!({ "status": { "status": 429, "retry_after": 1 } })),
        ("before", json!({ "status": { "status": 429 } })),
        ("before", json!({ "status": { "status": 500 } })),
        ("after", json!({ "status": { "status": 500 } })),
        ("before", json!({ "status": { "status": 503 } })),
        ("before", json!("timeout")),
        ("after", json!("timeout")),
        ("before", json!("reset")),
        ("after", json!("reset")),
    ];
    let share = SHARE / kinds.len() as f64;
    let fault = |(when, then)| json!({ "vault": "*-kv", "share": share, "when": when, "then": then });
    let forbidden = json!({ "status": { "status": 403, "code": "Forbidden", "inner": "ForbiddenByRbac" } });
    let refused = json!({ "operation": "secrets.set", "skip": SECRETS * 3 / 8, "count": REFUSED, "then": forbidden });
    let faults: Vec<Value> = kinds.map(fault).into_iter().chain([refused]).collect();
    cluster.admin().set_faults(faults.into()).await?;
    Ok(config)
}

/// Waits until so many eighths of the records are active.
async fn reach(cluster: &Cluster, config: &ConfigId, eighths: usize) -> Result<()> {
    with_logs(cluster, cluster.api().active(config, (eighths * SECRETS / 8) as u64, LIMIT).await)
}

/// The run ends by itself; once the role is given, the next one brings what was refused.
async fn goes_on_to_its_end(cluster: &Cluster, config: &ConfigId) -> Result<()> {
    with_logs(cluster, cluster.api().settled(config, LIMIT).await)?;
    let runs = cluster.api().runs(config).await?;
    ensure!(runs.len() == 1 && !runs[0].is_open() && runs[0].counts.complete, "one run, to its end: {runs:?}");
    let records = records(cluster, config).await?;
    let left: Vec<_> = records.values().filter(|view| view.record.status != Status::Active).collect();
    let is_refused = |code| code == Some(ErrorCode::TargetAuthFailed);
    ensure!(left.iter().all(|view| is_refused(view.record.code)), "more is left than what was refused: {left:?}");
    ensure!(!left.is_empty() && left.len() as u64 <= REFUSED, "{} were refused", left.len());

    cluster.admin().set_faults(json!([])).await?;
    run_again(cluster, config).await?;
    become_active(cluster, config, SECRETS).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    let names = (1..=SECRETS).map(|n| format!("bulk-{n}"));
    let copies = reader.compare(SOURCE, TARGET, names).await?;
    let twice: Vec<_> = copies.iter().filter(|(_, versions)| **versions != 1).collect();
    ensure!(twice.is_empty(), "written more than once: {twice:?}");
    Ok(())
}
