//! Every status and every code that a record can have comes out of the whole system, and each is told with its fix.
//!
//! One table says which record shows what: [`scene::ROWS`] for what comes at once, [`gone`] for what takes two misses that
//! the product keeps five minutes apart. Whatever has neither a row here nor there fails the first test.

mod gone;
mod scene;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use proto_msgs::{ConfigId, ErrorCode, ItemType, Status, api::RecordView};
use system_tests::{Cluster, until};

use crate::{
    command_line::json as said,
    fixtures::{LIMIT, with_logs},
};

/// What a record shows, and whether that is its last word.
#[derive(Debug, Clone, Copy)]
struct Row {
    config: &'static str,
    kind: ItemType,
    name: &'static str,
    status: Status,
    code: Option<ErrorCode>,
    lasts: Lasts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    /// Until somebody does something about it.
    Stays,
    /// Something else follows by itself: the record or its history shows it.
    Passes,
}

const fn stays(config: &'static str, kind: ItemType, name: &'static str, status: Status, code: ErrorCode) -> Row {
    Row { config, kind, name, status, code: Some(code), lasts: Lasts::Stays }
}

const fn passes(config: &'static str, kind: ItemType, name: &'static str, status: Status, code: ErrorCode) -> Row {
    Row { lasts: Lasts::Passes, ..stays(config, kind, name, status, code) }
}

const fn active(config: &'static str, kind: ItemType, name: &'static str) -> Row {
    Row { config, kind, name, status: Status::Active, code: None, lasts: Lasts::Stays }
}

/// Was there before the record became what it is.
const fn was(config: &'static str, kind: ItemType, name: &'static str, status: Status) -> Row {
    Row { lasts: Lasts::Passes, status, ..active(config, kind, name) }
}

/// Configs by their names.
type Configs = BTreeMap<&'static str, ConfigId>;

impl Row {
    fn is_shown_by(&self, view: &RecordView) -> bool {
        (view.record.status, view.record.code) == (self.status, self.code)
    }

    /// Waits until the record shows it, and gives the state that does.
    async fn shown(&self, cluster: &Cluster, configs: &Configs) -> Result<RecordView> {
        let config = configs.get(self.config).with_context(|| format!("there is no config {}", self.config))?;
        let what = format!("{self:?}");
        let shown = until(&what, LIMIT, || async {
            let view = cluster.api().record(config, self.kind, self.name).await?;
            let past = view.history.iter().filter(|_| self.lasts == Lasts::Passes);
            Ok([&view].into_iter().chain(past).find(|view| self.is_shown_by(view)).cloned())
        });
        with_logs(cluster, shown.await)
    }
}

/// Waits until every row is shown, and gives the states that show them.
async fn all_shown(cluster: &Cluster, configs: &Configs, rows: &[Row]) -> Result<Vec<RecordView>> {
    let mut shown = Vec::new();
    for row in rows {
        shown.push(row.shown(cluster, configs).await?);
    }
    Ok(shown)
}

/// Fails unless the configs have exactly the records of the rows, and each shows what stays of it.
async fn are_all(cluster: &Cluster, configs: &Configs, rows: &[Row]) -> Result<()> {
    for (name, config) in configs {
        let found = cluster.api().records(config).await?;
        let own = || rows.iter().filter(|row| row.config == *name);
        let listed: BTreeSet<_> =
            found.iter().map(|view| (view.record.id.kind, view.record.id.name.to_string())).collect();
        let wanted: BTreeSet<_> = own().map(|row| (row.kind, row.name.to_owned())).collect();
        ensure!(listed == wanted, "{name} has other records: {listed:?}");
        for row in own().filter(|row| row.lasts == Lasts::Stays) {
            let is_it =
                |view: &&RecordView| (view.record.id.kind, view.record.id.name.as_str()) == (row.kind, row.name);
            let view = found.iter().find(is_it).context("it was listed")?;
            ensure!(row.is_shown_by(view), "{row:?} did not stay: {view:?}");
        }
    }
    Ok(())
}

/// Fails unless each state with a code says what to do, in the words of that code's page, and each word is explained.
fn are_explained(cluster: &Cluster, shown: &[RecordView]) -> Result<()> {
    let mut fixes: BTreeMap<&str, Option<&String>> = BTreeMap::new();
    for view in shown {
        let Some(code) = view.record.code else {
            ensure!(view.record.status.needs_no_code() && view.fix.is_none(), "{view:?}");
            fixes.insert(view.record.status.as_str(), None);
            continue;
        };
        let fix = view.fix.as_ref().filter(|fix| !fix.is_empty()).with_context(|| format!("no fix: {view:?}"))?;
        ensure!(view.recoverability == Some(code.recoverability()), "{view:?}");
        ensure!(view.record.detail.as_ref().is_some_and(|detail| !detail.message.is_empty()), "no detail: {view:?}");
        ensure!(view.record.status.blocking_code().is_none_or(|of_status| of_status == code), "{view:?}");
        fixes.insert(code.as_str(), Some(fix));
        // A status that goes with one code has that code's page; of the others each has its own.
        fixes.insert(view.record.status.as_str(), view.record.status.blocking_code().and(Some(fix)));
    }
    for (word, fix) in fixes {
        let page = said(cluster, &["explain", word])?;
        let text = |field: &str| page[field].as_str().unwrap_or_default().to_owned();
        ensure!(!text("fix").is_empty() && !text("meaning").is_empty(), "{word}: {page}");
        ensure!(fix.is_none_or(|fix| text("fix") == *fix), "{word} is mended in two ways: {fix:?}, {page}");
    }
    Ok(())
}

fn statuses(rows: &[Row]) -> BTreeSet<Status> {
    rows.iter().map(|row| row.status).collect()
}

fn codes(rows: &[Row]) -> BTreeSet<ErrorCode> {
    rows.iter().filter_map(|row| row.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_and_code_is_shown_by_a_record_and_told_with_its_fix() -> Result<()> {
    // What takes two misses is in the other test, and nothing else is.
    let later = (statuses(gone::ROWS), codes(gone::ROWS));
    let all: (BTreeSet<_>, BTreeSet<_>) =
        (Status::ALL.iter().copied().collect(), ErrorCode::ALL.iter().copied().collect());
    let slow =
        ([Status::Deleted, Status::BlockedDeleteHeld].into(), [ErrorCode::SourceGone, ErrorCode::DeleteHeld].into());
    let at_once = (statuses(scene::ROWS), codes(scene::ROWS));
    ensure!(
        (&all.0 - &at_once.0, &all.1 - &at_once.1) == slow,
        "no row: {:?}, {:?}",
        &all.0 - &at_once.0,
        &all.1 - &at_once.1
    );
    ensure!(slow.0.is_subset(&later.0) && slow.1.is_subset(&later.1), "in neither test: {later:?}");

    let (cluster, configs) = scene::play().await?;
    let shown = all_shown(&cluster, &configs, scene::ROWS).await?;
    are_all(&cluster, &configs, scene::ROWS).await?;
    are_explained(&cluster, &shown)
}
