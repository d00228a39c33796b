//! Every command does what it says, in every format, and a reader that leaves does not harm it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use broker::{Broker, nats::NatsSettings};
use futures::TryStreamExt;
use proto_msgs::{ConfigId, Record};
use serde_json::Value;
use system_tests::{Cluster, ClusterBuilder, Process, until};

use crate::fixtures::{LIMIT, TARGET, create, pair, run_again, spec};

const FORMATS: [&str; 3] = ["table", "json", "yaml"];

/// What two answers in different formats must have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// All: nothing changes between them.
    Whole,
    /// Their form: each call makes something of its own.
    Form,
}

/// What is written, a word of the table, and what the formats have in common. `{n}` is another number in each format,
/// `{run}` the first run, `{settings}` the settings file, `{file}` a config of the name `extra-{n}`.
const COMMANDS: &[(&[&str], &str, Alike)] = &[
    (&["config", "list"], "pair", Alike::Whole),
    (&["config", "get", "pair"], "last verified", Alike::Whole),
    (&["records", "list", "pair"], "bulk-1", Alike::Whole),
    (
        &["records", "list", "pair", "--status", "active", "--type", "secrets", "--name", "bulk-[12]"],
        "bulk-2",
        Alike::Whole,
    ),
    (&["records", "get", "pair", "secrets", "bulk-1"], "written", Alike::Whole),
    (&["runs", "list", "pair"], "completed", Alike::Whole),
    (&["runs", "get", "pair", "{run}"], "completed", Alike::Whole),
    (&["plan", "pair"], "nothing is to be done", Alike::Whole),
    (&["records", "ack", "pair"], "no record matches", Alike::Whole),
    (
        &["records", "disable", "pair", "--name", "bulk-*"],
        "keyferry records disable pair --name 'bulk-*' --hash",
        Alike::Whole,
    ),
    (&["records", "enable", "pair"], "no record matches", Alike::Whole),
    (&["deletes", "list", "pair"], "no record matches", Alike::Whole),
    (&["drift", "list", "pair"], "no record matches", Alike::Whole),
    (&["drift", "correct", "pair"], "no record matches", Alike::Whole),
    (&["drift", "accept", "pair", "--type", "secrets"], "no record matches", Alike::Whole),
    (&["explain", "throttled"], "throttled (auto)", Alike::Whole),
    (&["explain", "forbidden"], "forbidden (operator)", Alike::Whole),
    (&["explain", "pending"], "pending", Alike::Whole),
    (&["records", "sync", "pair", "secrets", "bulk-{n}"], "bulk-{n}", Alike::Form),
    (&["records", "sync", "pair"], "in run", Alike::Form),
    (&["expand", "pair"], "in run", Alike::Form),
    (&["nats", "provision", "--settings", "{settings}"], "ready", Alike::Whole),
    (&["token", "create", "--name", "t{n}", "--role", "viewer", "--settings", "{settings}"], "kf_", Alike::Form),
    (&["config", "create", "-f", "{file}"], "extra-{n}", Alike::Form),
    (&["config", "edit", "extra-{n}", "-f", "{file}"], "extra-{n}", Alike::Form),
    (&["config", "pause", "extra-{n}", "--reason", "to see"], "paused", Alike::Form),
    (&["config", "resume", "extra-{n}"], "not paused", Alike::Form),
    (&["config", "delete", "extra-{n}"], "extra-{n}", Alike::Form),
    (&["stop-all", "--reason", "to see"], "everything is stopped", Alike::Whole),
    (&["resume-all"], "nothing is stopped", Alike::Whole),
];

/// Commands that go on until they are stopped, or need more than this pair has. They have tests of their own.
const ELSEWHERE: &[&str] = &["up", "coordinator", "worker", "gateway", "emulator", "watch", "deletes release"];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_answers_in_every_format_and_ends_quietly_where_nobody_reads() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    looked_at_again(&cluster, &config).await?;
    let run = cluster.api().runs(&config).await?.first().context("the config ran")?.id.to_string();
    for (args, word, alike) in COMMANDS {
        let mut answers = Vec::new();
        for (number, format) in FORMATS.iter().enumerate() {
            let number = (number + 1).to_string();
            let args = filled(&cluster, args, &run, &number)?;
            let mut command = cluster.command(&["-o", format]);
            command.args(&args);
            let text = answer(command)?;
            match *format {
                "json" => answers.push(serde_json::from_str(&text).with_context(|| text.clone())?),
                "yaml" => answers.push(serde_saphyr::from_str::<Value>(&text).with_context(|| text.clone())?),
                _ => ensure!(text.contains(&word.replace("{n}", &number)), "{args:?}: {text}"),
            }
        }
        let is_same = match alike {
            Alike::Whole => answers[0] == answers[1],
            Alike::Form => form(&answers[0]) == form(&answers[1]),
        };
        ensure!(is_same, "{args:?}: {answers:#?}");
        if *alike == Alike::Whole {
            let args = filled(&cluster, args, &run, "1")?;
            nobody_reads(&cluster, &args)?;
        }
    }
    every_command_was_called(&cluster)
}

