//! Plays a scenario: chaos, then calm, then a look at what came of it.

mod operator;

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use broker::Entry;
use proto_msgs::{
    Behaviour, Config, ConfigId, ConfigSpec, Envelope, ItemType, Record, RecordId, Revision, Rule, Timestamp, VaultRef,
    config::{Change as ConfigChange, DiscoveredVault, TargetType},
    run::RunEnd,
    vault::Side,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    converged::{self, Wrong},
    faults::Line,
    history::Said,
    invariants::{self, Violation},
    owners::Owners,
    process::Process,
    scenario::{Blow, Edit, Event, Scenario},
    world::{World, identity, item_name, vault_name},
};

/// After the calm begins, everything must be right within this: two cycles of five minutes with their jitter, and the
/// retries of the second.
const CONVERGES_WITHIN: Duration = Duration::from_secs(15 * 60);
/// The longest cycle of five minutes, and what is asked for after it.
const CYCLE: Duration = Duration::from_secs(6 * 60);
/// What an operator mended may show only then what else there is to mend.
const MENDED_AGAIN: u32 = 3;
/// An operator asks, looks what came of it, and asks again.
const ASKED_AGAIN: u32 = 3;
/// A lease that nobody holds any more is taken within this.
const HEARD_WITHIN: Duration = Duration::from_secs(6);
/// What an operator asked for comes to an end within this, or later.
const SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// Until every member is up, and the first config is saved.
pub const BEGINS_AFTER: Duration = Duration::from_secs(3);
/// Between two looks at whether everything is done.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What came of a seed.
pub struct Told {
    pub world: World,
    pub configs: Vec<ConfigId>,
    pub violations: Vec<Violation>,
}

struct Story {
    world: World,
    owners: Owners,
    configs: Vec<ConfigId>,
    /// Requests that wait for an answer.
    asked: JoinSet<()>,
}

pub async fn play(seed: u64) -> Told {
    let world = World::new(Rc::new(Scenario::new(seed)));
    let mut story = Story { world, owners: Owners::new(seed), configs: Vec::new(), asked: JoinSet::new() };
    story.begin().await;
    story.chaos().await;
    let converged = story.calm().await;
    let Story { world, configs, .. } = story;
    let mut violations = invariants::check(&world, &configs);
    violations.extend(converged.err().map(|Wrong { said, record }| Violation { rule: "it converges", said, record }));
    Told { world, configs, violations }
}

impl Story {
    async fn begin(&mut self) {
        self.owners.begin(&mut self.world);
        (0..self.world.members.len()).for_each(|member| self.world.start(member));
        sleep(BEGINS_AFTER).await;
        for number in 0..self.world.scenario.configs.len() {
            let config = self.config(number);
            self.configs.push(config.id);
            let envelope = self.world.origin.envelope(self.world.origin.correlation_id(), config);
            self.world.operator.configs().put(&envelope, Revision(0)).await.expect("the operator's line is good");
        }
    }

    async fn chaos(&mut self) {
        let (scenario, begun) = (self.world.scenario.clone(), Instant::now());
        let mut second = 0;
        for (at, event) in &scenario.events {
            while begun + Duration::from_secs(second) < begun + *at {
                tokio::time::sleep_until(begun + Duration::from_secs(second)).await;
                self.world.restart_ended();
                second += 1;
            }
            tokio::time::sleep_until(begun + *at).await;
            self.carry_out(*event).await;
        }
        tokio::time::sleep_until(begun + scenario.chaos).await;
    }

    async fn carry_out(&mut self, event: Event) {
        match event {
            Event::Source(item, change) => self.owners.change(&mut self.world, item, Side::Source, change),
            Event::Target(item, change) => self.owners.change(&mut self.world, item, Side::Target, change),
            Event::Config(config, edit) => self.edit(config, edit).await,
            Event::Ask(config, ask) => {
                if let Some(command) = self.command(config, ask) {
                    self.ask(config, command, ask.age());
                }
            }
            Event::Member(member, blow) => self.strike(member, blow),
            Event::Outage(vault, is_out) => self.world.faults.set_outage(&vault_name(vault), is_out),
            Event::Mute(vault, is_mute) => self.world.faults.set_mute(&vault_name(vault), is_mute),
            Event::Sleepy(vault, is_sleepy) => self.world.faults.set_sleepy(&vault_name(vault), is_sleepy),
        }
    }

