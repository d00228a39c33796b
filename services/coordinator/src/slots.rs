//! Which slots this coordinator owns, and until when.
//!
//! A slot is taken by compare-and-set on its lease, renewed every five seconds, and given up by the own clock before
//! the store lets the lease lapse. The epoch is the sequence of the take-over.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use broker::{Entry, LeaseHead, LogError};
use domain::{
    placement,
    timing::{LEASE_MARGIN, LEASE_RENEW_EVERY, LEASE_TTL, SILENT_AFTER, SLOT_REST},
};
use futures::{StreamExt, stream};
use proto_msgs::{MemberId, Sequence, Slot, hash::SLOTS, worker::SlotLease};
use runtime::BootTime;

use crate::{CoordinatorParts, fleet::Fleet, tenure::Tenure};

/// Leases written at once: all of them, so that a first coordinator can work at once.
const AT_ONCE: usize = SLOTS as usize;
/// Longest that one lease is written: a store that is away must not keep the loop from noticing what lapsed.
const WRITE_LIMIT: Duration = Duration::from_secs(4);
/// Renewals after which a slot has been in one hand for [`SLOT_REST`].
const RESTED_RENEWALS: u32 = (SLOT_REST.as_secs() / LEASE_RENEW_EVERY.as_secs()) as u32;

/// A slot that is owned.
#[derive(Debug, Clone)]
struct Held {
    tenure: Tenure,
    sequence: Sequence,
    /// Just before the last renewal was sent.
    renewed: BootTime,
    renewals: u32,
}

/// The slots of this coordinator. Cheap to clone; all on one thread.
#[derive(Clone)]
pub(crate) struct Slots(Rc<State>);

struct State {
    parts: CoordinatorParts,
    held: RefCell<BTreeMap<Slot, Held>>,
    /// When a slot was given up here.
    given_up: RefCell<BTreeMap<Slot, BootTime>>,
    /// Nobody is believed silent before everybody had time to be heard.
    hears_all_from: BootTime,
}

impl Slots {
    pub(crate) fn new(parts: CoordinatorParts) -> Self {
        let hears_all_from = parts.origin.boot().plus(SILENT_AFTER);
        Self(Rc::new(State { parts, held: RefCell::default(), given_up: RefCell::default(), hears_all_from }))
    }

    /// What is owned, surely, now.
    pub(crate) fn held(&self) -> BTreeMap<Slot, Tenure> {
        let now = self.now();
        let held = self.0.held.borrow();
        held.iter()
            .filter(|(_, held)| held.tenure.holds(now))
            .map(|(&slot, held)| (slot, held.tenure.clone()))
            .collect()
    }

    /// Renews, takes and gives up, as the fleet now is. `busy`: slots in whose configs a run is open; they do not move.
    pub(crate) async fn tend(&self, fleet: &Fleet, busy: &BTreeSet<Slot>) {
        let now = self.now();
        self.0.held.borrow_mut().retain(|_, held| held.tenure.holds(now));
        self.renew().await;
        let coordinators = fleet.coordinators();
        self.give_up(&coordinators, busy).await;
        let wanted: Vec<Slot> = (0..SLOTS).map(Slot).filter(|slot| self.wants(*slot, fleet, &coordinators)).collect();
        let taken = stream::iter(wanted).map(|slot| self.take(slot, fleet)).buffer_unordered(AT_ONCE);
        let taken: Vec<_> = taken.collect().await;
        self.0.held.borrow_mut().extend(taken.into_iter().flatten());
    }

    /// Gives everything back, for a clean stop.
    pub(crate) async fn release_all(&self) {
        let all = std::mem::take(&mut *self.0.held.borrow_mut());
        stream::iter(all).for_each_concurrent(AT_ONCE, |(slot, held)| self.release(slot, held)).await;
    }

    fn now(&self) -> BootTime {
        self.0.parts.origin.boot()
    }

    /// Whether this member should own the slot, and nobody says to own it. What it gave up it leaves alone for a while.
    fn wants(&self, slot: Slot, fleet: &Fleet, coordinators: &[MemberId]) -> bool {
        let is_mine = placement::owner(u64::from(slot.0), coordinators) == Some(self.0.parts.origin.member());
        let given_up = self.0.given_up.borrow().get(&slot).copied();
        let has_rested = given_up.is_none_or(|at| self.now() - at > SLOT_REST);
        is_mine && has_rested && !self.0.held.borrow().contains_key(&slot) && !fleet.is_owned(slot)
    }

    /// Whether a lease may be taken: it lapsed or was given back, or its owner is silent and had it for long enough.
    fn is_free(&self, head: &LeaseHead, fleet: &Fleet) -> bool {
        head.lease.as_ref().is_none_or(|lease: &Entry<SlotLease>| {
            let lease = &lease.envelope.body;
            let is_silent = self.now() >= self.0.hears_all_from && !fleet.is_alive(&lease.owner);
            is_silent && lease.renewals >= RESTED_RENEWALS
        })
    }