/// Runs until nothing was made in the second before it was last read: such an item may have changed since.
async fn looked_at_again(cluster: &Cluster, config: &ConfigId) -> Result<()> {
    until("nothing to be planned", LIMIT, || async {
        run_again(cluster, config).await?;
        let plan = json(cluster, &["plan", "pair"])?;
        Ok((plan["items"] == Value::Array(Vec::new())).then_some(()))
    })
    .await
}

fn filled(cluster: &Cluster, args: &[&str], run: &str, number: &str) -> Result<Vec<String>> {
    let file = cluster.folder().join(format!("extra-{number}.yaml"));
    fs::write(&file, spec(&format!("extra-{number}")).to_string())?;
    let settings = cluster.folder().join("keyferry.toml");
    let fill = |arg: &&str| {
        arg.replace("{n}", number)
            .replace("{run}", run)
            .replace("{settings}", &settings.display().to_string())
            .replace("{file}", &file.display().to_string())
    };
    Ok(args.iter().map(fill).collect())
}

/// What a command answers as JSON.
pub fn json(cluster: &Cluster, args: &[&str]) -> Result<Value> {
    let mut command = cluster.command(&["-o", "json"]);
    command.args(args);
    let text = answer(command)?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

/// What a command says that does what it should.
pub fn answer(mut command: Command) -> Result<String> {
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && told.is_empty(), "{command:?} exits with {}: {told}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// A value without what differs from call to call.
fn form(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), form(value))).collect(),
        Value::Array(items) => items.iter().map(form).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        Value::Bool(_) => true.into(),
        Value::Null => Value::Null,
    }
}

/// As in `keyferry ... | head`, where `head` has ended already; and with both outputs closed.
fn nobody_reads(cluster: &Cluster, args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let closed = || -> Result<Stdio> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        Ok(writer.into())
    };
    let output = cluster.command(&args).stdout(closed()?).stderr(Stdio::piped()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && told.is_empty(), "{args:?} exits with {}: {told}", output.status);
    let mut refused = cluster.command(&["config", "get", "nobody"]);
    let status = refused.stdout(closed()?).stderr(closed()?).status()?;
    ensure!(status.code() == Some(66), "{args:?} exits with {status}");
    Ok(())
}

/// What `--help` lists, the table above has.
fn every_command_was_called(cluster: &Cluster) -> Result<()> {
    let called: BTreeSet<String> = COMMANDS.iter().map(|(args, ..)| args.join(" ")).collect();
    let mut groups = vec![String::new()];
    while let Some(group) = groups.pop() {
        let args: Vec<&str> = group.split_whitespace().chain(["--help"]).collect();
        let help = answer(cluster.command(&args))?;
        let listed = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let Some(listed) = listed else {
            let is_known =
                called.iter().any(|line| line.starts_with(group.trim())) || ELSEWHERE.contains(&group.trim());
            ensure!(is_known, "call the new command here: {group}");
            continue;
        };
        let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        groups.extend(names.filter(|name| !name.is_empty() && *name != "help").map(|name| format!("{group}{name} ")));
    }
    Ok(())
}

fn without_cursor(mut event: Value) -> Value {
    event.as_object_mut().map(|fields| fields.remove("cursor"));
    event
}

