//! What goes wrong on the way: to every message on the bus, and to every call to a vault.
//!
//! Invariant: the configs' feed is as a single connection to NATS makes it: never behind the heartbeats that came after
//! it, and never with a hole that the follower is not told of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use broker::memory as bus;
use proto_msgs::{ItemType, vault::Side};
use tokio::time::Instant;
use vault::{
    Operation, VaultErrorKind,
    memory::{self as azure, End, MemoryCall, PRIVATE},
};

use crate::{chance::Chance, process::Ice, scenario::Rates};

/// Stands in every secret's value.
pub const CANARY: &str = "^canary^";

/// A call as a worker began it.
#[derive(Debug, Clone)]
pub struct Look {
    pub at: Instant,
    pub by: Arc<str>,
    pub vault: String,
    pub kind: ItemType,
    pub item: String,
    /// No look at all, but a write that begins.
    pub is_write: bool,
}

/// Shared by the bus, every worker's vaults and the story.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<State>>);

/// How bad a member's line to NATS is.
#[derive(Debug, Clone, Copy)]
pub enum Line {
    /// Everything is held up either way, until then.
    Deaf(Instant),
    /// What comes to it takes so long.
    Lags(Duration),
    /// What it asks takes so long to get there.
    Slow(Duration),
}

struct State {
    chance: Chance,
    rates: Rates,
    is_on: bool,
    lines: BTreeMap<String, Line>,
    /// Vaults that cannot be listed.
    outages: BTreeSet<String>,
    /// Vaults at which writes wait long for their token.
    sleepy: BTreeSet<String>,
    /// Vaults that never answer a write.
    mute: BTreeSet<String>,
    looks: Vec<Look>,
    /// When a member was first stopped in the middle of a write.
    stalls: BTreeMap<String, Instant>,
    /// Where a value was seen that must be nowhere.
    leaks: BTreeSet<String>,
}

impl Faults {
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self(Arc::new(Mutex::new(State {
            chance: Chance::new(seed ^ 0xfa17),
            rates,
            is_on: true,
            lines: BTreeMap::new(),
            outages: BTreeSet::new(),
            sleepy: BTreeSet::new(),
            mute: BTreeSet::new(),
            looks: Vec::new(),
            stalls: BTreeMap::new(),
            leaks: BTreeSet::new(),
        })))
    }

    pub fn end(&self) {
        let mut state = self.lock();
        state.is_on = false;
        state.outages.clear();
        state.lines.clear();
        state.sleepy.clear();
        state.mute.clear();
    }

    pub fn spoil(&self, member: &str, line: Line) {
        self.lock().lines.insert(member.to_owned(), line);
    }

    pub fn mend(&self, member: &str) {
        self.lock().lines.remove(member);
    }

    /// Whether writes at that vault wait long for their token.
    pub fn set_sleepy(&self, vault: &str, is_sleepy: bool) {
        put(&mut self.lock().sleepy, vault, is_sleepy);
    }

    /// Whether writes at that vault are never answered.
    pub fn set_mute(&self, vault: &str, is_mute: bool) {
        put(&mut self.lock().mute, vault, is_mute);
    }

    pub fn set_outage(&self, vault: &str, is_out: bool) {
        put(&mut self.lock().outages, vault, is_out);
    }

    pub fn looks(&self) -> Vec<Look> {
        self.lock().looks.clone()
    }

    /// When that member was first stopped in the middle of a write.
    pub fn stalled(&self, member: &str) -> Option<Instant> {
        self.lock().stalls.get(member).copied()
    }

    pub fn leaks(&self) -> Vec<String> {
        self.lock().leaks.iter().cloned().collect()
    }

    pub fn weather(&self) -> impl FnMut(&bus::Crossing<'_>) -> bus::Fate + Send + 'static {
        let faults = self.clone();
        move |crossing| faults.lock().weather(crossing)
    }

    /// What becomes of the calls of one worker.
    pub fn fates(&self, by: &str, ice: Ice) -> impl Fn(&MemoryCall) -> azure::Fate + Send + Sync + 'static {
        let (faults, by) = (self.clone(), Arc::<str>::from(by));
        move |call| faults.lock().fate(call, &by, &ice)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under the lock")
    }
}

