//! Runs that somebody asks for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use proto_msgs::{Problem, RequestCode};
use reqwest::Method;
use system_tests::ClusterBuilder;

use crate::fixtures::{LIMIT, create, pair, with_logs};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_says_behind_which_until_it_begins_and_then_who_asked_for_it() -> Result<()> {
    let slow = Duration::from_millis(300);
    let cluster = ClusterBuilder::new(pair(2)).unlimited().latency(slow).start().await?;
    let (config, api) = (create(&cluster).await?, cluster.api());
    api.settled(&config, LIMIT).await?;

    let promised = async || api.sync(&config).await?.run.context("a run was promised");
    let (first, waiting) = (promised().await?, promised().await?);

    let response = api.send(Method::GET, &format!("/api/v1/configs/pair/runs/{waiting}"), None).await?;
    ensure!(response.status() == 404, "{response:?}");
    let problem: Problem = response.json().await?;
    let says = problem.detail.contains(&format!("it waits behind run {first}"));
    ensure!(problem.code == RequestCode::NotFound && says, "{problem:?}");
    let run = with_logs(&cluster, api.run_ended(&config, Some(waiting), LIMIT).await)?;
    ensure!(run.asked_by.iter().eq(["test"]), "nobody is told who asked: {run:?}");
    Ok(())
}
