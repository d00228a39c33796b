//! Configs.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use emulator::yaml;
use proto_msgs::{
    ConfigSpec, Status,
    api::{Accepted, Condition, ConditionKind, ConfigSummary, ConfigView},
    run::RunEnd,
};

use super::edit::{self, Edit, Pausing};
use crate::{
    client::path,
    failure::Failure,
    invocation::{ConfigArg, Invocation},
    output::{self, or_dash},
};

/// Longest config file, and longest body a gateway takes: one with 5,000 names has well under this.
const FILE_MAX: u64 = 1_000_000;

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Creates a config from a YAML file.
    Create {
        /// The file; `-` is standard input.
        #[arg(short, long, value_name = "FILE.yaml")]
        file: PathBuf,
    },
    /// Lists all configs, by name.
    List,
    /// Shows one config and how it fares.
    Get(ConfigArg),
    /// Changes a config: its rule, its behaviour, its name, what it takes along.
    Edit(Edit),
    /// Pauses a config: it keeps its state and starts nothing.
    Pause(Pausing),
    /// Lets a paused config go on.
    Resume(Pausing),
    /// Stops replicating. Nothing is deleted in any vault.
    Delete(ConfigArg),
}

impl Config {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self {
            Self::Create { file } => {
                let spec = spec_of(&read_text(&file)?, &file)?;
                let view: ConfigView = invocation.client()?.post_body(&path(&["configs"]), &spec).await?;
                invocation.answer(&view, || describe(&view))
            }
            Self::List => {
                let views: Vec<ConfigView> = invocation.client()?.all(&path(&["configs"]), &[]).await?;
                invocation.answer(&views, || list(&views))
            }
            Self::Get(ConfigArg { config }) => {
                let view: ConfigView = invocation.client()?.get(&path(&["configs", &config])).await?;
                invocation.answer(&view, || describe(&view))
            }
            Self::Edit(edit) => edit.run(invocation).await,
            Self::Pause(pausing) => edit::pause(pausing, invocation).await,
            Self::Resume(pausing) => edit::resume(pausing, invocation).await,
            Self::Delete(ConfigArg { config }) => {
                let accepted: Accepted = invocation.client()?.delete(&path(&["configs", &config])).await?;
                invocation.answer(&accepted, || format!("{config} is being deleted; no vault is touched"))
            }
        }
    }
}

pub async fn expand(config: &str, invocation: &Invocation) -> Result<(), Failure> {
    let accepted: Accepted = invocation.client()?.post(&path(&["configs", config, "expand"])).await?;
    invocation.answer(&accepted, || started(config, "lists both vaults again", &accepted))
}

/// What is said of a run that was asked for.
pub fn started(config: &str, does: &str, accepted: &Accepted) -> String {
    match accepted.run {
        Some(run) => format!("{config} {does}, in run {run}, under {}", accepted.correlation_id),
        None => format!("{config} {does}, under {}", accepted.correlation_id),
    }
}

/// What a file holds; `-` is standard input.
pub fn read_text(file: &Path) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::path(file, "read", &error, "check that it exists and is a text you may read");
    let mut text = String::new();
    // One byte more than allowed shows that there is more.
    let limit = FILE_MAX + 1;
    let length = if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text).map_err(unreadable)?
    } else {
        fs::File::open(file).map_err(unreadable)?.take(limit).read_to_string(&mut text).map_err(unreadable)?
    };
    if length as u64 > FILE_MAX {
        let detail = format!("{} has more than {FILE_MAX} bytes", file.display());
        return Err(Failure::input(detail, "choose the items by a tag or a glob in place of their names"));
    }
    Ok(text)
}

/// The config that a file's text is.
pub fn spec_of(text: &str, file: &Path) -> Result<ConfigSpec, Failure> {
    yaml::read(text).map_err(|misread| {
        let fix = "README.md shows a whole config with every key";
        Failure::input(format!("{}: {misread}", file.display()), fix)
    })
}

fn list(views: &[ConfigView]) -> String {
    let rows = views.iter().map(|view| {
        let summary = view.summary.as_ref();
        let spec = &view.config.spec;
        vec![
            spec.name.clone(),
            view.config.id.to_string(),
            format!("{} -> {}", view.config.source.name, view.config.target.name),
            or_dash(summary.map(ConfigSummary::records)),
            or_dash(health(view)),
            summary.map_or_else(|| "no coordinator answers".to_owned(), statuses),
        ]
    });
    output::table(&["NAME", "ID", "VAULTS", "RECORDS", "HEALTH", "STATUSES"], rows)
}

/// How a config fares, in a word; none: nobody knows.
fn health(view: &ConfigView) -> Option<&'static str> {
    if view.config.spec.paused {
        return Some("paused");
    }
    let summary = view.summary.as_ref()?;
    if !is_allowed(summary) {
        return Some("stopped");
    }
    Some(if problems(summary).is_empty() { "ok" } else { "in trouble" })
}

/// Not everything is stopped, as far as the coordinator knows.
fn is_allowed(summary: &ConfigSummary) -> bool {
    summary.conditions.iter().all(|condition| condition.kind != ConditionKind::WorkAllowed || condition.ok)
}

