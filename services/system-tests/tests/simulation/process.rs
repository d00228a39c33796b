//! A role as a process: everything it started goes with it, and it can be stopped from outside.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use tokio::{
    task::{AbortHandle, JoinSet, LocalSet},
    time::{Instant, Sleep, sleep_until},
};

/// Runs until its role ends by itself, or it is killed.
pub struct Process {
    handle: AbortHandle,
    ice: Ice,
    ended: Rc<Cell<bool>>,
}

/// Stops a process from outside, or from a call in it.
#[derive(Debug, Clone, Default)]
pub struct Ice(Arc<Mutex<Frozen>>);

#[derive(Debug, Default)]
struct Frozen {
    until: Option<Instant>,
    is_leaving: bool,
}

impl Ice {
    pub fn freeze(&self, until: Instant) {
        self.lock().until = Some(until);
    }

    /// In the middle of a call; not one that is about to leave, which may be gone before it wakes.
    pub fn may_stall(&self) -> bool {
        let frozen = self.lock();
        frozen.until.is_none() && !frozen.is_leaving
    }

    fn lock(&self) -> MutexGuard<'_, Frozen> {
        self.0.lock().expect("nothing panics under the lock")
    }
}

impl Process {
    pub fn start(in_set: &mut JoinSet<()>, ice: Ice, role: impl Future<Output = ()> + 'static) -> Self {
        let ended = Rc::new(Cell::new(false));
        let over = ended.clone();
        let inner = Box::pin(async move {
            // Its own: whatever the role spawned ends with it.
            LocalSet::new().run_until(role).await;
            over.set(true);
        });
        let handle = in_set.spawn_local(Freezer { inner, ice: ice.clone(), wait: None });
        Self { handle, ice, ended }
    }

    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub fn kill(&self) {
        self.handle.abort();
    }

    pub fn freeze(&self, until: Instant) {
        self.ice.freeze(until);
    }

    pub fn is_frozen(&self) -> bool {
        self.ice.lock().until.is_some()
    }

    pub fn leaves(&self) {
        self.ice.lock().is_leaving = true;
    }
}

/// Does not run its process while that is frozen; what its timers missed comes all at once.
struct Freezer {
    inner: Pin<Box<dyn Future<Output = ()>>>,
    ice: Ice,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Future for Freezer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = self.ice.lock().until;
        if let Some(until) = until {
            let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if wait.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
            self.ice.lock().until = None;
        }
        self.inner.as_mut().poll(context)
    }
}
