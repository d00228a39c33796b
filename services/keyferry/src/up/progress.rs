//! The progress bar: how many records are settled, how fast, and in which statuses.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use proto_msgs::{
    RequestCode,
    api::{ConfigSummary, ConfigView},
};

use crate::{client::Client, commands::config::statuses, failure::Failure, up::children::Children};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where nobody looks at a terminal, a line now and then.
const SAY_EVERY: Duration = Duration::from_secs(5);
const STYLE: &str = "{bar:30} {pos}/{len} records  {per_sec}  ETA {eta}\n  {wide_msg}";

/// Follows a config until every record is settled.
pub async fn follow(client: &Client, config: &str, children: &mut Children<'_>) -> Result<ConfigView, Failure> {
    let style = ProgressStyle::with_template(STYLE)
        .map_err(|error| Failure::of(RequestCode::Internal, &error, ""))?
        .with_key("per_sec", |state: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:.0} items/s", state.per_sec());
        });
    let bar = ProgressBar::new(0).with_style(style);
    let is_seen = std::io::stderr().is_terminal();
    let mut said = tokio::time::Instant::now();
    loop {
        children.check()?;
        let view: ConfigView = client.get(&format!("/api/v1/configs/{config}")).await?;
        if let Some(summary) = &view.summary {
            let (settled, total, text) = (settled(summary), summary.records(), describe(summary));
            bar.set_length(total);
            bar.set_position(settled);
            bar.set_message(text.clone());
            if !is_seen && said.elapsed() >= SAY_EVERY {
                eprintln!("{settled}/{total} records: {text}");
                said = tokio::time::Instant::now();
            }
            if summary.is_settled() {
                bar.finish();
                eprintln!("{total} records: {text}");
                return Ok(view);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn settled(summary: &ConfigSummary) -> u64 {
    summary.by_status.iter().filter(|(status, _)| status.is_settled()).map(|(_, count)| count).sum()
}

fn describe(summary: &ConfigSummary) -> String {
    match summary.records() {
        0 => "listing both vaults".to_owned(),
        _ => statuses(summary),
    }
}
