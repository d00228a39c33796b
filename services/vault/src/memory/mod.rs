//! A simulated Azure in this process: the vault port's twin, for tests and simulations.
//!
//! [`MemoryAzure`] is all vaults of one cloud behind one lock; it opens them as the real one does ([`crate::Vaults`]).
//! [`Owner`] is somebody else at work in a vault, whom no fault, right or gate concerns. What becomes of each call is
//! said by a function that comes with the caller ([`Fate`]).
//!
//! Invariants: equal calls at equal times with an equal seed give equal answers, so that a whole simulation can be
//! replayed: time comes in as a function, ids come from a seed, every map is ordered. A write that was sent takes
//! effect when it arrives, whatever became of who sent it: a caller that gave up, or was dropped, cannot take it back.
//! Deliberately absent: cryptography (a key is an id, a certificate a thumbprint) and Azure's limits.

mod access;
mod call;
mod client;
mod done;
mod fate;
mod item;
mod listing;
mod material;
mod owner;
mod random;
mod refusal;
mod state;
mod store;
mod vaults;
mod writes;

#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proto_msgs::{
    ItemType, Timestamp,
    vault::{Side, VaultIdentity},
};

pub use done::Done;
pub use fate::{End, Fate, MemoryCall};
pub use item::{Content, Format, Item, Slot, Version};
pub use material::PRIVATE;
pub use owner::{NewCertificate, Owner};

use fate::Fates;
use state::State;
use store::Store;

/// Tells the servers' time.
pub type ServerClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// All vaults of a simulated Azure, as one caller reaches them. Cheap to clone; every clone is the same Azure.
#[derive(Clone)]
pub struct MemoryAzure {
    state: Arc<Mutex<State>>,
    clock: ServerClock,
    fates: Fates,
    /// Under whose name writes are remembered; none: they are not.
    caller: Option<Arc<str>>,
}

impl MemoryAzure {
    /// An Azure without vaults, where every call is answered at once. Ids are made from `seed`.
    pub fn new(clock: ServerClock, seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))), clock, fates: Arc::new(|_| Fate::FINE), caller: None }
    }

    /// The same Azure, as a caller reaches it whose calls fare as the function says: every worker may have its own luck.
    ///
    /// Asked once per call, before anything else, and not under the lock: it may look at this Azure.
    #[must_use]
    pub fn with_fates(&self, fates: impl Fn(&MemoryCall) -> Fate + Send + Sync + 'static) -> Self {
        Self { fates: Arc::new(fates), ..self.clone() }
    }

    /// The same Azure, which remembers what is written from here under that name: see [`Self::done`].
    #[must_use]
    pub fn with_caller(&self, caller: &str) -> Self {
        Self { caller: Some(caller.into()), ..self.clone() }
    }

    /// Every write of a named caller that took effect, in that order.
    pub fn done(&self) -> Vec<Done> {
        self.lock().0.done.clone()
    }

    /// Adds an empty vault; in place of the one at that address, if there is one, as somebody does who deletes a vault
    /// and makes another of its name.
    pub fn add_vault(&self, identity: VaultIdentity) {
        let (mut state, _) = self.lock();
        let random = state.random.split();
        state.stores.insert(identity.uri.to_ascii_lowercase(), Store::new(identity, random));
    }

    /// Takes a vault away with everything in it.
    pub fn remove_vault(&self, name: &str) {
        self.lock().0.stores.retain(|_, store| !store.identity.name.eq_ignore_ascii_case(name));
    }

    /// Somebody else, at work in the vault of that name.
    pub fn owner(&self, vault: &str) -> Owner {
        Owner::new(self.clone(), vault)
    }

    /// Whether a side's identity gets tokens. It does at first.
    pub fn set_identity(&self, side: Side, is_known: bool) {
        let (mut state, _) = self.lock();
        if is_known {
            state.unknown.remove(&side);
        } else {
            state.unknown.insert(side);
        }
    }

    /// How long deleting and recovering take: not at all, at first.
    pub fn set_phase(&self, phase: Duration) {
        self.lock().0.phase = phase;
    }

    /// Whether listings begin with an empty page that goes on, as Azure's do now and then.
    pub fn set_empty_first_pages(&self, is_on: bool) {
        self.lock().0.empty_first_pages = is_on;
    }

    /// Everything in every vault, by the vault's address: for comparing, not for printing (values are redacted).
    pub fn dump(&self) -> BTreeMap<String, BTreeMap<(ItemType, String), Slot>> {
        let (state, now) = self.lock();
        state.stores.iter().map(|(uri, store)| (uri.clone(), store.slots(now))).collect()
    }

    /// The state, with everything that has arrived by now in it, and the time.
    fn lock(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let now = (self.clock)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.arrive(now);
        (state, now)
    }
}
