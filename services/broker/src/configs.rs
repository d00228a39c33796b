//! What operators declared: configs, which config holds which name, and the emergency stop.

use std::{sync::Arc, time::Duration};

use futures::{TryStreamExt, stream::BoxStream};
use proto_msgs::{
    Config, ConfigId, Envelope, Revision, Sequence, api::NameReservation, config::Control, subject::Subjects,
};

use crate::{
    error::LogError,
    journal::{Entry, Journal, LiveEntry, Place},
    ports::{Select, Streams},
};

/// A name reserved this long ago for a config that never came, or that bears another by now, is free again: saving one
/// takes seconds.
const RESERVATION_LAPSES: Duration = Duration::from_secs(60);
/// A marker in place of a config or name goes after this: by then nobody expects the sequence before it.
const MARKER_STAYS: Duration = Duration::from_secs(24 * 3600);

/// The configs of this installation. A config's revision is its sequence in the store.
#[derive(Clone)]
pub struct Configs {
    journal: Journal,
    subjects: Subjects,
}

impl Configs {
    pub(crate) fn new(streams: Arc<dyn Streams>, subjects: Subjects) -> Self {
        Self { journal: Journal::new(streams), subjects }
    }

    fn stream(&self) -> String {
        self.subjects.bucket_stream(&self.subjects.configs_bucket())
    }

    /// All of them, those marked deleted among them.
    pub async fn list(&self) -> Result<Vec<Entry<Config>>, LogError> {
        self.journal.read(&self.stream(), &self.subjects.configs(), Select::NewestPerSubject).await?.try_collect().await
    }

    pub async fn get(&self, id: &ConfigId) -> Result<Option<Entry<Config>>, LogError> {
        self.journal.head(&self.stream(), &self.subjects.config(id)).await
    }

    /// Writes a config, if `expected` is still its revision; `Revision(0)`: it must not exist.
    pub async fn put(&self, envelope: &Envelope<Config>, expected: Revision) -> Result<Revision, LogError> {
        let place = Place::new(self.stream(), self.subjects.config(&envelope.body.id));
        self.journal.append(place, envelope, Sequence(expected.0)).await.map(|sequence| Revision(sequence.0))
    }

    /// All of them, and where the store ended before they were read: for [`Self::put_at`].
    pub async fn survey(&self) -> Result<(Vec<Entry<Config>>, Sequence), LogError> {
        self.journal.survey(&self.stream(), &self.subjects.configs()).await
    }

    /// Writes a config as [`Self::put`] does, if nothing was stored since a survey; none: something was. For what has to
    /// hold between configs.
    pub async fn put_at(
        &self,
        envelope: &Envelope<Config>,
        expected: Revision,
        end: Sequence,
    ) -> Result<Option<Revision>, LogError> {
        let id = &envelope.body.id;
        let place = Place::new(self.stream(), self.subjects.config(id)).at(end);
        match self.journal.append(place, envelope, Sequence(expected.0)).await {
            Ok(sequence) => Ok(Some(Revision(sequence.0))),
            Err(LogError::Conflict) => {
                let is = self.get(id).await?.map_or(Revision(0), |entry| Revision(entry.sequence.0));
                if is == expected { Ok(None) } else { Err(LogError::Conflict) }
            }
            Err(error) => Err(error),
        }
    }

    pub async fn follow(&self) -> Result<BoxStream<'static, LiveEntry<Config>>, LogError> {
        self.journal.follow(&self.subjects.live_configs()).await
    }

    /// The emergency stop, from the store's leader. None: nothing was ever stopped.
    pub async fn control(&self) -> Result<Option<Entry<Control>>, LogError> {
        self.journal.head(&self.stream(), &self.subjects.control()).await
    }

    /// Stops everything or lets it go on, if `expected` is still the revision; `Revision(0)`: it was never done.
    pub async fn put_control(&self, envelope: &Envelope<Control>, expected: Revision) -> Result<Revision, LogError> {
        let place = Place::new(self.stream(), self.subjects.control());
        self.journal.append(place, envelope, Sequence(expected.0)).await.map(|sequence| Revision(sequence.0))
    }

    pub async fn follow_control(&self) -> Result<BoxStream<'static, LiveEntry<Control>>, LogError> {
        self.journal.follow(&self.subjects.live_control()).await
    }

    /// Takes a name for a config. [`LogError::Conflict`]: another one holds it. Whoever gives a config another name
    /// leaves the old one to lapse: a release could come so late that it takes the name from its next holder.
    pub async fn reserve_name(&self, name: &str, envelope: &Envelope<NameReservation>) -> Result<(), LogError> {
        let subject = self.subjects.config_name(name);
        let (held, sequence) = self.journal.head_or_marker::<NameReservation>(&self.stream(), &subject).await?;
        if let Some(held) = held
            && held.envelope.body.config != envelope.body.config
            && !self.is_lapsed(name, &held, envelope).await?
        {
            return Err(LogError::Conflict);
        }
        self.journal.append(Place::new(self.stream(), subject), envelope, sequence).await.map(drop)
    }

    /// Gives a name back, if this config still holds it.
    pub async fn release_name(&self, name: &str, envelope: &Envelope<NameReservation>) -> Result<(), LogError> {
        let subject = self.subjects.config_name(name);
        match self.journal.head::<NameReservation>(&self.stream(), &subject).await? {
            Some(held) if held.envelope.body.config == envelope.body.config => {
                let place = Place::new(self.stream(), subject);
                self.journal.delete(place, envelope.correlation_id, held.sequence, MARKER_STAYS).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes a config out of the store, after its records were removed.
    pub async fn forget(&self, envelope: &Envelope<Config>, expected: Revision) -> Result<(), LogError> {
        let place = Place::new(self.stream(), self.subjects.config(&envelope.body.id));
        self.journal.delete(place, envelope.correlation_id, Sequence(expected.0), MARKER_STAYS).await
    }

    async fn is_lapsed(
        &self,
        name: &str,
        held: &Entry<NameReservation>,
        by: &Envelope<NameReservation>,
    ) -> Result<bool, LogError> {
        let is_old = by.time.since(held.time) > RESERVATION_LAPSES;
        Ok(match self.get(&held.envelope.body.config).await? {
            Some(holder) if holder.envelope.body.spec.name == name => holder.envelope.body.deleted,
            Some(holder) => holder.envelope.body.deleted || is_old,
            None => is_old,
        })
    }
}
