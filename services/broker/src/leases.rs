//! Slot leases: who owns which target vaults, until when.
//!
//! A lease is one message with a time to live, taken and renewed by compare-and-set. The sequence of the take-over is
//! the epoch. Raw appends, because the key-value client drops the time to live of a key that has an expiry marker.

use std::sync::Arc;

use domain::timing::LEASE_TTL;
use futures::TryStreamExt;
use proto_msgs::{CorrelationId, Envelope, Epoch, Sequence, Slot, subject::Subjects, worker::SlotLease};

use crate::{
    error::LogError,
    journal::{Entry, Journal, Place},
    ports::{Select, Streams},
};

/// The leases of this installation.
#[derive(Clone)]
pub struct Leases {
    journal: Journal,
    subjects: Subjects,
}

/// What is on a slot's subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHead {
    /// None: free, or lapsed.
    pub lease: Option<Entry<SlotLease>>,
    /// Of the newest message, be it an expiry marker: what a take-over must expect.
    pub sequence: Sequence,
}

impl Leases {
    pub(crate) fn new(streams: Arc<dyn Streams>, subjects: Subjects) -> Self {
        Self { journal: Journal::new(streams), subjects }
    }

    /// Every lease that has not lapsed.
    pub async fn all(&self) -> Result<Vec<Entry<SlotLease>>, LogError> {
        self.journal
            .read(&self.subjects.leases_stream(), &self.subjects.leases(), Select::NewestPerSubject)
            .await?
            .try_collect()
            .await
    }

    pub async fn head(&self, slot: Slot) -> Result<LeaseHead, LogError> {
        let (lease, sequence) =
            self.journal.head_or_marker(&self.subjects.leases_stream(), &self.subjects.slot_lease(slot)).await?;
        Ok(LeaseHead { lease, sequence })
    }

    /// Takes a slot over, if `expected` is still the newest sequence on its subject.
    pub async fn take(&self, envelope: &Envelope<SlotLease>, expected: Sequence) -> Result<Epoch, LogError> {
        self.write(envelope, expected).await.map(|sequence| Epoch(sequence.0))
    }

    /// Renews a lease; the sequence is what the next renewal expects.
    pub async fn renew(&self, envelope: &Envelope<SlotLease>, expected: Sequence) -> Result<Sequence, LogError> {
        self.write(envelope, expected).await
    }

    /// Gives a slot back.
    pub async fn release(&self, slot: Slot, correlation: CorrelationId, expected: Sequence) -> Result<(), LogError> {
        let place = Place::new(self.subjects.leases_stream(), self.subjects.slot_lease(slot));
        self.journal.delete(place, correlation, expected, LEASE_TTL).await
    }

    async fn write(&self, envelope: &Envelope<SlotLease>, expected: Sequence) -> Result<Sequence, LogError> {
        let subject = self.subjects.slot_lease(envelope.body.slot);
        let place = Place::new(self.subjects.leases_stream(), subject).ttl(LEASE_TTL);
        self.journal.append(place, envelope, expected).await
    }
}
