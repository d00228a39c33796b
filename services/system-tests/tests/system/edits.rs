//! Edits of configs, pauses and the emergency stop.

use std::{fs, process::Command};

use anyhow::{Context, Error, Result, ensure};
use futures::future::try_join_all;
use proto_msgs::{
    ConfigId, Problem, RequestCode, Run, Status,
    api::{ConditionKind, ConfigView, ControlView},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use system_tests::{Cluster, ClusterBuilder, Process, until};

use crate::{
    bad_input,
    command_line::{answer, json as said},
    fixtures::{LIMIT, SOURCE, TARGET, become_active, between, create, pair, records, spec, statuses, with_logs},
};

const CONTROL: &str = "/api/v1/control";

/// The pair's spec with another interval.
fn every(interval: &str) -> Value {
    let mut spec = spec("pair");
    spec["behaviour"] = json!({ "interval": interval });
    spec
}

async fn problem(response: Response) -> Result<Problem> {
    let (status, text) = (response.status(), response.text().await?);
    let problem: Problem = serde_json::from_str(&text).with_context(|| format!("{status}: {text}"))?;
    ensure!(!problem.fix.is_empty(), "{text}");
    Ok(problem)
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_pauses_and_the_emergency_stop_need_no_coordinator() -> Result<()> {
    let mut cluster = ClusterBuilder::new(pair(2)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    cluster.coordinators.iter_mut().try_for_each(Process::kill)?;
    let api = cluster.api();

    let before = api.config(&config).await?.revision;
    let edited: ConfigView = api.edit("pair", &format!("\"{before}\""), &every("12h")).await?.json().await?;
    ensure!(edited.revision > before && edited.config.spec.behaviour.interval.to_string() == "12h", "{edited:?}");
    ensure!((edited.config.change.action.as_str(), edited.config.created) != ("create", edited.config.change.at));
    let stale = problem(api.edit("pair", &format!("\"{before}\""), &every("6h")).await?).await?;
    ensure!(stale.code == RequestCode::RevisionMismatch, "{stale:?}");
    // What is so already is not written again.
    let again: ConfigView = api.edit("pair", "*", &every("12h")).await?.json().await?;
    ensure!(again.revision == edited.revision, "{again:?}");

    let paused = said(&cluster, &["config", "pause", "pair", "--reason", "a freeze"])?;
    ensure!(paused["spec"]["paused"] == true && paused["change"]["reason"] == "a freeze", "{paused}");
    // An edit that says nothing of the pause does not end it.
    let edited: ConfigView = api.edit("pair", "*", &every("6h")).await?.json().await?;
    ensure!(edited.config.spec.paused, "{edited:?}");
    let listed = answer(cluster.command(&["config", "list"]))?;
    ensure!(listed.contains("paused"), "{listed}");
    let resumed = said(&cluster, &["config", "resume", "pair"])?;
    ensure!(resumed["spec"].get("paused").is_none(), "{resumed}");

    let control = || api.call::<ControlView>(Method::GET, CONTROL, None);
    ensure!(!control().await?.stopped, "nothing was stopped yet");
    let stopped = said(&cluster, &["stop-all", "--reason", "a fire"])?;
    let seen = control().await?;
    let change = seen.change.as_ref().context("somebody did it")?;
    ensure!(seen.stopped && change.reason.as_deref() == Some("a fire") && stopped == json!(seen), "{seen:?}");
    said(&cluster, &["stop-all"])?;
    ensure!(control().await? == seen, "it was stopped once more");
    said(&cluster, &["resume-all"])?;
    ensure!(!control().await?.stopped, "it is stopped still");

    // Whoever takes over does what is declared by then.
    cluster.start_coordinator()?;
    with_logs(&cluster, become_active(&cluster, &config, 2).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_while_a_config_is_paused_or_everything_is_stopped() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(2).vault("second-kv", "northeurope", 0)).unlimited().start().await?;
    let (config, api) = (create(&cluster).await?, cluster.api());
    api.settled(&config, LIMIT).await?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;

    said(&cluster, &["config", "pause", "pair"])?;
    is_allowed(&cluster, &config, false).await?;
    reader.set_secret(SOURCE, "added", "meanwhile").await?;
    api.edit("pair", "*", &every("12h")).await?.error_for_status()?;
    said(&cluster, &["stop-all"])?;
    let resumed = said(&cluster, &["config", "resume", "pair"])?;
    let second = api.create(between("second", SOURCE, "second-kv")).await?.config.id;
    for config in [&config, &second] {
        is_allowed(&cluster, config, false).await?;
    }
    ensure!(reader.secret(TARGET, "added").await?.is_none(), "it was written: {resumed}");
    let resumed: ControlView = serde_json::from_value(said(&cluster, &["resume-all"])?)?;
    let since = resumed.change.context("somebody did it")?.at;

    for config in [&config, &second] {
        with_logs(&cluster, become_active(&cluster, config, 3).await)?;
    }
    let first = api.runs(&config).await?;
    let began = |run: &Run| run.started >= since;
    ensure!(first.iter().filter(|run| began(run)).count() == 1, "one run after all that: {first:?}");
    ensure!(api.runs(&second).await?.iter().all(began), "a run began while everything was stopped");
    let before = first.iter().filter(|run| !began(run)).count();
    ensure!(before == 1, "a run began while the config was paused: {first:?}");
    Ok(())
}

/// Waits until the config's coordinator has heard whether it may work.
async fn is_allowed(cluster: &Cluster, config: &ConfigId, allowed: bool) -> Result<()> {
    let heard = until("the coordinator to hear of it", LIMIT, || async {
        let summary = cluster.api().config(config).await?.summary;
        let mut conditions = summary.into_iter().flat_map(|summary| summary.conditions);
        let condition = conditions.find(|condition| condition.kind == ConditionKind::WorkAllowed);
        Ok(condition.filter(|condition| condition.ok == allowed).map(drop))
    });
    with_logs(cluster, heard.await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_carried_out_and_its_name_is_the_configs() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let (config, api) = (create(&cluster).await?, cluster.api());
    api.settled(&config, LIMIT).await?;
    let mut narrowed = spec("renamed");
    narrowed["rule"] = json!({ "kind": "pattern", "glob": "bulk-1" });
    narrowed["exclude"] = json!(["bulk-2"]);

    api.edit("pair", "*", &narrowed).await?.error_for_status()?;

    let wanted: [(&str, Status); 3] =
        [("bulk-1", Status::Active), ("bulk-2", Status::Disabled), ("bulk-3", Status::Disabled)];
    let wanted = wanted.map(|(name, status)| (format!("secrets/{name}"), status)).into();
    let done = until("the edit to be carried out", LIMIT, || async {
        Ok((statuses(&records(&cluster, &config).await?) == wanted).then_some(()))
    });
    with_logs(&cluster, done.await)?;
    let reader = cluster.reader(&[SOURCE, TARGET]).await?;
    ensure!(reader.secret(TARGET, "bulk-3").await?.is_some(), "the target was touched");

    let view: ConfigView = api.call(Method::GET, "/api/v1/configs/renamed", None).await?;
    ensure!(view.config.id == config, "{view:?}");
    let gone = problem(api.send(Method::GET, "/api/v1/configs/pair", None).await?).await?;
    ensure!(gone.code == RequestCode::NotFound, "{gone:?}");
    let taken = problem(api.send(Method::POST, "/api/v1/configs", Some(spec("renamed"))).await?).await?;
    ensure!(taken.code == RequestCode::AlreadyExists, "{taken:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_closes_a_circle_is_refused_with_the_configs_named() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1).vault("third-kv", "northeurope", 0)).unlimited().start().await?;
    let api = cluster.api();
    create(&cluster).await?;
    api.create(between("onward", TARGET, "third-kv")).await?;

    let back = between("back", "third-kv", SOURCE);
    let refused = problem(api.send(Method::POST, "/api/v1/configs", Some(back.clone())).await?).await?;
    ensure!(refused.code == RequestCode::NotValidated, "{refused:?}");
    for name in ["`back`", "`pair`", "`onward`", "secrets"] {
        ensure!(refused.detail.contains(name), "{name} is not named: {refused:?}");
    }

    // Of another type it is none, until an edit takes that along too.
    let mut keys = back;
    keys["item_types"] = json!(["keys"]);
    api.create(keys.clone()).await?;
    keys["item_types"] = json!(["keys", "secrets"]);
    let refused = problem(api.edit("back", "*", &keys).await?).await?;
    ensure!(refused.code == RequestCode::NotValidated && refused.detail.contains("`onward`"), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_saves_at_one_moment_none_closes_a_circle_and_no_other_is_lost() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1)).unlimited().start().await?;
    let api = cluster.api();
    create(&cluster).await?;
    let deleted = api.send(Method::DELETE, "/api/v1/configs/pair", None).await?;
    ensure!(deleted.status().is_success(), "{deleted:?}");

    let saving = (0..16).map(|number| async move {
        let (source, target) = if number % 2 == 0 { (SOURCE, TARGET) } else { (TARGET, SOURCE) };
        let spec = between(&format!("at-once-{number}"), source, target);
        let response = api.send(Method::POST, "/api/v1/configs", Some(spec)).await?;
        match response.status().as_u16() {
            201 => Ok::<_, Error>((number % 2, None)),
            _ => Ok((number % 2, Some(problem(response).await?.code))),
        }
    });
    let saved = try_join_all(saving).await?;
    let first = saved.iter().find(|(_, code)| code.is_none()).context("none was saved")?.0;
    for (way, code) in &saved {
        let expected = (*way != first).then_some(RequestCode::NotValidated);
        ensure!(*code == expected, "{saved:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_shows_the_config_and_what_it_saves_is_sent() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(1)).unlimited().start().await?;
    create(&cluster).await?;
    let edit = |editor: &str| -> Command {
        let mut command = cluster.command(&["config", "edit", "pair", "-o", "json"]);
        command.env_remove("VISUAL").env("EDITOR", editor).env("TMPDIR", cluster.folder());
        command
    };

    let edited: Value = serde_json::from_str(&answer(edit("sed -i 's/interval: 24h/interval: 12h/'"))?)?;
    ensure!(edited["spec"]["behaviour"]["interval"] == "12h", "{edited}");
    let same = edit("true").output()?;
    ensure!(same.status.success() && String::from_utf8_lossy(&same.stderr).contains("nothing was changed"), "{same:?}");
    ensure!(serde_json::from_slice::<Value>(&same.stdout)?["revision"] == edited["revision"], "{same:?}");
    ensure!(kept(&cluster)?.is_empty(), "{:?}", kept(&cluster)?);

    bad_input::refused(edit("false"), 64, "editor", &cluster)?;
    ensure!(kept(&cluster)?.is_empty(), "{:?}", kept(&cluster)?);
    // What was written is not lost.
    bad_input::refused(edit("sed -i 's/^name:/nmae:/'"), 64, "nmae", &cluster)?;
    let kept = kept(&cluster)?;
    ensure!(kept.len() == 1 && fs::read_to_string(&kept[0])?.contains("nmae: pair"), "{kept:?}");
    Ok(())
}

/// Files that an edit left behind.
fn kept(cluster: &Cluster) -> Result<Vec<String>> {
    let names = fs::read_dir(cluster.folder())?.map(|file| Ok(file?.path().display().to_string()));
    let all = names.collect::<Result<Vec<_>>>()?;
    let is_ours = |name: &String| name.rsplit('/').next().is_some_and(|name| name.starts_with("keyferry-"));
    Ok(all.into_iter().filter(is_ours).collect())
}
