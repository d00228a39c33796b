//! What happens in a simulation, decided by its seed before anything begins.
//!
//! Everything is an [`Event`] at a time, so that a failing story can be printed and read. A new thing that may happen is
//! one more event here, and one more arm where events are carried out (`story.rs`).

mod draw;

use std::time::Duration;

use coordinator::CoordinatorSettings;
use proto_msgs::{DriftPolicy, ItemType, config::DeleteTrigger, vault::Side};

#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub vaults: Vec<VaultPlan>,
    pub configs: Vec<ConfigPlan>,
    pub items: Vec<Item>,
    pub coordinators: usize,
    pub workers: usize,
    pub events: Vec<(Duration, Event)>,
    pub rates: Rates,
    /// Of each vault in each coordinator.
    pub budget: CoordinatorSettings,
    pub chaos: Duration,
}

impl Scenario {
    /// Where an item is at that side.
    pub fn vault(&self, item: usize, side: Side) -> usize {
        let config = self.configs[self.items[item].config];
        match side {
            Side::Source => config.source,
            Side::Target => config.target,
        }
    }

    /// The very same item as the configs see it that have it at that side, this one among them.
    pub fn same(&self, item: usize, side: Side) -> impl Iterator<Item = usize> + '_ {
        let (Item { kind, name, .. }, vault) = (&self.items[item], self.vault(item, side));
        let is_same = move |other: &usize| {
            let Item { kind: of_other, name: named, .. } = &self.items[*other];
            (of_other, named, self.vault(*other, side)) == (kind, name, vault)
        };
        (0..self.items.len()).filter(is_same)
    }

    /// Those that other configs would write to the same target.
    pub fn rivals(&self, item: usize) -> impl Iterator<Item = usize> + '_ {
        self.same(item, Side::Target).filter(move |other| *other != item)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct VaultPlan {
    pub geography: &'static str,
    pub subscription: u8,
}

#[derive(Debug, Clone, Copy)]
pub struct ConfigPlan {
    pub source: usize,
    pub target: usize,
    pub overwrite: bool,
    pub policy: DriftPolicy,
    /// Whether deletes are propagated, and when.
    pub deletes: Option<DeleteTrigger>,
}

/// A name of one type, as one config sees it. One that several configs match is there once for each.
#[derive(Debug, Clone)]
pub struct Item {
    pub config: usize,
    pub kind: ItemType,
    pub name: String,
    pub at_source: First,
    pub at_target: First,
}

/// What is there when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Absent,
    Live,
    Disabled,
    Deleted,
    /// Certificates: not issued yet; must not leave; cannot be imported any more.
    Pending,
    NotExportable,
    Expired,
    /// Targets: equal to the source.
    Equal,
    /// Targets of certificates: a plain secret of that name.
    Taken,
}

/// How often calls and messages fare badly, in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    pub vault: u32,
    pub bus: u32,
    /// Of writes, how often their process is stopped right before it sends.
    pub stall: u32,
}

#[derive(Debug, Clone, Copy)]
pub enum Event {
    Source(usize, Change),
    Target(usize, Change),
    Config(usize, Edit),
    Ask(usize, Ask),
    Member(usize, Blow),
    /// Listings of that vault fail from here on, until the other word.
    Outage(usize, bool),
    /// Writes at that vault wait long for their token, likewise.
    Sleepy(usize, bool),
    /// Writes at that vault have their effect, and are never answered, likewise.
    Mute(usize, bool),
}

/// What an owner does to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Set,
    Retag,
    /// Gives a time, or, with the next `Set`, takes it away.
    Expire,
    Disable,
    Enable,
    Delete,
    Recover,
    Purge,
    /// Targets: as the source is.
    Copy,
}

#[derive(Debug, Clone, Copy)]
pub enum Edit {
    Overwrite(bool),
    /// Takes that item out, or nothing.
    Exclude(Option<usize>),
    Pause(bool),
    /// The rule matches secrets alone, or everything of the config's names.
    Narrow(bool),
    Delete,
}

#[derive(Debug, Clone, Copy)]
pub enum Ask {
    Sync,
    Expand,
    Record(usize),
    /// Switches a record on or off.
    Enable(usize, bool),
    /// Leave for what a record shows now, or showed before that.
    Leave(usize, Answer, Seen),
    /// Leave for all conflicts, or all that drifted, as they were listed so long ago.
    LeaveAll(Answer, Duration),
    /// The held deletes, likewise.
    Release(Duration),
}

impl Ask {
    /// How long ago somebody looked at what it is about.
    pub fn age(self) -> Duration {
        match self {
            Self::LeaveAll(_, age) | Self::Release(age) => age,
            Self::Sync | Self::Expand | Self::Record(_) | Self::Enable(..) | Self::Leave(..) => Duration::ZERO,
        }
    }
}

/// What somebody decides about a record that drifted; a conflict is acknowledged, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Correct,
    Accept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Now,
    Before,
}

/// What happens to a process.
#[derive(Debug, Clone, Copy)]
pub enum Blow {
    Drain,
    Kill,
    Start,
    /// Its line to NATS is cut, and it sees that.
    Cut,
    /// What is sent either way is held up, and it sees nothing.
    Deafen,
    /// What comes to it takes so long.
    Lag(Duration),
    /// What it asks takes so long.
    Slow(Duration),
    Mend,
    /// It is not run for so long: a stopped process.
    Freeze(Duration),
    /// Its clocks are this much later at once: a machine that was suspended.
    Jump(Duration),
}