    fn strike(&mut self, number: usize, blow: Blow) {
        let id = self.world.members[number].id.clone();
        let now = self.world.now();
        self.world.struck.entry(id.clone()).or_insert(now);
        let member = &self.world.members[number];
        let is_frozen = member.process.as_ref().is_some_and(Process::is_frozen);
        match blow {
            // What it was about to send would be gone with it.
            Blow::Drain | Blow::Kill | Blow::Start if is_frozen => {}
            Blow::Drain => {
                member.process.iter().for_each(Process::leaves);
                member.shutdown.drain();
            }
            Blow::Kill => self.world.kill(number),
            Blow::Start => {
                self.world.kill(number);
                self.world.start(number);
            }
            Blow::Cut => {
                member.client.cut();
                self.world.open_window(&id, true);
            }
            Blow::Deafen => {
                self.world.faults.spoil(&id, Line::Deaf(Instant::now() + Duration::from_secs(31)));
                self.world.open_window(&id, false);
            }
            // One blow to a line at a time.
            Blow::Lag(_) | Blow::Slow(_) if self.world.is_cut_off(&id) => {}
            Blow::Lag(by) => self.world.faults.spoil(&id, Line::Lags(by)),
            Blow::Slow(by) => self.world.faults.spoil(&id, Line::Slow(by)),
            Blow::Mend => {
                // What was held up too long ends the connection, and the next one tells of a gap.
                member.client.cut();
                member.client.reconnect();
                self.world.mend_window(&id);
            }
            Blow::Freeze(time) => {
                if let Some(process) = &member.process {
                    process.freeze(Instant::now() + time);
                }
            }
            Blow::Jump(time) => member.clock.jump(time),
        }
    }

    /// Nothing goes wrong any more; everything must become right.
    async fn calm(&mut self) -> Result<(), Wrong> {
        self.world.faults.end();
        for config in 0..self.configs.len() {
            self.edit(config, Edit::Pause(false)).await;
        }
        for number in 0..self.world.members.len() {
            let member = &self.world.members[number];
            if member.process.is_none() || member.shutdown.is_draining() {
                self.world.kill(number);
                self.world.start(number);
            } else {
                self.strike(number, Blow::Mend);
            }
        }
        let since = self.world.now();
        self.until_right(since, false, CONVERGES_WITHIN).await?;
        let mut right = Ok(());
        for _ in 0..MENDED_AGAIN {
            if !self.look_closer().await {
                return Ok(());
            }
            right = self.until_right(since, true, CYCLE).await;
            if right.is_ok() {
                break;
            }
        }
        right
    }

