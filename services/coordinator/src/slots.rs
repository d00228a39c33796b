//! Which slots this coordinator owns, and until when.
//!
//! A slot is taken by compare-and-set on its lease, renewed every five seconds, and given up by the own clock before
//! the store lets the lease lapse. The epoch is the sequence of the take-over.

use std::collections::{BTreeMap, BTreeSet};

use broker::{Entry, LogError};
use domain::{
    placement,
    timing::{LEASE_MARGIN, LEASE_RENEW_EVERY, LEASE_TTL, SILENT_AFTER, SLOT_REST},
};
use futures::{StreamExt, stream};
use proto_msgs::{Epoch, MemberId, Sequence, Slot, hash::SLOTS, worker::SlotLease};
use runtime::BootTime;

use crate::{CoordinatorParts, fleet::Fleet};

/// Leases written at once: all of them, so that a first coordinator can work at once.
const AT_ONCE: usize = SLOTS as usize;

/// A slot that is owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub epoch: Epoch,
    /// Whether another owned it before: what it has called in the last ten seconds is not known.
    pub was_anothers: bool,
    sequence: Sequence,
    /// Just before the last renewal was sent.
    renewed: BootTime,
}

/// The slots of this coordinator.
pub(crate) struct Slots {
    parts: CoordinatorParts,
    held: BTreeMap<Slot, Held>,
    /// When a slot last changed hands here.
    moved: BTreeMap<Slot, BootTime>,
    /// Nobody is believed silent before everybody had time to be heard.
    hears_all_from: BootTime,
}

impl Slots {
    pub(crate) fn new(parts: CoordinatorParts) -> Self {
        let hears_all_from = parts.origin.boot().plus(SILENT_AFTER);
        Self { parts, held: BTreeMap::new(), moved: BTreeMap::new(), hears_all_from }
    }

    /// What is owned, surely, now.
    pub(crate) fn held(&self) -> BTreeMap<Slot, Held> {
        let now = self.parts.origin.boot();
        self.held.iter().filter(|(_, held)| is_sure(held, now)).map(|(&slot, &held)| (slot, held)).collect()
    }

    /// Renews, takes and gives up, as the fleet now is. `busy`: slots in whose configs a run is open; they do not move.
    pub(crate) async fn tend(&mut self, fleet: &Fleet, busy: &BTreeSet<Slot>) -> Result<(), LogError> {
        let now = self.parts.origin.boot();
        self.held.retain(|_, held| is_sure(held, now));
        self.renew(now).await;
        let coordinators = fleet.coordinators();
        self.give_up(&coordinators, busy).await;
        let own = self.parts.origin.member();
        let lacks = |slot: &Slot| {
            !self.held.contains_key(slot) && placement::owner(u64::from(slot.0), &coordinators) == Some(own)
        };
        if !(0..SLOTS).map(Slot).any(|slot| lacks(&slot)) {
            return Ok(());
        }
        let leases: BTreeMap<Slot, Entry<SlotLease>> = self
            .parts
            .broker
            .leases()
            .all()
            .await?
            .into_iter()
            .map(|entry| (entry.envelope.body.slot, entry))
            .collect();
        let wanted: Vec<Slot> =
            (0..SLOTS).map(Slot).filter(|slot| self.wants(*slot, &leases, fleet, &coordinators, now)).collect();
        self.take(wanted).await;
        Ok(())
    }

    /// Gives everything back, for a clean stop.
    pub(crate) async fn release_all(&mut self) {
        let all: Vec<_> = std::mem::take(&mut self.held).into_iter().collect();
        stream::iter(all).for_each_concurrent(AT_ONCE, |(slot, held)| self.release(slot, held)).await;
    }

    fn wants(
        &self,
        slot: Slot,
        leases: &BTreeMap<Slot, Entry<SlotLease>>,
        fleet: &Fleet,
        coordinators: &[MemberId],
        now: BootTime,
    ) -> bool {
        let own = self.parts.origin.member();
        let is_mine_to_take = placement::owner(u64::from(slot.0), coordinators) == Some(own);
        let has_rested = self.moved.get(&slot).is_none_or(|&moved| now - moved > SLOT_REST);
        // A lease of one's own that is not held is one that was given up: it is another's to take, or lapses.
        let is_free = leases
            .get(&slot)
            .is_none_or(|lease| now >= self.hears_all_from && !fleet.is_alive(&lease.envelope.body.owner));
        !self.held.contains_key(&slot) && is_mine_to_take && is_free && has_rested
    }

