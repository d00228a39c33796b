//! The progress bar: how many records are settled, how fast, and in which statuses.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use proto_msgs::{
    RequestCode, RunId,
    api::{ConfigSummary, ConfigView},
};
use tokio::time::Instant;

use crate::{
    client::{Client, path},
    commands::config::statuses,
    failure::Failure,
    output::tell,
    up::children::Children,
};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where nobody looks at a terminal, a line now and then.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Longest that no answer comes: a part that died is begun again in less.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
const STYLE: &str = "{bar:30} {pos}/{len} records  {per_sec}  ETA {eta}\n  {wide_msg}";

/// Follows a config until every record is settled, in another run than `before`.
pub async fn follow(
    client: &Client,
    config: &str,
    before: Option<RunId>,
    children: &mut Children<'_>,
) -> Result<ConfigView, Failure> {
    let bar = bar();
    let is_seen = std::io::stderr().is_terminal();
    let (mut said, mut heard) = (Instant::now(), Instant::now());
    let path = path(&["configs", config]);
    loop {
        children.revive()?;
        match client.get::<ConfigView>(&path).await {
            Ok(view) => {
                heard = Instant::now();
                let is_another = |summary: &ConfigSummary| summary.run.as_ref().map(|run| run.id) != before;
                if let Some(summary) = view.summary.as_ref().filter(|summary| before.is_none() || is_another(summary)) {
                    let (settled, total, text) = (settled(summary), summary.records(), describe(summary));
                    bar.set_length(total);
                    bar.set_position(settled);
                    bar.set_message(text.clone());
                    if !is_seen && said.elapsed() >= SAY_EVERY {
                        tell(format_args!("{settled}/{total} records: {text}"));
                        said = Instant::now();
                    }
                    if summary.is_settled() {
                        bar.finish_and_clear();
                        tell(format_args!("{total} records: {}", statuses(summary)));
                        return Ok(view);
                    }
                }
            }
            // Whoever did not answer may just have died, and be back in a moment.
            Err(failure) if failure.code() == Some(RequestCode::Unavailable) && heard.elapsed() < SILENCE_LIMIT => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template(STYLE).expect("a constant template is valid").with_key(
        "per_sec",
        |state: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:.0} items/s", state.per_sec());
        },
    );
    ProgressBar::new(0).with_style(style)
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