    async fn take(&self, slot: Slot, fleet: &Fleet) -> Option<(Slot, Held)> {
        let (parts, leases) = (&self.0.parts, self.0.parts.broker.leases());
        let taking = async {
            let head = leases.head(slot).await?;
            if !self.is_free(&head, fleet) {
                return Ok(None);
            }
            let renewed = self.now();
            let lease = SlotLease { slot, owner: parts.origin.member().clone(), epoch: None, renewals: 0 };
            let envelope = parts.origin.envelope(parts.origin.correlation_id(), lease);
            let epoch = leases.take(&envelope, head.sequence).await?;
            tracing::info!(slot = slot.0, epoch = epoch.0, "slot was taken");
            let tenure = Tenure::new(epoch, head.sequence != Sequence(0), sure_until(renewed));
            Ok(Some(Held { tenure, sequence: Sequence(epoch.0), renewed, renewals: 0 }))
        };
        match bounded(taking).await {
            Ok(held) => held.map(|held| (slot, held)),
            Err(LogError::Conflict) => None,
            Err(error) => {
                tracing::warn!(slot = slot.0, error = %error, "slot could not be taken");
                None
            }
        }
    }

    async fn renew(&self) {
        let now = self.now();
        let is_due = |held: &Held| now - held.renewed >= LEASE_RENEW_EVERY;
        let due: Vec<_> = self
            .0
            .held
            .borrow()
            .iter()
            .filter(|(_, held)| is_due(held))
            .map(|(&slot, held)| (slot, held.clone()))
            .collect();
        let renewed = stream::iter(due).map(|(slot, held)| self.renew_one(slot, held)).buffer_unordered(AT_ONCE);
        for (slot, result) in renewed.collect::<Vec<_>>().await {
            match result {
                Ok(held) => {
                    held.tenure.extend(sure_until(held.renewed));
                    self.0.held.borrow_mut().insert(slot, held);
                }
                Err(LogError::Conflict) => {
                    tracing::warn!(slot = slot.0, "slot was taken over");
                    if let Some(held) = self.0.held.borrow_mut().remove(&slot) {
                        held.tenure.end();
                    }
                }
                // It is over by the own clock, if this goes on.
                Err(error) => tracing::warn!(slot = slot.0, error = %error, "lease could not be renewed"),
            }
        }
    }

    async fn renew_one(&self, slot: Slot, held: Held) -> (Slot, Result<Held, LogError>) {
        let (parts, leases) = (&self.0.parts, self.0.parts.broker.leases());
        let owner = parts.origin.member().clone();
        let renewing = async {
            let mut expected = held.sequence;
            loop {
                let renewals = held.renewals.saturating_add(1);
                let lease = SlotLease { slot, owner: owner.clone(), epoch: Some(held.tenure.epoch), renewals };
                let envelope = parts.origin.envelope(parts.origin.correlation_id(), lease);
                let renewed = self.now();
                match leases.renew(&envelope, expected).await {
                    Ok(sequence) => return Ok(Held { sequence, renewed, renewals, ..held.clone() }),
                    // A renewal whose answer did not come may be what stands there: it is one's own still.
                    Err(LogError::Conflict) => match leases.head(slot).await?.lease {
                        Some(lease)
                            if lease.envelope.body.epoch == Some(held.tenure.epoch) && lease.sequence > expected =>
                        {
                            expected = lease.sequence;
                        }
                        Some(_) | None => return Err(LogError::Conflict),
                    },
                    Err(error) => return Err(error),
                }
            }
        };
        (slot, bounded(renewing).await)
    }

    /// Hands slots that belong to a member that joined back, between runs: first nothing is decided here any more.
    async fn give_up(&self, coordinators: &[MemberId], busy: &BTreeSet<Slot>) {
        let own = self.0.parts.origin.member();
        let is_anothers = |slot: Slot, held: &Held| {
            let belongs_here = placement::owner(u64::from(slot.0), coordinators) == Some(own);
            !belongs_here && held.renewals >= RESTED_RENEWALS && !busy.contains(&slot)
        };
        let others: Vec<_> = {
            let mut held = self.0.held.borrow_mut();
            let slots: Vec<Slot> =
                held.iter().filter(|(slot, held)| is_anothers(**slot, held)).map(|(&s, _)| s).collect();
            slots.into_iter().filter_map(|slot| held.remove_entry(&slot)).collect()
        };
        let now = self.now();
        self.0.given_up.borrow_mut().extend(others.iter().map(|(slot, _)| (*slot, now)));
        stream::iter(others).for_each_concurrent(AT_ONCE, |(slot, held)| self.release(slot, held)).await;
    }

    async fn release(&self, slot: Slot, held: Held) {
        held.tenure.end();
        let leases = self.0.parts.broker.leases();
        let releasing = leases.release(slot, self.0.parts.origin.correlation_id(), held.sequence);
        if let Err(error) = bounded(releasing).await {
            tracing::debug!(slot = slot.0, error = %error, "lease could not be given back: it lapses");
        }
    }
}

fn sure_until(renewed: BootTime) -> BootTime {
    renewed.plus(LEASE_TTL - LEASE_MARGIN)
}

async fn bounded<T>(work: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    tokio::time::timeout(WRITE_LIMIT, work).await.unwrap_or(Err(LogError::Unknown))
}