    async fn take(&mut self, wanted: Vec<Slot>) {
        let parts = &self.parts;
        let taken: Vec<_> =
            stream::iter(wanted).map(|slot| take(parts, slot)).buffer_unordered(AT_ONCE).collect().await;
        for (slot, held) in taken.into_iter().flatten() {
            self.moved.insert(slot, held.renewed);
            self.held.insert(slot, held);
        }
    }

    async fn renew(&mut self, now: BootTime) {
        let due: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| now - held.renewed >= LEASE_RENEW_EVERY)
            .map(|(&s, &h)| (s, h))
            .collect();
        let parts = &self.parts;
        let renewed: Vec<_> =
            stream::iter(due).map(|(slot, held)| renew(parts, slot, held)).buffer_unordered(AT_ONCE).collect().await;
        for (slot, result) in renewed {
            match result {
                Ok(held) => _ = self.held.insert(slot, held),
                Err(LogError::Conflict) => {
                    tracing::warn!(slot = slot.0, "slot was taken over");
                    self.held.remove(&slot);
                }
                // It is given up by the own clock, if this goes on.
                Err(error) => tracing::warn!(slot = slot.0, error = %error, "lease could not be renewed"),
            }
        }
    }

    /// Hands slots that belong to a member that joined back, between runs.
    async fn give_up(&mut self, coordinators: &[MemberId], busy: &BTreeSet<Slot>) {
        let own = self.parts.origin.member().clone();
        let now = self.parts.origin.boot();
        let others: Vec<_> = self
            .held
            .iter()
            .filter(|(slot, held)| {
                let belongs_here = placement::owner(u64::from(slot.0), coordinators) == Some(&own);
                let has_rested = self.moved.get(slot).is_none_or(|&moved| now - moved > SLOT_REST);
                !belongs_here && has_rested && !busy.contains(slot) && is_sure(held, now)
            })
            .map(|(&slot, &held)| (slot, held))
            .collect();
        for (slot, held) in others {
            self.held.remove(&slot);
            self.moved.insert(slot, now);
            self.release(slot, held).await;
        }
    }

    async fn release(&self, slot: Slot, held: Held) {
        let correlation = self.parts.origin.correlation_id();
        if let Err(error) = self.parts.broker.leases().release(slot, correlation, held.sequence).await {
            tracing::debug!(slot = slot.0, error = %error, "lease could not be given back: it lapses");
        }
    }
}

fn is_sure(held: &Held, now: BootTime) -> bool {
    now - held.renewed < LEASE_TTL - LEASE_MARGIN
}

async fn take(parts: &CoordinatorParts, slot: Slot) -> Option<(Slot, Held)> {
    let head = parts.broker.leases().head(slot).await.ok()?;
    let lease = SlotLease { slot, owner: parts.origin.member().clone(), epoch: None };
    let envelope = parts.origin.envelope(parts.origin.correlation_id(), lease);
    let renewed = parts.origin.boot();
    match parts.broker.leases().take(&envelope, head.sequence).await {
        Ok(epoch) => {
            tracing::info!(slot = slot.0, epoch = epoch.0, "slot was taken");
            let was_anothers = head.lease.is_some();
            Some((slot, Held { epoch, was_anothers, sequence: Sequence(epoch.0), renewed }))
        }
        Err(LogError::Conflict) => None,
        Err(error) => {
            tracing::warn!(slot = slot.0, error = %error, "slot could not be taken");
            None
        }
    }
}

async fn renew(parts: &CoordinatorParts, slot: Slot, held: Held) -> (Slot, Result<Held, LogError>) {
    let lease = SlotLease { slot, owner: parts.origin.member().clone(), epoch: Some(held.epoch) };
    let envelope = parts.origin.envelope(parts.origin.correlation_id(), lease);
    let renewed = parts.origin.boot();
    let result = parts.broker.leases().renew(&envelope, held.sequence).await;
    (slot, result.map(|sequence| Held { sequence, renewed, ..held }))
}
