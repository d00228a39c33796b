//! What is printed of a seed that failed: what broke, the story, the records' histories, and how to see it again.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
};

use proto_msgs::{RecordId, Run};

use crate::{
    history::{History, Said, short},
    invariants::Violation,
    scenario::Event,
    story::{BEGINS_AFTER, Told},
    world::{World, beginning},
};

/// Violations that are shown: one wrong turn breaks many rules.
const SHOWN: usize = 6;

pub fn report(seed: u64, told: &Told) -> String {
    let shown = || told.violations.iter().take(SHOWN);
    let records: BTreeSet<RecordId> = shown().filter_map(|violation| violation.record.clone()).collect();
    let mut report = Report { text: format!("seed {seed}: {} violations\n", told.violations.len()), records };
    shown().for_each(|violation| report.violation(violation));
    report.scenario(&told.world);
    report.events(&told.world);
    report.answers(&told.world);
    let history = told.world.look();
    told.configs.iter().filter_map(|id| history.runs.get(id)).flatten().for_each(|said| report.run(said));
    report.histories(&history);
    report.say(format!("again: cargo xtask sim --seeds 1 --first-seed {seed}"));
    report.text
}

struct Report {
    text: String,
    /// Those that the violations are about; none: all of them.
    records: BTreeSet<RecordId>,
}

impl Report {
    fn say(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("a string takes everything");
    }

    fn violation(&mut self, Violation { rule, said, record }: &Violation) {
        let record = record.as_ref().map(|record| format!(" [{}/{}]", record.kind, record.name)).unwrap_or_default();
        self.say(format!("* broken: {rule}{record}: {said}"));
    }

    fn scenario(&mut self, world: &World) {
        let scenario = &world.scenario;
        let (coordinators, workers) = (scenario.coordinators, scenario.workers);
        self.say(format!("scenario: {coordinators} coordinators, {workers} workers, {:?}", scenario.rates));
        scenario.vaults.iter().enumerate().for_each(|(number, vault)| self.say(format!("  vault {number}: {vault:?}")));
        for (number, config) in scenario.configs.iter().enumerate() {
            self.say(format!("  config {number}: {config:?}"));
        }
        for (number, item) in scenario.items.iter().enumerate() {
            if self.is_about(world, number) {
                self.say(format!("  item {number}: {item:?}"));
            }
        }
    }

    fn events(&mut self, world: &World) {
        for (at, event) in &world.scenario.events {
            let is_shown = match event {
                Event::Source(item, _) | Event::Target(item, _) => self.is_about(world, *item),
                Event::Config(..)
                | Event::Ask(..)
                | Event::Member(..)
                | Event::Outage(..)
                | Event::Sleepy(..)
                | Event::Mute(..) => true,
            };
            if is_shown {
                self.say(format!("  {:>9} {event:?}", (BEGINS_AFTER + *at).as_millis()));
            }
        }
    }

    fn answers(&mut self, world: &World) {
        for answer in world.answers.borrow().iter() {
            if self.records.iter().any(|record| answer.contains(&format!("\"{}\"", record.name))) {
                self.say(format!("  {answer}"));
            }
        }
    }

    fn run(&mut self, said: &Said<Run>) {
        let (run, at) = (&said.envelope.body, said.at.since(beginning()).as_millis());
        let Run { phase, end, resumed, counts, failures, .. } = run;
        self.say(format!(
            "  {at:>9} run {} by {}: {phase:?} {end:?} resumed={resumed} planned={} complete={} failures={}",
            short(&run.id),
            said.by,
            counts.planned,
            counts.complete,
            failures.len()
        ));
    }

    fn histories(&mut self, history: &History) {
        // Those of other configs that go by the same name, too.
        let is_alike = |record: &RecordId| self.records.iter().any(|shown| shown.key() == record.key());
        let is_shown = |record: &RecordId| self.records.is_empty() || is_alike(record);
        let shown = history.records.iter().filter(|(record, _)| is_shown(record));
        let lines: Vec<String> = shown.flat_map(|(_, history)| history.iter().map(Said::line)).collect();
        lines.into_iter().for_each(|line| self.say(line));
    }

    fn is_about(&self, world: &World, item: usize) -> bool {
        let name = &world.scenario.items[item].name;
        self.records.is_empty() || self.records.iter().any(|record| record.name.as_str() == name)
    }
}
