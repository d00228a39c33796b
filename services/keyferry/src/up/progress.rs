//! The progress bar: how many records are settled, how fast, and in which statuses.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use proto_msgs::{
    ErrorCode, RequestCode, RunId, Status,
    api::{ConfigSummary, ConfigView, ControlView},
    run::Phase,
};
use tokio::time::Instant;

use crate::{
    client::{Client, path},
    commands::config::{statuses, unmet},
    failure::Failure,
    output::tell,
    up::children::Children,
};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Where nobody looks at a terminal, a line now and then.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Longest that no answer comes: a part that died is begun again in less.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How many records there will be is not known yet.
const LISTING_STYLE: &str = "{spinner} {wide_msg}";
/// The bar takes what the numbers leave.
const SYNCING_STYLE: &str = "{pos}/{len} records  {prefix}  {wide_bar}\n  {msg}";
/// Statuses in one line, in columns: even a narrow terminal cuts none off.
const LINE_MAX: usize = 40;

/// What was seen so far, for whoever has to tell it in the end, or when it is stopped.
#[derive(Default)]
pub struct Seen {
    begun: Option<Instant>,
    /// The newest view of each config, in the order in which they began.
    pub views: Vec<ConfigView>,
}

impl Seen {
    pub fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    pub fn see(&mut self, view: &ConfigView) {
        match self.views.iter_mut().find(|known| known.config.id == view.config.id) {
            Some(known) => *known = view.clone(),
            None => self.views.push(view.clone()),
        }
    }

    /// Records of all configs by status.
    pub fn by_status(&self) -> BTreeMap<Status, u64> {
        sum(self.summaries().map(|summary| &summary.by_status))
    }

    /// Records of all configs by code.
    pub fn by_code(&self) -> BTreeMap<ErrorCode, u64> {
        sum(self.summaries().map(|summary| &summary.by_code))
    }

    fn summaries(&self) -> impl Iterator<Item = &ConfigSummary> {
        self.views.iter().filter_map(|view| view.summary.as_ref())
    }

    pub fn taken(&self) -> Duration {
        self.begun.map(|begun| begun.elapsed()).unwrap_or_default()
    }
}

fn sum<'a, K: Ord + Copy + 'a>(counts: impl Iterator<Item = &'a BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in counts.flatten() {
        *sums.entry(*key).or_default() += count;
    }
    sums
}

/// Why a config's vaults are not looked at until somebody lets it go on; none: nobody stopped it.
pub async fn stopped(client: &Client, view: &ConfigView) -> Option<String> {
    let (name, id) = (&view.config.spec.name, view.config.id);
    if view.config.spec.paused {
        return Some(format!("`{name}` is paused, so its vaults are not looked at: `keyferry config resume {id}`"));
    }
    let control = client.get::<ControlView>(&path(&["control"])).await;
    let is_stopped = control.is_ok_and(|control| control.stopped);
    is_stopped
        .then(|| format!("everything is stopped, so the vaults of `{name}` are not looked at: `keyferry resume-all`"))
}