impl State {
    fn weather(&mut self, crossing: &bus::Crossing<'_>) -> bus::Fate {
        use bus::{Fate, What};
        let is_sent = matches!(crossing.what, What::Append | What::Publish | What::Request | What::Reply);
        if is_sent && (holds(crossing.payload, CANARY) || holds(crossing.payload, PRIVATE)) {
            self.leaks.insert(crossing.subject.to_owned());
        }
        let comes_in = matches!(crossing.what, What::Live | What::Delivery);
        match self.lines.get(crossing.client) {
            Some(Line::Deaf(until)) => return Fate::Late(until.saturating_duration_since(Instant::now())),
            Some(Line::Lags(by)) if comes_in => return Fate::Late(*by),
            Some(Line::Slow(by)) if crossing.what == What::Request => return Fate::Late(*by),
            Some(Line::Lags(_) | Line::Slow(_)) | None => {}
        }
        let is_feed = crossing.subject.contains("_CONFIGS") || crossing.subject.contains(".config.");
        // What confirms an overwrite is read at once, or not at all.
        let is_feed_read = crossing.what == What::Read && (is_feed || crossing.subject.contains(".lease."));
        if !self.is_on || crossing.client == "operator" || (is_feed && comes_in) || is_feed_read {
            return Fate::Fine;
        }
        let rate = if crossing.subject.contains("heartbeat") { self.rates.bus / 2 } else { self.rates.bus };
        if !self.chance.permille(rate) {
            return Fate::Fine;
        }
        // A live message may be lost only where another one tells of it: hints, and their timers.
        let by = self.chance.millis(1, 200).saturating_mul(self.chance.pick(&[1, 1, 10, 60]));
        match self.chance.below(6) {
            0 => Fate::Lost,
            1 | 2 => Fate::Unanswered,
            3 => Fate::Twice,
            4 => Fate::Late(by),
            _ => Fate::AnsweredLate(by),
        }
    }

    fn fate(&mut self, call: &MemoryCall, by: &Arc<str>, ice: &Ice) -> azure::Fate {
        if let (Side::Target, Some(kind), Some(item)) = (call.side, call.kind, &call.item) {
            let (vault, item, is_write) = (call.vault.clone(), item.key(), call.operation.writes());
            self.looks.push(Look { at: Instant::now(), by: by.clone(), vault, kind, item, is_write });
        }
        let travel = self.chance.millis(1, 30);
        let fine = azure::Fate { travel, answer: Duration::from_millis(1), ..azure::Fate::FINE };
        if !self.is_on {
            return fine;
        }
        if call.operation == Operation::List && self.outages.contains(&call.vault) {
            return azure::Fate { end: refused(VaultErrorKind::Transient, None), ..fine };
        }
        if call.operation.writes() && self.sleepy.contains(&call.vault) {
            return azure::Fate { token: self.chance.millis(5_200, 9_900), ..fine };
        }
        if call.operation.writes() && self.mute.contains(&call.vault) {
            return azure::Fate { end: End::Lost, ..fine };
        }
        if call.operation.writes() && self.chance.permille(self.rates.stall) && ice.may_stall() {
            return self.stall(by, ice);
        }
        if !self.chance.permille(self.rates.vault) {
            return fine;
        }
        let slow = self.chance.millis(100, 11_000);
        match self.chance.below(12) {
            0 => azure::Fate { end: End::Unreachable, ..fine },
            1 => azure::Fate { end: End::Never, ..fine },
            2 => azure::Fate { token: slow, ..fine },
            // Longer than a call may take: it has its effect after its caller gave up.
            3 => azure::Fate { travel: slow, ..fine },
            4 => azure::Fate { answer: slow, ..fine },
            5 => azure::Fate { end: refused(VaultErrorKind::Throttled, None), ..fine },
            6 => {
                azure::Fate { end: refused(VaultErrorKind::Throttled, Some(self.chance.millis(1_000, 20_000))), ..fine }
            }
            7 => azure::Fate { end: refused(VaultErrorKind::Transient, None), ..fine },
            8 if call.operation.writes() => azure::Fate { end: refused(VaultErrorKind::Forbidden, None), ..fine },
            8 => azure::Fate { end: refused(VaultErrorKind::Transient, None), ..fine },
            _ => azure::Fate { end: End::Lost, ..fine },
        }
    }
}

impl State {
    /// Stops a process between the check of its time and the send, for longer than others wait for it.
    fn stall(&mut self, by: &Arc<str>, ice: &Ice) -> azure::Fate {
        let (now, time) = (Instant::now(), self.chance.millis(26_000, 45_000));
        ice.freeze(now + time);
        self.stalls.entry(by.to_string()).or_insert(now);
        azure::Fate { travel: time + self.chance.millis(1, 3_000), ..azure::Fate::FINE }
    }
}

/// Puts a vault among others, or takes it out.
fn put(vaults: &mut BTreeSet<String>, vault: &str, is_in: bool) {
    if is_in { _ = vaults.insert(vault.to_owned()) } else { _ = vaults.remove(vault) }
}

fn refused(kind: VaultErrorKind, retry_after: Option<Duration>) -> End {
    End::Refused { kind, retry_after }
}

fn holds(payload: &[u8], mark: &str) -> bool {
    let first = mark.as_bytes()[0];
    payload.contains(&first) && payload.windows(mark.len()).any(|window| window == mark.as_bytes())
}