/// What keeps a config from doing its work, each in one line; empty: nothing does.
fn problems(summary: &ConfigSummary) -> Vec<String> {
    let unmet = unmet(summary).map(|(condition, message)| format!("{message} (since {})", condition.since));
    let end = summary.run.as_ref().and_then(|run| run.end.as_ref());
    let failed = end.and_then(|end| match end {
        RunEnd::Failed { code, message } => Some(format!(
            "the last run failed: {code}: {}; `keyferry explain {code}` says what to do",
            output::one_line(message)
        )),
        RunEnd::Completed | RunEnd::CompletedWithFailures | RunEnd::Interrupted | RunEnd::Cancelled => None,
    });
    let stale =
        summary.stale.then(|| "nothing was verified for two intervals: what is shown may be out of date".to_owned());
    unmet.chain(failed).chain(stale).collect()
}

/// Conditions that are not as they should be, each with why in one line.
pub fn unmet(summary: &ConfigSummary) -> impl Iterator<Item = (&Condition, String)> {
    let unmet = summary.conditions.iter().filter(|condition| !condition.ok);
    unmet.filter_map(|condition| Some((condition, output::one_line(condition.message.as_deref()?))))
}

/// Counts by status in one line.
pub fn statuses(summary: &ConfigSummary) -> String {
    counts(&summary.by_status)
}

/// The same, of whichever records.
pub fn counts(by_status: &BTreeMap<Status, u64>) -> String {
    let counts: Vec<_> = by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(", ") }
}

pub fn describe(view: &ConfigView) -> String {
    let (config, spec) = (&view.config, &view.config.spec);
    let types: Vec<_> = spec.item_types.iter().map(ToString::to_string).collect();
    let summary = view.summary.as_ref();
    let mut rows = vec![
        ("name", spec.name.clone()),
        ("id", config.id.to_string()),
        ("revision", view.revision.to_string()),
        ("source", config.source.uri.clone()),
        ("target", config.target.uri.clone()),
        ("item types", types.join(", ")),
        ("interval", spec.behaviour.interval.to_string()),
        ("paused", if spec.paused { "yes" } else { "no" }.to_owned()),
        ("created", config.created.to_string()),
        ("statuses", summary.map_or_else(|| "not known: no coordinator answered (yet)".to_owned(), statuses)),
        ("next run", or_dash(summary.and_then(|summary| summary.next_run))),
        ("last verified", or_dash(summary.and_then(|summary| summary.last_verified_at))),
    ];
    rows.extend(summary.map(problems).unwrap_or_default().into_iter().map(|problem| ("problem", problem)));
    output::list(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../../README.md");

    fn parse(text: &str) -> Result<ConfigSpec, String> {
        yaml::read(text).map_err(|misread| misread.to_string())
    }

    fn whole() -> &'static str {
        let start = README.find("A config with every key").expect("README.md has a whole config");
        README[start..].split("```").nth(1).and_then(|block| block.strip_prefix("yaml\n")).expect("as a YAML block")
    }

    #[test]
    fn the_documented_config_file_is_read() {
        assert_eq!(parse(whole()).unwrap().name, "prod-eu to prod-ne");
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        let error = parse(&whole().replace("exclude:", "exclud:")).unwrap_err();
        assert!(error.contains("exclud") && error.contains("line 7"), "{error}");
        let error = parse(&whole().replace("source: { vault:", "source: { vualt:")).unwrap_err();
        assert!(error.contains("vualt"), "{error}");
    }

    #[test]
    fn what_is_not_a_config_is_told_in_one_line_with_its_place() {
        let whole = "name: a\nsource: { vault: b }\ntarget: { vault: c }\nitem_types: [secrets]\nrule: { kind: all }\n";
        let first = "name: a\nsource: { vault: from-kv }\ntarget: { vault: into-kv }\n";
        for (yaml, line, said) in [
            (String::new(), 1, "empty"),
            ("just text".to_owned(), 1, "keys and values"),
            (format!("{first}name: b\n"), 4, "`name` is there twice"),
            (format!("{whole}---\n{whole}"), 7, "one document"),
            (format!("{first}item_types: secrets\n"), 4, "a list"),
            (format!("{first}item_types: [passwords]\n"), 4, "`passwords` is not one of"),
            (format!("{first}item_types: [\n"), 4, "unclosed bracket"),
            (format!("{first}\"col\\nour\": red\n"), 4, "col"),
            (format!("{first}item_types: *nobody\n"), 4, "anchor"),
            (first.to_owned(), 3, "`item_types` is missing"),
            (format!("{first}item_types: [secrets]\nrule: {{ kind: some }}\n"), 5, "`some` is not one of"),
            (whole.replace("all", "all, colour: red"), 5, "`colour` is not one of the keys kind, tag, glob, names"),
            ("name: a\nsource: { vualt: b }\n".to_owned(), 2, "`vualt` is not one of"),
            ("name: a\nsource: {}\n".to_owned(), 2, "vault"),
            ("name: ~\n".to_owned(), 1, "a text"),
        ] {
            let told = parse(&yaml).unwrap_err();
            assert!(told.starts_with(&format!("line {line}, column ")) && told.contains(said), "{yaml}: {told}");
            assert!(!told.contains(char::is_control), "{yaml}: {told}");
            for foreign in ["Options", "Policy", "budget", "untagged", "variant", "from_str"] {
                assert!(!told.contains(foreign), "{yaml}: {told}");
            }
        }
    }
}
