//! Draws a scenario from its seed.

use std::time::Duration;

use coordinator::CoordinatorSettings;
use proto_msgs::{DriftPolicy, ItemType, config::DeleteTrigger};

use super::{Answer, Ask, Blow, Change, ConfigPlan, Edit, Event, First, Item, Rates, Scenario, Seen, VaultPlan};
use crate::chance::Chance;

/// How long things go wrong.
const CHAOS: Duration = Duration::from_secs(150);
/// Where deletes are propagated: two listings five minutes apart are among it.
const LONG_CHAOS: Duration = Duration::from_secs(450);

/// As many as may be deleted at once without being held.
const RETURNS: usize = 3;

/// Reads in ten seconds where they are scarce: a first sync of all items takes a minute or two.
const FEW_READS: u32 = 20;

/// Of its own chance, which leaves everything else as it was drawn.
fn budget(chance: &mut Chance) -> CoordinatorSettings {
    let usual = CoordinatorSettings::default();
    let reads_per_10s = chance.pick(&[usual.reads_per_10s, usual.reads_per_10s, usual.reads_per_10s, FEW_READS]);
    CoordinatorSettings { reads_per_10s, ..usual }
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let sources = 1 + chance.below(2);
        let targets = 1 + chance.below(2);
        let vaults = (0..sources + targets).map(|number| vault(&mut chance, number)).collect();
        let configs: Vec<_> = (0..1 + chance.below(3))
            .map(|_| ConfigPlan {
                source: chance.below(sources),
                target: sources + chance.below(targets),
                overwrite: chance.permille(400),
                policy: chance.pick(&[
                    DriftPolicy::Report,
                    DriftPolicy::Report,
                    DriftPolicy::Correct,
                    DriftPolicy::Block,
                ]),
                deletes: chance.permille(250).then(|| chance.pick(&[DeleteTrigger::Purged, DeleteTrigger::Deleted])),
            })
            .collect();
        let most = chance.pick(&[6, 15, 30, 50]);
        let items = (0..2 + chance.below(most - 1)).map(|number| item(&mut chance, number, configs.len())).collect();
        let mut scenario = Self {
            seed,
            vaults,
            configs,
            items,
            coordinators: 1 + chance.below(3),
            workers: 1 + chance.below(3),
            events: Vec::new(),
            rates: Rates {
                vault: chance.pick(&[0, 20, 80, 250]),
                bus: chance.pick(&[0, 5, 20, 60]),
                stall: chance.pick(&[0, 0, 5, 30]),
            },
            budget: budget(&mut Chance::new(seed ^ 0x0b0d)),
            chaos: CHAOS,
        };
        if scenario.configs.iter().any(|config| config.deletes.is_some()) {
            scenario.chaos = LONG_CHAOS;
        }
        if scenario.configs.len() > 1 && chance.permille(350) {
            scenario.add_rivals(&mut chance);
        }
        scenario.fill(&mut chance);
        scenario
    }

    fn fill(&mut self, chance: &mut Chance) {
        self.add_changes(chance);
        if self.chaos == LONG_CHAOS {
            self.add_losses(chance);
        }
        self.add_edits(chance);
        self.add_decisions(chance);
        self.add_outages(chance);
        self.add_blows(chance);
        if chance.permille(200) {
            self.add_lost_answers(chance);
        }
        if chance.permille(500) {
            self.add_late_returns(chance);
        }
        // Of its own chance, which leaves everything else as it was drawn.
        let apart = &mut Chance::new(self.seed ^ 0x3edd);
        if apart.permille(200) {
            self.add_meddling(apart);
        }
        self.events.sort_by_key(|(at, _)| *at);
    }

    /// Two configs that write to one target, and names that both match, as everybody does who shares a source with them.
    fn add_rivals(&mut self, chance: &mut Chance) {
        self.configs[1].target = self.configs[0].target;
        let sources = [self.configs[0].source, self.configs[1].source];
        for _ in 0..1 + chance.below(3) {
            let name = format!("x-s{}", self.items.len());
            let at_target = if chance.permille(800) { First::Absent } else { First::Live };
            for config in (0..self.configs.len()).filter(|&config| sources.contains(&self.configs[config].source)) {
                let (kind, name) = (ItemType::Secrets, name.clone());
                self.items.push(Item { config, kind, name, at_source: First::Live, at_target });
            }
        }
        // Sooner or later one of them is gone, with all it owned.
        if chance.permille(300) {
            self.events.push((self.moment(chance), Event::Config(chance.below(2), Edit::Delete)));
        }
    }

    fn moment(&self, chance: &mut Chance) -> Duration {
        chance.millis(0, u64::try_from(self.chaos.as_millis()).unwrap_or(u64::MAX))
    }

    fn add_changes(&mut self, chance: &mut Chance) {
        use Change::{Copy, Delete, Disable, Enable, Expire, Purge, Recover, Retag, Set};
        const AT_SOURCE: [Change; 16] = [
            Set, Set, Set, Set, Set, Retag, Retag, Retag, Expire, Disable, Enable, Enable, Delete, Recover, Recover,
            Purge,
        ];
        const AT_TARGET: [Change; 11] = [Set, Set, Retag, Expire, Disable, Enable, Delete, Recover, Purge, Copy, Copy];
        for _ in 0..chance.below(self.items.len() * 3 + 1) {
            let (item, at) = (chance.below(self.items.len()), self.moment(chance));
            if chance.permille(150) {
                self.events.push((at, Event::Target(item, chance.pick(&AT_TARGET))));
                continue;
            }
            let change = chance.pick(&AT_SOURCE);
            self.events.push((at, Event::Source(item, change)));
            // Again within seconds, now and then while it is being read.
            if chance.permille(500) {
                let config = self.items[item].config;
                let ask = if chance.permille(700) { Ask::Record(item) } else { Ask::Sync };
                self.events.push((at + chance.millis(0, 100), Event::Ask(config, ask)));
                self.events.push((at + chance.millis(0, 900), Event::Source(item, Set)));
            }
        }
    }

    /// Items that go early enough to be missing twice, some of which come back just when their delete is due.
    fn add_losses(&mut self, chance: &mut Chance) {
        let at = chance.millis(10_000, 60_000);
        if chance.permille(300) {
            let config = chance.below(self.configs.len());
            for item in (0..self.items.len()).filter(|&item| self.items[item].config == config).collect::<Vec<_>>() {
                self.events.push((at, Event::Source(item, Change::Delete)));
                self.events.push((at + Duration::from_millis(10), Event::Source(item, Change::Purge)));
            }
            let due = at + chance.millis(310_000, 340_000);
            self.events.push((at + chance.millis(100, 9_000), Event::Ask(config, Ask::Expand)));
            self.events.push((due, Event::Ask(config, Ask::Expand)));
            for _ in 0..chance.below(3) {
                let (wait, age) = (chance.millis(2_000, 60_000), chance.millis(0, 30_000));
                self.events.push((due + wait, Event::Ask(config, Ask::Release(age))));
            }
        }
        if let Some(config) = self.deleting().filter(|_| chance.permille(300)) {
            // What was there before Keyferry came, and is adopted.
            let item = self.add_secret(config);
            self.items[item].at_target = First::Equal;
            self.events.push((at, Event::Source(item, Change::Delete)));
            self.events.push((at + Duration::from_millis(10), Event::Source(item, Change::Purge)));
            self.events.push((at + chance.millis(100, 9_000), Event::Ask(config, Ask::Expand)));
            self.events.push((at + chance.millis(310_000, 340_000), Event::Ask(config, Ask::Expand)));
        }
        for _ in 0..1 + chance.below(self.items.len().min(8)) {
            let (item, at) = (chance.below(self.items.len()), chance.millis(10_000, 60_000));
            self.events.push((at, Event::Source(item, Change::Delete)));
            if chance.permille(700) {
                self.events.push((at + chance.millis(10, 2_000), Event::Source(item, Change::Purge)));
            }
            let due = at + chance.millis(300_000, 340_000);
            self.events.push((at + chance.millis(2_500, 9_000), Event::Ask(self.items[item].config, Ask::Expand)));
            self.events.push((due, Event::Ask(self.items[item].config, Ask::Expand)));
            if chance.permille(300) {
                let back = chance.pick(&[Change::Recover, Change::Set]);
                self.events.push((due + chance.millis(0, 8_000), Event::Source(item, back)));
            }
        }
    }

    fn add_edits(&mut self, chance: &mut Chance) {
        for config in 0..self.configs.len() {
            for _ in 0..1 + chance.below(6) {
                let ask = if chance.permille(600) { Ask::Sync } else { Ask::Expand };
                self.events.push((self.moment(chance), Event::Ask(config, ask)));
            }
            for _ in 0..chance.below(3) {
                let edit = if chance.permille(500) {
                    Edit::Overwrite(chance.permille(500))
                } else {
                    Edit::Exclude(chance.permille(600).then(|| chance.below(self.items.len())))
                };
                self.events.push((self.moment(chance), Event::Config(config, edit)));
            }
            if chance.permille(150) {
                let at = self.moment(chance);
                self.events.push((at, Event::Config(config, Edit::Narrow(true))));
                if chance.permille(600) {
                    self.events.push((at + chance.millis(1_000, 60_000), Event::Config(config, Edit::Narrow(false))));
                }
            }
            if chance.permille(150) {
                let at = self.moment(chance);
                self.events.push((at, Event::Config(config, Edit::Pause(true))));
                self.events.push((at + chance.millis(1_000, 60_000), Event::Config(config, Edit::Pause(false))));
            }
            if chance.permille(100) {
                self.events.push((self.moment(chance), Event::Config(config, Edit::Delete)));
            }
            if chance.permille(400) {
                self.add_change_of_mind(chance, config);
            }
            if chance.permille(250) {
                self.add_bulk_decision(chance, config);
            }
        }
    }

    /// Vaults that cannot be listed, or at which writes wait.
    fn add_outages(&mut self, chance: &mut Chance) {
        for _ in 0..chance.below(3) {
            let (vault, at) = (chance.below(self.vaults.len()), self.moment(chance));
            self.events.push((at, Event::Outage(vault, true)));
            self.events.push((at + chance.millis(5_000, 90_000), Event::Outage(vault, false)));
        }
        for _ in 0..chance.below(2) {
            let (vault, at) = (self.configs[chance.below(self.configs.len())].target, self.moment(chance));
            self.events.push((at, Event::Sleepy(vault, true)));
            self.events.push((at + chance.millis(2_000, 30_000), Event::Sleepy(vault, false)));
            if chance.permille(600) {
                // A worker that waits for its token when NATS goes away.
                let (worker, at) = (self.coordinators + chance.below(self.workers), at + chance.millis(0, 6_000));
                let blow = if chance.permille(700) { Blow::Cut } else { Blow::Deafen };
                self.events.push((at, Event::Member(worker, blow)));
                self.events.push((at + Duration::from_secs(10), Event::Member(worker, Blow::Mend)));
            }
        }
    }

    /// What operators decide about single records.
    fn add_decisions(&mut self, chance: &mut Chance) {
        for _ in 0..chance.below(self.items.len() / 3 + 2) {
            let (item, at) = (chance.below(self.items.len()), self.moment(chance));
            let config = self.items[item].config;
            if chance.permille(300) {
                self.events.push((at, Event::Ask(config, Ask::Enable(item, false))));
                if chance.permille(600) {
                    let again = at + chance.millis(500, 60_000);
                    self.events.push((again, Event::Ask(config, Ask::Enable(item, true))));
                }
                continue;
            }
            // Something foreign there, first, so that there is something to decide about.
            self.events.push((at, Event::Target(item, Change::Set)));
            if chance.permille(300) {
                self.events.push((at, Event::Source(item, Change::Set)));
            }
            self.events.push((at + chance.millis(500, 2_000), Event::Ask(config, Ask::Expand)));
            let answer = chance.pick(&[Answer::Correct, Answer::Accept]);
            let seen = chance.pick(&[Seen::Now, Seen::Now, Seen::Before]);
            self.events.push((at + chance.millis(3_000, 20_000), Event::Ask(config, Ask::Leave(item, answer, seen))));
        }
    }

    /// Somebody looks at all that drifted, or is in conflict, and decides a while later; meanwhile there may be more.
    fn add_bulk_decision(&mut self, chance: &mut Chance, config: usize) {
        let at = self.moment(chance);
        let of_config: Vec<_> = (0..self.items.len()).filter(|&item| self.items[item].config == config).collect();
        for changed in [at, at + chance.millis(5_100, 6_000)] {
            for &item in of_config.iter().filter(|_| chance.permille(400)) {
                self.events.push((changed, Event::Target(item, Change::Set)));
            }
            self.events.push((changed + Duration::from_millis(10), Event::Ask(config, Ask::Expand)));
        }
        let answer = chance.pick(&[Answer::Correct, Answer::Accept]);
        let ask = Ask::LeaveAll(answer, chance.millis(0, 9_000));
        self.events.push((at + Duration::from_secs(5), Event::Ask(config, ask)));
    }

    /// Somebody gives leave to overwrite and takes it back while that is done, with workers that hear of it late, or are
    /// asked late.
    fn add_change_of_mind(&mut self, chance: &mut Chance, config: usize) {
        let (at, lag) = (Duration::from_secs(15) + self.moment(chance), chance.millis(500, 3_500));
        // Listings and commands each come so late: it is taken back between the command and its write.
        let (later, end) = (at + lag.mul_f64(chance.share(0.9, 2.1)), at + Duration::from_secs(20));
        self.configs[config].overwrite = false;
        for _ in 0..3 {
            let item = self.add_secret(config);
            self.items[item].at_target = First::Live;
        }
        self.events.push((at, Event::Config(config, Edit::Overwrite(true))));
        self.events.push((later, Event::Config(config, Edit::Overwrite(false))));
        let is_slow = chance.permille(450);
        for member in 0..self.coordinators + self.workers {
            let is_worker = member >= self.coordinators;
            if is_worker != is_slow {
                let blow = if is_slow { Blow::Slow(lag) } else { Blow::Lag(lag) };
                self.events.push((at, Event::Member(member, blow)));
                self.events.push((end, Event::Member(member, Blow::Mend)));
            }
        }
    }

    /// The first writes of a config are never answered, and their sources change before somebody looks.
    fn add_lost_answers(&mut self, chance: &mut Chance) {
        let config = chance.below(self.configs.len());
        self.configs[config].overwrite = false;
        let target = self.configs[config].target;
        self.events.push((Duration::ZERO, Event::Mute(target, true)));
        self.events.push((chance.millis(5_000, 12_000), Event::Mute(target, false)));
        for _ in 0..4 {
            let item = self.add_secret(config);
            self.events.push((chance.millis(2_000, 9_000), Event::Source(item, Change::Set)));
        }
    }

    /// Somebody has a hand in what writes of unknown outcome left, or puts the very same there with attributes of their
    /// own, before anybody looks.
    fn add_meddling(&mut self, chance: &mut Chance) {
        let config = chance.below(self.configs.len());
        let (target, at) = (self.configs[config].target, chance.millis(20_000, 90_000));
        self.configs[config].overwrite = false;
        if chance.permille(500) {
            self.configs[config].policy = DriftPolicy::Block;
        }
        self.events.push((at, Event::Mute(target, true)));
        self.events.push((at + chance.millis(6_000, 9_000), Event::Mute(target, false)));
        for _ in 0..4 {
            let item = self.add_secret(config);
            if chance.permille(500) {
                self.items[item].at_source = First::Absent;
            }
            self.events.push((at + chance.millis(0, 500), Event::Source(item, Change::Set)));
            let meddled = at + chance.millis(9_000, 16_000);
            if chance.permille(300) {
                self.events.push((meddled, Event::Target(item, Change::Copy)));
            }
            self.events.push((meddled + Duration::from_millis(10), Event::Target(item, Change::Retag)));
        }
        self.events.push((at + chance.millis(600, 900), Event::Ask(config, Ask::Sync)));
    }

    /// Items whose delete is due come back between the listing that misses them and their delete, as everything that is
    /// asked takes long.
    fn add_late_returns(&mut self, chance: &mut Chance) {
        let Some(config) = self.deleting() else { return };
        let is_purged = self.configs[config].deletes == Some(DeleteTrigger::Purged);
        let (at, lag) = (chance.millis(15_000, 60_000), chance.millis(500, 3_500));
        let due = at + chance.millis(310_000, 340_000);
        for _ in 0..RETURNS {
            let item = self.add_secret(config);
            self.events.push((at, Event::Source(item, Change::Delete)));
            if is_purged {
                self.events.push((at + Duration::from_millis(10), Event::Source(item, Change::Purge)));
            }
            let back = if is_purged { Change::Set } else { Change::Recover };
            self.events.push((due + lag.mul_f64(chance.share(0.5, 8.0)), Event::Source(item, back)));
        }
        self.events.push((at + chance.millis(2_500, 9_000), Event::Ask(config, Ask::Expand)));
        self.events.push((due, Event::Ask(config, Ask::Expand)));
        for coordinator in 0..self.coordinators {
            self.events.push((due, Event::Member(coordinator, Blow::Slow(lag))));
            self.events.push((due + Duration::from_secs(40), Event::Member(coordinator, Blow::Mend)));
        }
    }

    /// A config that propagates deletes.
    fn deleting(&self) -> Option<usize> {
        (0..self.configs.len()).find(|&config| self.configs[config].deletes.is_some())
    }

    /// One more item that is there at first, at the source alone.
    fn add_secret(&mut self, config: usize) -> usize {
        let number = self.items.len();
        let name = format!("{}-s{number}", ["a", "b", "c"][config]);
        let (kind, at_source, at_target) = (ItemType::Secrets, First::Live, First::Absent);
        self.items.push(Item { config, kind, name, at_source, at_target });
        number
    }

    fn add_blows(&mut self, chance: &mut Chance) {
        let members = self.coordinators + self.workers;
        for _ in 0..chance.below(7) {
            let (member, at, blow) = (chance.below(members), self.moment(chance), chance.below(6));
            let mut until = |blow, end, to| {
                let later = at + chance.millis(200, to);
                self.events.push((at, Event::Member(member, blow)));
                self.events.push((later, Event::Member(member, end)));
            };
            match blow {
                0 => until(Blow::Drain, Blow::Start, 20_000),
                1 => until(Blow::Kill, Blow::Start, 20_000),
                2 => until(Blow::Cut, Blow::Mend, 40_000),
                3 => until(Blow::Deafen, Blow::Mend, 30_000),
                4 => self.events.push((at, Event::Member(member, Blow::Freeze(chance.millis(500, 40_000))))),
                _ => self.events.push((at, Event::Member(member, Blow::Jump(chance.millis(500, 30_000))))),
            }
        }
    }
}