/// Follows a config until every record is settled, in another run than `before`. None: somebody stopped it, which is
/// told.
pub async fn follow(
    client: &Client,
    config: &str,
    before: Option<RunId>,
    children: &mut Children<'_>,
    seen: &mut Seen,
) -> Result<Option<ConfigView>, Failure> {
    let mut shown = Shown::new();
    let mut heard = Instant::now();
    let path = path(&["configs", config]);
    loop {
        children.revive()?;
        match client.get::<ConfigView>(&path).await {
            Ok(view) => {
                heard = Instant::now();
                seen.see(&view);
                let run = view.summary.as_ref().and_then(|summary| summary.run.as_ref());
                let is_ours = run.is_some_and(|run| before != Some(run.id));
                let summary = view.summary.as_ref().filter(|_| is_ours);
                if summary.is_some_and(ConfigSummary::is_settled) {
                    shown.bar.finish_and_clear();
                    return Ok(Some(view));
                }
                if view.summary.is_some()
                    && let Some(why) = stopped(client, &view).await
                {
                    shown.bar.finish_and_clear();
                    tell(why);
                    return Ok(None);
                }
                shown.show(summary);
            }
            // Whoever did not answer may just have died, and be back in a moment.
            Err(failure) if failure.code() == Some(RequestCode::Unavailable) && heard.elapsed() < SILENCE_LIMIT => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the user sees of it.
struct Shown {
    bar: ProgressBar,
    is_terminal: bool,
    said: Instant,
    pace: Pace,
}

impl Shown {
    fn new() -> Self {
        let (bar, is_terminal) = (ProgressBar::new_spinner(), std::io::stderr().is_terminal());
        Self { bar, is_terminal, said: Instant::now(), pace: Pace::default() }
    }

    /// Shows how far the run is; none: it has not begun.
    fn show(&mut self, summary: Option<&ConfigSummary>) {
        let now = Instant::now();
        let text = match summary.filter(|summary| is_planned(summary)) {
            None => {
                self.pace = Pace::default();
                let text = listing(summary);
                self.bar.set_style(style(LISTING_STYLE));
                self.bar.set_message(text.clone());
                text
            }
            Some(summary) => {
                let (settled, total, counts) = (settled(summary), summary.records(), statuses(summary));
                let rate = self.pace.at(settled, now);
                self.bar.set_length(total);
                self.bar.set_position(settled);
                self.bar.set_prefix(pace(rate, total.saturating_sub(settled)));
                let in_the_way: Vec<_> = unmet(summary).map(|(_, problem)| problem).collect();
                let lines =
                    [vec![folded(&counts, ", ")], in_the_way.iter().map(|why| folded(why, " ")).collect()].concat();
                self.bar.set_message(lines.join("\n").replace('\n', "\n  "));
                self.bar.set_style(style(SYNCING_STYLE));
                with_problems(format!("{settled}/{total} records: {counts}"), in_the_way)
            }
        };
        self.bar.tick();
        if !self.is_terminal && self.said.elapsed() >= SAY_EVERY {
            tell(text);
            self.said = now;
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template is valid")
}

/// How fast records get settled, since the first could: the time of the listing before says nothing of it.
#[derive(Default)]
struct Pace {
    begun: Option<(Instant, u64)>,
}

impl Pace {
    /// Records a second; none: not known yet.
    fn at(&mut self, settled: u64, now: Instant) -> Option<f64> {
        let (begun, before) = match self.begun {
            Some(begun) if begun.1 <= settled => begun,
            // Fewer than before: the plan has just turned settled records into ones that wait.
            Some(_) | None => (now, settled),
        };
        self.begun = Some((begun, before));
        let gained = settled - before;
        (gained > 0 && now > begun).then(|| gained as f64 / now.duration_since(begun).as_secs_f64())
    }
}

fn pace(rate: Option<f64>, left: u64) -> String {
    match rate {
        Some(rate) => {
            let eta = HumanDuration(Duration::from_secs_f64(left as f64 / rate));
            format!("{rate:.0} items/s  ETA {eta:#}")
        }
        None => "- items/s  ETA -".to_owned(),
    }
}

/// Whether it is known which records there are.
fn is_planned(summary: &ConfigSummary) -> bool {
    summary.records() > 0 && summary.run.as_ref().is_some_and(|run| run.phase != Phase::Listing)
}

/// What is done until then, and what is in its way.
fn listing(summary: Option<&ConfigSummary>) -> String {
    let problems = summary.into_iter().flat_map(unmet).map(|(_, problem)| problem);
    with_problems("listing both vaults".to_owned(), problems)
}

fn with_problems(text: String, problems: impl IntoIterator<Item = String>) -> String {
    [text].into_iter().chain(problems).collect::<Vec<_>>().join("; ")
}

fn settled(summary: &ConfigSummary) -> u64 {
    summary.by_status.iter().filter(|(status, _)| status.is_settled()).map(|(_, count)| count).sum()
}

/// What is put together with a separator, in lines that fit everywhere.
fn folded(whole: &str, separator: &str) -> String {
    let (mut text, mut line) = (String::new(), 0);
    for part in whole.split(separator) {
        let between = match line {
            0 => "",
            line if line + separator.len() + part.len() <= LINE_MAX => separator,
            _ => "\n",
        };
        line = if between == separator { line + separator.len() } else { 0 } + part.len();
        text.push_str(between);
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_time_in_which_records_could_be_settled() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.at(3, after(100)), None);
        assert_eq!(pace.at(3, after(101)), None);
        assert_eq!(pace.at(303, after(102)), Some(150.0));
        // What was settled before waits again: counted anew.
        assert_eq!(pace.at(0, after(103)), None);
        assert_eq!(pace.at(20, after(104)), Some(20.0));
    }

    #[test]
    fn without_a_rate_there_is_no_estimate() {
        assert_eq!(pace(None, 10), "- items/s  ETA -");
        assert_eq!(pace(Some(135.4), 271), "135 items/s  ETA 2s");
    }

    #[test]
    fn no_count_is_cut_off_in_a_narrow_terminal() {
        let counts = "pending 1200, syncing 256, active 544, blocked_certificate_not_exportable 1, failed 3";
        let folded = folded(counts, ", ");
        assert_eq!(folded.replace('\n', ", "), counts);
        assert!(folded.lines().all(|line| line.len() <= LINE_MAX), "{folded}");
        assert_eq!(folded.lines().count(), 3, "{folded}");
    }

    #[test]
    fn a_listing_is_told_with_what_is_in_its_way() {
        let view = crate::up::fixtures::view(serde_json::json!(null), false, serde_json::json!({}));
        let mut summary = view.summary.unwrap();
        assert!(!is_planned(&summary));
        assert_eq!(listing(Some(&summary)), "listing both vaults");
        let condition = serde_json::json!({ "kind": "source_readable", "ok": false, "message": "no\r\nway", "since": "2026-11-01T10:00:00Z" });
        summary.conditions.push(serde_json::from_value(condition).unwrap());
        assert_eq!(listing(Some(&summary)), "listing both vaults; no  way");
    }
}
