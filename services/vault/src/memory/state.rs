//! Everything a simulated Azure knows, and the writes that are on their way to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto_msgs::{Timestamp, vault::Side};

use super::{
    done::Done,
    fate::MemoryCall,
    item::Item,
    random::Random,
    refusal::Refusal,
    store::{Moment, Store},
};
use crate::VaultErrorKind;

/// What a write does when it arrives.
pub(super) type Effect = Box<dyn FnOnce(&mut State, Timestamp) + Send>;

/// A write on its way: when it arrives, and which of those of that moment it is.
pub(super) type Ticket = (Timestamp, u64);

pub(super) struct State {
    /// By lower-cased address.
    pub stores: BTreeMap<String, Store>,
    pub random: Random,
    /// Sides whose identity gets no token.
    pub unknown: BTreeSet<Side>,
    pub phase: Duration,
    pub empty_first_pages: bool,
    pub done: Vec<Done>,
    requests: Random,
    backups: BTreeMap<String, Backup>,
    under_way: BTreeMap<Ticket, Effect>,
    sent: u64,
}

/// A key as it was, good only where it was made.
#[derive(Clone)]
pub(super) struct Backup {
    pub item: Item,
    pub geography: Option<String>,
    pub subscription: Option<String>,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            stores: BTreeMap::new(),
            requests: random.split(),
            random,
            unknown: BTreeSet::new(),
            phase: Duration::ZERO,
            empty_first_pages: false,
            done: Vec::new(),
            backups: BTreeMap::new(),
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    pub(super) fn moment(&self, now: Timestamp) -> Moment {
        Moment { now, phase: self.phase }
    }

    pub(super) fn request_id(&mut self) -> String {
        self.requests.id()
    }

    /// Lets a call into its vault, if it may go there.
    pub(super) fn enter(&mut self, uri: &str, call: &MemoryCall) -> Result<&mut Store, Refusal> {
        self.identify(call.side)?;
        let store = self.stores.get_mut(&uri.to_ascii_lowercase());
        let store = store.ok_or_else(|| Refusal::unreachable(uri))?;
        store.access.check(call)?;
        Ok(store)
    }

    pub(super) fn identify(&self, side: Side) -> Result<(), Refusal> {
        if self.unknown.contains(&side) {
            return Err(Refusal::new(VaultErrorKind::Unauthenticated, "no token could be got"));
        }
        Ok(())
    }

    /// Sends a write that arrives at `due`.
    pub(super) fn send(&mut self, due: Timestamp, effect: Effect) -> Ticket {
        self.sent += 1;
        let ticket = (due, self.sent);
        self.under_way.insert(ticket, effect);
        ticket
    }

    /// Everything that is due, in the order in which it arrives.
    pub(super) fn arrive(&mut self, now: Timestamp) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((due, _), effect) = entry.remove_entry();
            effect(self, due);
        }
    }

    /// One that must be there by now, however the clock sees it.
    pub(super) fn land(&mut self, ticket: Ticket, now: Timestamp) {
        if let Some(effect) = self.under_way.remove(&ticket) {
            effect(self, now);
        }
    }

    /// Keeps a backup; the blob names it.
    pub(super) fn seal(&mut self, backup: Backup) -> String {
        let blob = format!("backup{}", self.random.private());
        self.backups.insert(blob.clone(), backup);
        blob
    }

    pub(super) fn open(&self, blob: &str) -> Option<&Backup> {
        self.backups.get(blob)
    }
}