/// The first events of the config `pair`, as `watch` gives them.
pub async fn watched(cluster: &Cluster, format: &str, count: usize) -> Result<Vec<Value>> {
    let command = cluster.command(&["watch", "pair", "--cursor", "0-0", "-o", format]);
    let process = Process::start(&format!("watch-{format}"), command, cluster.folder())?;
    until("events", LIMIT, || async {
        let text = process.output();
        // The last one may still be coming.
        let (whole, separator) = match format {
            "yaml" => (text.rsplit_once("---\n").map_or("", |(whole, _)| whole), "---\n"),
            _ => (text.rsplit_once('\n').map_or("", |(whole, _)| whole), "\n"),
        };
        let events: Vec<&str> = whole.split(separator).filter(|event| !event.is_empty()).collect();
        if events.len() < count {
            return Ok(None);
        }
        let read = |event: &&str| match format {
            "yaml" => serde_saphyr::from_str::<Value>(event).with_context(|| (*event).to_owned()),
            _ => serde_json::from_str(event).with_context(|| (*event).to_owned()),
        };
        events.iter().map(read).collect::<Result<Vec<_>>>().map(Some)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_shows_the_same_events_in_every_format_and_without_a_cursor_only_new_ones() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let first = cluster.api().runs(&config).await?.first().context("the config ran")?.id.to_string();
    let latest = Process::start("watch", cluster.command(&["watch", "pair"]), cluster.folder())?;
    // Records and runs come in one stream, but in no fixed order: compared is what both have shown already.
    let of = |event: Value| (event["event"].to_string() + &event["sequence"].to_string(), without_cursor(event));
    let json: BTreeMap<String, Value> = watched(&cluster, "json", 8).await?.into_iter().map(of).collect();
    let yaml: BTreeMap<String, Value> = watched(&cluster, "yaml", 8).await?.into_iter().map(of).collect();
    let both: Vec<_> = yaml.iter().filter_map(|(place, event)| Some((event, json.get(place)?))).collect();
    ensure!(!both.is_empty() && both.iter().all(|(yaml, json)| yaml == json), "{both:#?}");
    until("watch to be connected", LIMIT, || async { Ok(latest.output().contains("following pair").then_some(())) })
        .await?;
    let run = cluster.api().sync(&config).await?.run.context("a run was promised")?;
    let (line, end) = (format!("run {run}"), "ended");
    until("the new run to be shown", LIMIT, || async {
        Ok(latest.output().lines().any(|said| said.contains(&line) && said.contains(end)).then_some(()))
    })
    .await?;
    ensure!(!latest.output().contains(&first), "old events are shown: {}", latest.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_config_takes_its_records_along_and_leaves_the_vaults_alone() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;

    let watch = Process::start("watch", cluster.command(&["watch", "pair"]), cluster.folder())?;
    until("watch to be connected", LIMIT, || async { Ok(watch.output().contains("following pair").then_some(())) })
        .await?;

    answer(cluster.command(&["config", "delete", "pair"]))?;

    until("watch to end", LIMIT, || async { Ok(watch.output().contains("the config was removed").then_some(())) })
        .await?;
    ensure!(watch.output().contains("bulk-1  removed with the config"), "{}", watch.output());
    let broker = broker(&cluster).await?;
    until("the config to leave the store", LIMIT, || async {
        Ok(broker.configs().get(&config).await?.is_none().then_some(()))
    })
    .await?;
    let records = records(&broker, &config).await?;
    ensure!(records.len() == 3 && records.iter().all(|record| record.removed), "{records:?}");
    for command in [&["config", "get", "pair"][..], &["records", "list", "pair"], &["config", "delete", "pair"]] {
        let status = cluster.command(command).stderr(Stdio::null()).status()?;
        ensure!(status.code() == Some(66), "{command:?} exits with {status}");
    }
    let reader = cluster.reader(&[TARGET]).await?;
    for name in ["bulk-1", "bulk-2", "bulk-3"] {
        ensure!(reader.secret_versions(TARGET, name).await? == 1, "{name} was touched");
    }
    // The name is free again.
    create(&cluster).await.map(drop)
}

/// The log, past every role.
pub async fn broker(cluster: &Cluster) -> Result<Broker> {
    let settings = fs::read_to_string(cluster.folder().join("keyferry.toml"))?;
    let url = settings.lines().find_map(|line| line.strip_prefix("url = ")).context("the settings name NATS")?;
    let settings = NatsSettings { url: url.trim_matches('"').to_owned(), ..NatsSettings::default() };
    Ok(Broker::connect(&settings).await?)
}

async fn records(broker: &Broker, config: &ConfigId) -> Result<Vec<Record>> {
    let entries: Vec<_> = broker.log().records(config).await?.try_collect().await?;
    Ok(entries.into_iter().map(|entry| entry.envelope.body).collect())
}
