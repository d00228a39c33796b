//! Vaults that nobody answers for.

use anyhow::{Context, Result, ensure};
use proto_msgs::{
    ErrorCode,
    api::{Condition, ConditionKind},
    run::{Phase, RunEnd},
};
use system_tests::{ClusterBuilder, until};

use crate::fixtures::{LIMIT, all_active, pair, records, replicate, spec, with_logs};

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_reaches_no_vault_is_told_while_it_still_tries_and_ends_as_a_failed_run() -> Result<()> {
    let mut cluster = ClusterBuilder::new(pair(3)).start().await?;
    let (config, copied) = replicate(&cluster, spec("pair")).await?;
    all_active(&copied, 3)?;
    cluster.emulator.kill()?;

    let run = cluster.api().sync(&config).await?.run;
    let told = until("the conditions to tell", LIMIT, || async {
        let summary = cluster.api().config(&config).await?.summary.context("no coordinator answers")?;
        let phase = summary.run.filter(|state| Some(state.id) == run).map(|state| state.phase);
        let unwell: Vec<Condition> = summary.conditions.into_iter().filter(|condition| !condition.ok).collect();
        Ok((unwell.len() == 2).then_some((phase, unwell)))
    });
    let (phase, unwell) = with_logs(&cluster, told.await)?;
    ensure!(phase == Some(Phase::Listing), "told only when the listing was over: {phase:?} {unwell:?}");
    let kinds: Vec<_> = unwell.iter().map(|condition| condition.kind).collect();
    ensure!(kinds == [ConditionKind::SourceReadable, ConditionKind::TargetWritable], "{unwell:?}");
    let is_clear = |text: &str| text.starts_with("transient_network: ") && text.contains("refused");
    ensure!(unwell.iter().all(|condition| condition.message.as_deref().is_some_and(is_clear)), "{unwell:?}");

    let ended = with_logs(&cluster, cluster.api().run_ended(&config, run, LIMIT).await)?;
    let is_failed = matches!(ended.end, Some(RunEnd::Failed { code: ErrorCode::TransientNetwork, .. }));
    ensure!(is_failed && !ended.counts.complete, "{ended:?}");
    for (args, words) in [
        (["config", "get", "pair"].as_slice(), ["the last run failed: transient_network", "keyferry explain"]),
        (["config", "list"].as_slice(), ["HEALTH", "in trouble"]),
    ] {
        let output = cluster.command(args).output()?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(words.iter().all(|word| said.contains(word)), "{args:?}: {said}");
    }
    all_active(&records(&cluster, &config).await?, 3)
}