    async fn until_right(&mut self, since: Timestamp, is_strict: bool, within: Duration) -> Result<(), Wrong> {
        let begun = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            self.world.restart_ended();
            let wrong = match self.is_quiet(since) {
                Ok(()) => converged::check(&self.world, &self.configs, is_strict),
                Err(busy) => Err(busy),
            };
            match wrong {
                Ok(()) => return Ok(()),
                Err(wrong) if begun.elapsed() > within => return Err(wrong),
                Err(_) => {}
            }
        }
    }

    /// Whether every config was looked through to the end since then, and no record waits for anything.
    fn is_quiet(&self, since: Timestamp) -> Result<(), Wrong> {
        let history = self.world.look();
        for id in &self.configs {
            let config = history.configs.get(id).and_then(|said| said.last());
            if config.is_none_or(|config| config.envelope.body.deleted) {
                continue;
            }
            let runs = history.runs.get(id).map(Vec::as_slice).unwrap_or_default();
            let begun: BTreeSet<_> =
                runs.iter().filter(|said| said.at < since).map(|said| said.envelope.body.id).collect();
            let is_done = runs.iter().any(|said| {
                let run = &said.envelope.body;
                let is_good = matches!(run.end, Some(RunEnd::Completed | RunEnd::CompletedWithFailures));
                is_good && run.counts.complete && !begun.contains(&run.id)
            });
            if !is_done {
                return Err(Wrong { said: format!("no run of config {id} came to a good end"), record: None });
            }
            if runs.last().is_some_and(|said| said.envelope.body.is_open()) {
                return Err(Wrong { said: format!("a run of config {id} does not end"), record: None });
            }
        }
        let waits = history.records.values().filter_map(|said| said.last()).find(|said| {
            let record = said.record();
            !record.removed && (!record.status.is_settled() || domain::lifecycle::is_doubtful(record))
        });
        let wrong = |said: &Said<Record>| Wrong { said: "it waits".to_owned(), record: Some(said.record().id.clone()) };
        waits.map_or(Ok(()), |said| Err(wrong(said)))
    }

    /// Asks for every record whose target owners touched, and corrects what drifted: that is put right only when somebody
    /// asks.
    async fn look_closer(&mut self) -> bool {
        let touched = converged::to_mend(&self.world, &self.configs);
        for _ in 0..ASKED_AGAIN {
            if touched.is_empty() {
                break;
            }
            for &item in &touched {
                let command = self.mending(item);
                self.ask(self.world.scenario.items[item].config, command, Duration::ZERO);
            }
            while self.asked.join_next().await.is_some() {}
            // Whoever owns the config by then heard of it.
            sleep(HEARD_WITHIN).await;
            let begun = Instant::now();
            while self.is_waiting() && begun.elapsed() < SETTLES_WITHIN {
                sleep(LOOK_EVERY).await;
            }
        }
        !touched.is_empty()
    }

    fn is_waiting(&self) -> bool {
        let history = self.world.look();
        let mut newest = history.records.values().filter_map(|said| said.last());
        newest.any(|said| !said.record().removed && !said.record().status.is_settled())
    }

    async fn edit(&mut self, number: usize, edit: Edit) {
        let Some(id) = self.configs.get(number) else { return };
        let (configs, origin) = (self.world.operator.configs(), &self.world.origin);
        let Some(Entry { envelope, sequence, .. }) = configs.get(id).await.expect("the operator's line is good") else {
            return;
        };
        let mut config = envelope.body;
        if config.deleted {
            return;
        }
        match edit {
            Edit::Overwrite(is_on) => config.spec.behaviour.overwrite_on_conflict = is_on,
            Edit::Exclude(item) => {
                config.spec.exclude =
                    item.map(|item| self.world.scenario.items[item].name.clone()).into_iter().collect();
            }
            Edit::Pause(is_on) => config.spec.paused = is_on,
            Edit::Narrow(is_on) => config.spec.rule = rule(number, is_on),
            Edit::Delete => config.deleted = true,
        }
        let next: Envelope<Config> = origin.envelope(origin.correlation_id(), config);
        configs.put(&next, Revision(sequence.0)).await.expect("only the operator writes configs");
    }

    fn config(&self, number: usize) -> Config {
        let (plan, origin) = (self.world.scenario.configs[number], &self.world.origin);
        let vault = |vault| VaultRef::Discovered(DiscoveredVault { vault: vault_name(vault) });
        let behaviour = Behaviour {
            overwrite_on_conflict: plan.overwrite,
            interval: "5m".parse().expect("it is an interval"),
            drift_policy: plan.policy,
            propagate_deletes: plan.deletes.is_some(),
            delete_trigger: plan.deletes.unwrap_or_default(),
            ..Behaviour::default()
        };
        Config {
            id: origin.config_id(),
            spec: ConfigSpec {
                name: format!("config-{number}"),
                target_type: TargetType::AzureKeyVault,
                source: vault(plan.source),
                target: vault(plan.target),
                item_types: ItemType::ALL.into_iter().collect(),
                rule: rule(number, false),
                exclude: Vec::new(),
                behaviour,
                paused: false,
            },
            source: identity(&self.world.scenario, plan.source),
            target: identity(&self.world.scenario, plan.target),
            created: origin.now(),
            deleted: false,
            change: ConfigChange {
                actor: "operator".to_owned(),
                action: "create".to_owned(),
                reason: None,
                correlation_id: origin.correlation_id(),
                at: origin.now(),
            },
        }
    }
}

/// Matches a config's items, or its secrets alone.
fn rule(config: usize, is_narrow: bool) -> Rule {
    let name = ["a", "b", "c"][config];
    Rule::Pattern { glob: format!("[{name}x]-{}*", if is_narrow { "s" } else { "" }) }
}

/// The record of an item.
pub fn record_of(world: &World, configs: &[ConfigId], item: usize) -> RecordId {
    let item = &world.scenario.items[item];
    RecordId { config: configs[item.config], kind: item.kind, name: item_name(&item.name) }
}