fn vault(chance: &mut Chance, number: usize) -> VaultPlan {
    let is_apart = number > 0 && chance.permille(150);
    let geography = if is_apart { "United States" } else { "Europe" };
    VaultPlan { geography, subscription: u8::from(number > 0 && chance.permille(100)) }
}

fn item(chance: &mut Chance, number: usize, configs: usize) -> Item {
    use First::{Absent, Deleted, Disabled, Equal, Expired, Live, NotExportable, Pending, Taken};
    let kind =
        chance.pick(&[ItemType::Secrets, ItemType::Secrets, ItemType::Secrets, ItemType::Certificates, ItemType::Keys]);
    let config = chance.below(configs);
    let (source, target): (&[First], &[First]) = match kind {
        ItemType::Secrets => (&[Disabled, Deleted, Absent], &[Live, Live, Equal, Deleted]),
        ItemType::Certificates => {
            (&[Disabled, Deleted, Absent, Pending, NotExportable, Expired], &[Live, Live, Equal, Deleted, Taken])
        }
        ItemType::Keys => (&[Disabled, Deleted, Absent], &[Live, Equal, Deleted]),
    };
    let at_source = if chance.permille(800) { Live } else { chance.pick(source) };
    let at_target = if chance.permille(800) { Absent } else { chance.pick(target) };
    let name = format!("{}-{}{number}", ["a", "b", "c"][config], &kind.as_str()[..1]);
    Item { config, kind, name, at_source, at_target }
}
