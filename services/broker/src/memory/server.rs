//! The server that all clients share, and the task that lets things happen in time.

use std::sync::{Arc, Mutex};

use proto_msgs::{Timestamp, subject::Subjects};
use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    client::MemoryClient,
    state::{State, Written},
    weather::{Crossing, Fate},
};

/// A NATS server in memory. Cheap to clone; gone with its last client.
#[derive(Clone)]
pub struct MemoryServer {
    shared: Arc<Shared>,
    subjects: Subjects,
    /// Ends with the last clone.
    _driver: Arc<JoinSet<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Something is due before what the driver waits for.
    sooner: Notify,
}

impl MemoryServer {
    /// A server with every stream, all empty. `origin` is the time of day it shows now. Needs a tokio runtime.
    pub fn new(subjects: Subjects, origin: Timestamp) -> Self {
        let state = Mutex::new(State::new(&subjects, origin, Instant::now()));
        let shared = Arc::new(Shared { state, sooner: Notify::new() });
        let mut driver = JoinSet::new();
        driver.spawn(drive(shared.clone()));
        Self { shared, subjects, _driver: Arc::new(driver) }
    }

    /// What becomes of each message from now on; before the first call, all are fine. `weather` runs under the server's
    /// lock: it must not call the server or a client.
    pub fn set_weather(&self, weather: impl FnMut(&Crossing<'_>) -> Fate + Send + 'static) {
        self.with(|state| state.set_weather(Box::new(weather)));
    }

    /// A connection of its own for a member of this name.
    pub fn client(&self, name: &str) -> MemoryClient {
        let id = self.with(|state| state.connect(name));
        MemoryClient::new(self.clone(), id)
    }

    /// Every message that was ever stored, in that order; what a stream sourced from another is not told again.
    pub fn written(&self) -> Vec<Written> {
        self.with(|state| state.written().to_vec())
    }

    /// As [`Self::written`], without so many of the first.
    pub fn written_after(&self, known: usize) -> Vec<Written> {
        self.with(|state| state.written().get(known..).unwrap_or_default().to_vec())
    }

    pub(super) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.shared.with(work)
    }
}

impl Shared {
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().expect("nothing panics under the lock but a broken weather");
        state.catch_up(Instant::now());
        let before = state.next_due();
        let result = work(&mut state);
        let after = state.next_due();
        if after.is_some() && before.is_none_or(|before| after < Some(before)) {
            self.sooner.notify_one();
        }
        result
    }
}

async fn drive(shared: Arc<Shared>) {
    loop {
        let due = shared.with(|state| state.next_due());
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.sooner.notified() => {}
            () = due => {}
        }
    }
}
