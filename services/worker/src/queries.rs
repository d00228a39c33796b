//! What any worker answers: one page of a listing, and what is known of a vault.

use broker::{Incoming, answer, read};
use proto_msgs::{
    Envelope, Message,
    error::ErrorCode,
    vault::{CallFailure, Detail},
    worker::{InventoryAnswer, InventoryRequest, ResolveAnswer, ResolveFailure, ResolveVault},
};

use crate::WorkerParts;

pub(crate) async fn inventory(parts: &WorkerParts, incoming: Incoming) {
    let Some(request) = question::<InventoryRequest>(&incoming) else { return };
    let correlation = request.correlation_id;
    let InventoryRequest { side, vault, kind, listing, continuation, .. } = request.body;
    let listed = async {
        let client = parts.vaults.open(side, &vault).await?;
        client.list(kind, listing, continuation, correlation).await
    };
    let page: InventoryAnswer = listed.await.map_err(|error| error.failure());
    reply(parts, &incoming, parts.origin.envelope(correlation, page)).await;
}

pub(crate) async fn resolve(parts: &WorkerParts, incoming: Incoming) {
    let Some(request) = question::<ResolveVault>(&incoming) else { return };
    let resolved: ResolveAnswer =
        parts.vaults.resolve(request.body.side, &request.body.reference, request.correlation_id).await;
    reply(parts, &incoming, parts.origin.envelope(request.correlation_id, resolved)).await;
}

pub(crate) fn question<Q: Message>(incoming: &Incoming) -> Option<Envelope<Q>> {
    match read(incoming) {
        Ok(envelope) => Some(envelope),
        // Nobody is told: what cannot be read has no sender we know. The sender's deadline tells it.
        Err(error) => {
            tracing::warn!(subject = incoming.subject, error = %error, "request could not be read");
            None
        }
    }
}

pub(crate) async fn reply<A: Message>(parts: &WorkerParts, incoming: &Incoming, envelope: Envelope<A>) {
    if let Err(error) = answer(parts.broker.bus.as_ref(), incoming, &envelope).await {
        tracing::warn!(subject = incoming.subject, error = %error, "answer could not be sent");
    }
}

/// What a caller is told while this worker is full.
pub(crate) fn busy() -> CallFailure {
    CallFailure {
        code: ErrorCode::TransientNetwork,
        detail: Detail::new("the worker has no room for another query: it is asked again"),
        retry_after_ms: None,
    }
}

/// The same, for a vault that was to be looked up.
pub(crate) fn busy_resolving() -> ResolveFailure {
    ResolveFailure::Call { failure: busy() }
}
