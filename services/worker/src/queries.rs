//! What any worker answers: one page of a listing, and what is known of a vault.

use std::{future::Future, sync::Arc, time::Duration};

use broker::{Incoming, answer, read};
use proto_msgs::{
    CorrelationId, Envelope, Message,
    error::ErrorCode,
    subject::AnyWorker,
    vault::{CallFailure, Detail},
    worker::{InventoryAnswer, InventoryRequest, ResolveAnswer, ResolveFailure, ResolveVault},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::WorkerParts;

/// Queries answered at once: a listing page is 25 items, and a run asks for twelve listings in parallel.
const AT_ONCE: usize = 64;
/// Queries taken in at once, those that wait for their turn among them.
const OPEN_MAX: usize = 1_024;
/// Longest that a query waits for its turn: whoever asks waits fifteen seconds, and a call may take ten.
const TURN_LIMIT: Duration = Duration::from_secs(4);

/// The queries that a worker is answering.
pub(crate) struct Queries {
    open: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Queries {
    fn default() -> Self {
        Self { open: Arc::new(Semaphore::new(OPEN_MAX)), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Queries {
    /// Whether any is not answered yet.
    pub(crate) fn are_open(&self) -> bool {
        self.open.available_permits() < OPEN_MAX
    }

    /// Takes a query in; the future answers it, when it is its turn.
    pub(crate) fn answer(
        &self,
        parts: WorkerParts,
        what: AnyWorker,
        incoming: Incoming,
    ) -> impl Future<Output = ()> + 'static {
        let (place, turns) = (self.open.clone().try_acquire_owned().ok(), self.turns.clone());
        async move {
            let turn = match &place {
                Some(_) => timeout(TURN_LIMIT, turns.acquire_owned()).await.ok().and_then(Result::ok),
                None => None,
            };
            match what {
                AnyWorker::Inventory => inventory(&parts, &incoming, turn).await,
                AnyWorker::Resolve => resolve(&parts, &incoming, turn).await,
            }
            drop(place);
        }
    }
}

async fn inventory(parts: &WorkerParts, incoming: &Incoming, turn: Option<OwnedSemaphorePermit>) {
    let Some(request) = question::<InventoryRequest>(incoming) else { return };
    let correlation = request.correlation_id;
    let page: InventoryAnswer = match turn {
        Some(_) => list(parts, request.body, correlation).await,
        None => Err(busy()),
    };
    reply(parts, incoming, parts.origin.envelope(correlation, page)).await;
}

async fn list(parts: &WorkerParts, request: InventoryRequest, correlation: CorrelationId) -> InventoryAnswer {
    let InventoryRequest { side, vault, kind, listing, continuation, .. } = request;
    let client = parts.vaults.open(side, &vault).await.map_err(|error| error.failure())?;
    client.list(kind, listing, continuation, correlation).await.map_err(|error| error.failure())
}

async fn resolve(parts: &WorkerParts, incoming: &Incoming, turn: Option<OwnedSemaphorePermit>) {
    let Some(request) = question::<ResolveVault>(incoming) else { return };
    let correlation = request.correlation_id;
    let resolved: ResolveAnswer = match turn {
        Some(_) => parts.vaults.resolve(request.body.side, &request.body.reference, correlation).await,
        None => Err(ResolveFailure::Call { failure: busy() }),
    };
    reply(parts, incoming, parts.origin.envelope(correlation, resolved)).await;
}

pub(crate) fn question<Q: Message>(incoming: &Incoming) -> Option<Envelope<Q>> {
    match read(incoming) {
        Ok(envelope) => Some(envelope),
        // Nobody is told: what cannot be read has no sender we know. The sender's deadline tells it.
        Err(error) => {
            tracing::warn!(
                subject = incoming.subject,
                error = &error as &dyn std::error::Error,
                "message could not be read"
            );
            None
        }
    }
}

pub(crate) async fn reply<A: Message>(parts: &WorkerParts, incoming: &Incoming, envelope: Envelope<A>) {
    if let Err(error) = answer(parts.broker.bus.as_ref(), incoming, &envelope).await {
        tracing::warn!(
            subject = incoming.subject,
            error = &error as &dyn std::error::Error,
            "answer could not be sent"
        );
    }
}

/// What a caller is told while this worker is full.
fn busy() -> CallFailure {
    CallFailure {
        code: ErrorCode::TransientNetwork,
        detail: Detail::new("the worker has no room for another query: it is asked again"),
        retry_after_ms: None,
    }
}
