//! One member's connection to the server.

use tokio::sync::oneshot;

use super::{
    post::{Body, Command},
    server::MemoryServer,
    state::{ClientId, State},
    weather::{Fate, What},
};
use crate::{Broker, error::ReadError, nats::API_LIMIT};

/// A connection, and what may happen to it. Clones are the same connection.
#[derive(Clone)]
pub struct MemoryClient {
    pub(super) server: MemoryServer,
    pub(super) id: ClientId,
}

impl MemoryClient {
    pub(super) fn new(server: MemoryServer, id: ClientId) -> Self {
        Self { server, id }
    }

    /// What a role is given.
    pub fn broker(&self) -> Broker {
        let client = std::sync::Arc::new(self.clone());
        Broker { streams: client.clone(), bus: client, subjects: self.server.subjects().clone() }
    }

    /// Cuts the line, and both ends see it. What is sent from now on waits; what would arrive does not.
    pub fn cut(&self) {
        self.server.with(|state| state.cut(self.id));
    }

    /// Mends the line: subscriptions hear again, followers are told of a gap, and what waited is sent.
    pub fn reconnect(&self) {
        self.server.with(|state| state.reconnect(self.id));
    }

    /// The process was killed: nothing of it is left, but what it had sent.
    pub fn remove(&self) {
        self.server.with(|state| state.remove(self.id));
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        self.server.with(work)
    }

    pub(super) fn send(&self, body: Body) {
        let client = self.id;
        self.with(|state| state.send(Command { client, body }));
    }

    pub(super) async fn until_up(&self) {
        loop {
            let up =
                self.with(|state| (!state.is_up(self.id)).then(|| state.clients[self.id].up.clone().notified_owned()));
            match up {
                Some(up) => up.await,
                None => return,
            }
        }
    }

    /// Reads from the server, as long as a real one would be waited for. True: the answer shall break off half-way.
    pub(super) async fn look<R>(
        &self,
        subject: &str,
        work: impl FnOnce(&mut State) -> R,
    ) -> Result<(R, bool), ReadError> {
        let looking = async {
            self.until_up().await;
            let fate = self.with(|state| state.fate(self.id, What::Read, subject, &[]));
            let mut breaks_off = false;
            match fate {
                Fate::Fine | Fate::Twice => {}
                Fate::Late(by) => tokio::time::sleep(by).await,
                Fate::AnsweredLate(by) => {
                    let seen = self.with(work);
                    tokio::time::sleep(by).await;
                    self.until_up().await;
                    return (seen, breaks_off);
                }
                Fate::Lost => std::future::pending().await,
                Fate::Unanswered => breaks_off = true,
            }
            self.until_up().await;
            (self.with(work), breaks_off)
        };
        tokio::time::timeout(API_LIMIT, looking).await.map_err(|_| ReadError::Deadline)
    }
}

/// What was answered; never, where no answer will come.
pub(super) async fn answered<T>(answer: oneshot::Receiver<T>) -> T {
    match answer.await {
        Ok(answer) => answer,
        Err(_) => std::future::pending().await,
    }
}
