//! A role as a process: everything it started goes with it, and it can be stopped from outside.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::{
    task::{AbortHandle, JoinSet, LocalSet},
    time::{Instant, Sleep, sleep_until},
};

/// Runs until its role ends by itself, or it is killed.
pub struct Process {
    handle: AbortHandle,
    frozen: Rc<Cell<Option<Instant>>>,
    ended: Rc<Cell<bool>>,
}

impl Process {
    pub fn start(in_set: &mut JoinSet<()>, role: impl Future<Output = ()> + 'static) -> Self {
        let (frozen, ended) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
        let over = ended.clone();
        let inner = Box::pin(async move {
            // Its own: whatever the role spawned ends with it.
            LocalSet::new().run_until(role).await;
            over.set(true);
        });
        let handle = in_set.spawn_local(Freezer { inner, frozen: frozen.clone(), wait: None });
        Self { handle, frozen, ended }
    }

    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub fn kill(&self) {
        self.handle.abort();
    }

    pub fn freeze(&self, until: Instant) {
        self.frozen.set(Some(until));
    }
}

/// Does not run its process while that is frozen; what its timers missed comes all at once.
struct Freezer {
    inner: Pin<Box<dyn Future<Output = ()>>>,
    frozen: Rc<Cell<Option<Instant>>>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Future for Freezer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = self.frozen.get() {
            let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if wait.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
            self.frozen.set(None);
        }
        self.inner.as_mut().poll(context)
    }
}
