//! Bearer tokens of the API, by the hash of the token.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt;
use proto_msgs::{CorrelationId, Envelope, Sequence, api::ApiToken, subject::Subjects};

use crate::{
    error::LogError,
    journal::{Entry, Journal, Place},
    ports::{Select, Streams},
};

/// A revoked token's marker goes after this.
const MARKER_STAYS: Duration = Duration::from_secs(3600);

/// The tokens of this installation.
#[derive(Clone)]
pub struct Tokens {
    journal: Journal,
    subjects: Subjects,
}

impl Tokens {
    pub(crate) fn new(streams: Arc<dyn Streams>, subjects: Subjects) -> Self {
        Self { journal: Journal::new(streams), subjects }
    }

    fn stream(&self) -> String {
        self.subjects.bucket_stream(&self.subjects.state_bucket())
    }

    pub async fn put(&self, envelope: &Envelope<ApiToken>) -> Result<(), LogError> {
        let place = Place::new(self.stream(), self.subjects.token(&envelope.body.sha256));
        self.journal.append(place, envelope, Sequence(0)).await.map(drop)
    }

    pub async fn find(&self, sha256_hex: &str) -> Result<Option<ApiToken>, LogError> {
        let entry = self.journal.head(&self.stream(), &self.subjects.token(sha256_hex)).await?;
        Ok(entry.map(|entry: Entry<ApiToken>| entry.envelope.body))
    }

    /// Takes every token of that name back.
    pub async fn revoke_named(&self, name: &str, correlation: CorrelationId) -> Result<(), LogError> {
        let all = self.journal.read(&self.stream(), &self.subjects.tokens(), Select::NewestPerSubject).await?;
        let all: Vec<Entry<ApiToken>> = all.try_collect().await?;
        for entry in all.into_iter().filter(|entry| entry.envelope.body.name == name) {
            let place = Place::new(self.stream(), self.subjects.token(&entry.envelope.body.sha256));
            self.journal.delete(place, correlation, entry.sequence, MARKER_STAYS).await?;
        }
        Ok(())
    }
}
