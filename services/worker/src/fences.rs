//! What keeps a command out, and a write from beginning.
//!
//! The newest epoch and revision of each config, from the commands that came in and from the configs' live feed; the
//! emergency stop; and whether NATS is heard. One map for the whole worker, not one per actor, so that passivation
//! forgets nothing.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use broker::Entry;
use dashmap::DashMap;
use domain::mutant::{self, Mutant};
use proto_msgs::{Config, ConfigId, Epoch, Revision, config::Control};
use runtime::BootTime;

use crate::{error::RecordError, pulse::Pulse};

/// Refuses commands of earlier owners and of earlier edits, and closes the gate of attempts that began before.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    configs: DashMap<ConfigId, Newest>,
    stop: Mutex<Stop>,
    /// This worker's own heartbeats.
    pub(crate) pulse: Pulse,
    /// How often something may have been missed of the configs' feed, or of the emergency stop's.
    gaps: AtomicU64,
    /// The last of those after which every config and the emergency stop were read.
    read: AtomicU64,
}

/// What is known of the emergency stop.
#[derive(Debug, Clone, Copy, Default)]
struct Stop {
    revision: Revision,
    is_on: bool,
}

/// What is known of a config.
#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    epoch: Epoch,
    revision: Revision,
    is_stopped: bool,
}

/// Whether a config lets nothing be written, whoever owns it: it is deleted or paused.
pub(crate) fn is_stopped(config: &Config) -> bool {
    config.deleted || config.spec.paused
}

impl Fences {
    /// Lets a command in if nothing newer was seen, and remembers it. Both only ever rise: a new owner reads the
    /// config's newest revision when it takes over.
    pub(crate) fn admit(&self, config: &ConfigId, epoch: Epoch, revision: Revision) -> Result<(), RecordError> {
        if mutant::is(Mutant::NoFences) {
            return Ok(());
        }
        let mut newest = self.configs.entry(*config).or_default();
        if epoch < newest.epoch || revision < newest.revision {
            return Err(RecordError::Stale { epoch: newest.epoch, revision: newest.revision });
        }
        // Of a revision that was not heard of yet, its owner's command says that it is not stopped.
        let is_stopped = newest.is_stopped && revision == newest.revision;
        *newest = Newest { epoch, revision, is_stopped };
        Ok(())
    }

    /// Takes in what the feed says of a config.
    pub(crate) fn hear(&self, entry: &Entry<Config>) {
        let (config, revision) = (&entry.envelope.body, Revision(entry.sequence.0));
        let mut newest = self.configs.entry(config.id).or_default();
        if revision >= newest.revision {
            *newest = Newest { epoch: newest.epoch, revision, is_stopped: is_stopped(config) };
        }
    }

    /// Takes in what the feed says of the emergency stop.
    pub(crate) fn hear_control(&self, entry: &Entry<Control>) {
        let (revision, mut stop) = (Revision(entry.sequence.0), self.stop());
        if revision >= stop.revision {
            *stop = Stop { revision, is_on: entry.envelope.body.stopped };
        }
    }

