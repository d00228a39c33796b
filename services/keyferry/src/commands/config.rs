//! Configs.

use std::{fs, io::Read, path::Path};

use proto_msgs::{
    ConfigSpec, RequestCode,
    api::{Accepted, ConfigView},
};

use crate::{
    cli::{Config, Output, Server},
    client::{Client, segment},
    failure::Failure,
    output::{self, or_dash},
};

/// Longest config file: one with 5,000 names has well under this.
const FILE_MAX: u64 = 1_000_000;

pub async fn run(server: &Server, output: Output, command: Config) -> Result<(), Failure> {
    match command {
        Config::Create { file } => {
            let spec = read(&file)?;
            let body = serde_json::to_value(spec).map_err(|error| Failure::of(RequestCode::Internal, &error, ""))?;
            let view: ConfigView = Client::new(server)?.post("/api/v1/configs", Some(body)).await?;
            output::print(output, &view, || describe(&view))
        }
        Config::List => {
            let views: Vec<ConfigView> = Client::new(server)?.all("/api/v1/configs?limit=100").await?;
            output::print(output, &views, || list(&views))
        }
        Config::Get { config } => {
            let view: ConfigView = Client::new(server)?.get(&format!("/api/v1/configs/{}", segment(&config))).await?;
            output::print(output, &view, || describe(&view))
        }
        Config::Delete { config } => {
            let path = format!("/api/v1/configs/{}", segment(&config));
            let accepted: Accepted = Client::new(server)?.delete(&path).await?;
            output::print(output, &accepted, || format!("{config} is being deleted; no vault is touched"))
        }
    }
}

pub async fn expand(server: &Server, output: Output, config: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/configs/{}/expand", segment(config));
    let accepted: Accepted = Client::new(server)?.post(&path, None).await?;
    output::print(output, &accepted, || format!("{config} lists both vaults again"))
}

fn read(file: &Path) -> Result<ConfigSpec, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::of(RequestCode::InvalidInput, &error, format!("check that {} exists and can be read", file.display()))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(FILE_MAX).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        fs::File::open(file).map_err(unreadable)?.take(FILE_MAX).read_to_string(&mut text).map_err(unreadable)?;
    }
    parse(&text).map_err(|message| {
        let fix = "README.md shows a whole config with every key";
        Failure::input(format!("{}: {message}", file.display()), fix)
    })
}

fn parse(text: &str) -> Result<ConfigSpec, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
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
            or_dash(summary.map(proto_msgs::api::ConfigSummary::records)),
            summary.map_or_else(|| "no coordinator answers".to_owned(), statuses),
        ]
    });
    output::table(&["NAME", "ID", "VAULTS", "RECORDS", "STATUSES"], rows)
}

/// Counts by status in one line.
pub fn statuses(summary: &proto_msgs::api::ConfigSummary) -> String {
    let counts: Vec<_> = summary.by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(", ") }
}

fn describe(view: &ConfigView) -> String {
    let (config, spec) = (&view.config, &view.config.spec);
    let types: Vec<_> = spec.item_types.iter().map(ToString::to_string).collect();
    let summary = view.summary.as_ref();
    let rows = [
        ("name", spec.name.clone()),
        ("id", config.id.to_string()),
        ("revision", view.revision.to_string()),
        ("source", config.source.uri.clone()),
        ("target", config.target.uri.clone()),
        ("item types", types.join(", ")),
        ("interval", spec.behaviour.interval.to_string()),
        ("created", config.created.to_string()),
        ("statuses", summary.map_or_else(|| "no coordinator answers yet".to_owned(), statuses)),
        ("next run", or_dash(summary.and_then(|summary| summary.next_run))),
        ("last verified", or_dash(summary.and_then(|summary| summary.last_verified_at))),
    ];
    rows.iter().map(|(name, value)| format!("{name:<14} {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "name: prod-eu to prod-ne\nsource: { vault: prod-eu-kv }\ntarget: { vault: prod-ne-kv }\nitem_types: \
                         [secrets, certificates, keys]\nrule: { kind: tagged, tag: replicate=true }\nexclude: []\nbehaviour: { \
                         overwrite_on_conflict: false, propagate_deletes: false, drift_policy: report, interval: 24h, \
                         schedule_mode: interval }\n";

    #[test]
    fn the_documented_config_file_is_read() {
        assert_eq!(parse(WHOLE).unwrap().name, "prod-eu to prod-ne");
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        let error = parse(&WHOLE.replace("exclude:", "exclud:")).unwrap_err();
        assert!(error.contains("exclud") && error.contains('6'), "{error}");
    }
}