    /// Something of a feed may have been missed: nothing is written until everything was read. Gives a number for
    /// [`Self::read_all`].
    pub(crate) fn missed(&self) -> u64 {
        self.gaps.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Takes every config and the emergency stop in, as read after that gap.
    pub(crate) fn read_all(&self, gap: u64, configs: &[Entry<Config>], control: Option<&Entry<Control>>) {
        configs.iter().for_each(|entry| self.hear(entry));
        control.into_iter().for_each(|entry| self.hear_control(entry));
        self.read.fetch_max(gap, Ordering::AcqRel);
    }

    /// Whether nothing was missed after that gap, so that it is still worth reading every config.
    pub(crate) fn is_newest_gap(&self, gap: u64) -> bool {
        self.gaps.load(Ordering::Acquire) == gap
    }

    /// Whether an attempt of that revision may begin a write now.
    pub(crate) fn may_write(&self, config: &ConfigId, revision: Revision, now: BootTime) -> bool {
        let is_current = mutant::is(Mutant::WriteAfterEdit) || self.is_newest_gap(self.read.load(Ordering::Acquire));
        is_current
            && (self.pulse.is_felt(now) || mutant::is(Mutant::WriteUnheard))
            && !self.is_called_off(config, revision)
    }

    /// Whether somebody edited, paused or deleted the config since that revision, or stopped everything.
    pub(crate) fn is_called_off(&self, config: &ConfigId, revision: Revision) -> bool {
        let is_over = |newest: &Newest| revision < newest.revision || newest.is_stopped;
        let was_changed = || self.configs.get(config).is_some_and(|newest| is_over(&newest));
        self.stop().is_on || (was_changed() && !mutant::is(Mutant::WriteAfterEdit))
    }

    fn stop(&self) -> MutexGuard<'_, Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{config, control, entry};
    use std::time::Duration;

    fn felt() -> Fences {
        let fences = Fences::default();
        fences.pulse.sent(1, BootTime::default());
        fences.pulse.heard(1);
        fences
    }

    #[test]
    fn older_epochs_and_revisions_are_refused_and_equal_ones_let_in() {
        let (fences, config) = (Fences::default(), ConfigId::from_random(1));
        assert!(fences.admit(&config, Epoch(7), Revision(3)).is_ok());
        assert!(fences.admit(&config, Epoch(7), Revision(3)).is_ok());
        assert!(fences.admit(&config, Epoch(6), Revision(4)).is_err());
        assert!(fences.admit(&config, Epoch(8), Revision(2)).is_err());
        assert!(fences.admit(&config, Epoch(8), Revision(3)).is_ok());
        assert!(fences.admit(&ConfigId::from_random(2), Epoch(1), Revision(1)).is_ok());
    }

    #[test]
    fn an_edit_or_a_delete_that_was_heard_of_lets_nothing_more_be_written() {
        let (fences, config, now) = (felt(), config(), BootTime::default());
        fences.admit(&config.id, Epoch(1), Revision(3)).unwrap();
        assert!(fences.may_write(&config.id, Revision(3), now));
        fences.hear(&entry(config.clone(), 4));
        assert!(!fences.may_write(&config.id, Revision(3), now));
        assert!(fences.may_write(&config.id, Revision(4), now));
        assert!(fences.admit(&config.id, Epoch(1), Revision(3)).is_err());
        fences.hear(&entry(Config { deleted: true, ..config.clone() }, 5));
        assert!(!fences.may_write(&config.id, Revision(5), now));
        fences.hear(&entry(config.clone(), 4));
        assert!(!fences.may_write(&config.id, Revision(5), now));
    }

    #[test]
    fn a_pause_that_was_heard_of_lets_nothing_more_be_written_until_it_is_over() {
        let (fences, config, now) = (felt(), config(), BootTime::default());
        let mut paused = config.clone();
        paused.spec.paused = true;
        fences.hear(&entry(paused, 4));
        assert!(!fences.may_write(&config.id, Revision(4), now));
        fences.hear(&entry(config.clone(), 5));
        assert!(fences.may_write(&config.id, Revision(5), now));
    }

    #[test]
    fn the_emergency_stop_holds_for_every_config_and_the_newest_word_counts() {
        let (fences, config, now) = (felt(), config(), BootTime::default());
        let other = ConfigId::from_random(2);
        fences.hear_control(&entry(control(true), 7));
        fences.hear_control(&entry(control(false), 6));
        assert!(!fences.may_write(&config.id, Revision(3), now) && !fences.may_write(&other, Revision(3), now));
        fences.hear_control(&entry(control(false), 8));
        assert!(fences.may_write(&config.id, Revision(3), now));
        fences.read_all(fences.missed(), &[], Some(&entry(control(true), 9)));
        assert!(!fences.may_write(&config.id, Revision(3), now));
    }

    #[test]
    fn nothing_is_written_while_an_edit_may_have_been_missed() {
        let (fences, config, now) = (felt(), config(), BootTime::default());
        let first = fences.missed();
        let second = fences.missed();
        assert!(!fences.may_write(&config.id, Revision(3), now));
        fences.read_all(first, &[], None);
        assert!(!fences.may_write(&config.id, Revision(3), now));
        fences.read_all(second, &[entry(config.clone(), 3)], None);
        assert!(fences.may_write(&config.id, Revision(3), now));
    }

    #[test]
    fn nothing_is_written_while_nats_is_not_heard() {
        let (fences, config) = (felt(), config());
        let late = BootTime::default().plus(Duration::from_secs(6));
        assert!(!fences.may_write(&config.id, Revision(3), late));
    }
}
