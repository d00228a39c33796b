//! The emergency stop, as this coordinator knows it.
//!
//! Followed live and read again and again, so that it is known soon after it was pulled and never forgotten. While it
//! may have been missed, nothing begins before it was read. Deliberately absent: pulling it, and
//! the stop of writes that are under way, which is the workers'.

use std::{cell::RefCell, rc::Rc, time::Duration};

use broker::{Entry, LiveEntry};
use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{Sequence, config::Control};
use runtime::BootTime;
use tokio::time::{MissedTickBehavior, interval};

use crate::CoordinatorParts;

/// How often it is looked at whether it has to be read.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It is read again this often, whatever the live feed said.
const READ_EVERY: Duration = Duration::from_secs(10);

/// Whether everything is stopped. Shared by the actors of this process, which all live on one thread.
#[derive(Clone, Default)]
pub(crate) struct Brake(Rc<RefCell<Known>>);

#[derive(Default)]
struct Known {
    newest: Option<(Sequence, Control)>,
    /// When it was last read; none: something may have been missed since.
    read_at: Option<BootTime>,
}

impl Brake {
    /// Why nothing may begin.
    pub(crate) fn reason(&self) -> Option<String> {
        let known = self.0.borrow();
        if known.read_at.is_none() {
            return Some("it is not known yet whether everything is stopped".to_owned());
        }
        let control = known.newest.as_ref().map(|(_, control)| control).filter(|control| control.stopped)?;
        let change = &control.change;
        let why = change.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("{} stopped everything at {}{why}; `keyferry resume-all` ends it", change.actor, change.at))
    }

    /// Whether everything is stopped, as far as is known.
    pub(crate) fn is_pulled(&self) -> bool {
        self.0.borrow().newest.as_ref().is_some_and(|(_, control)| control.stopped)
    }

    /// Whether something may begin: it is known that nothing is stopped.
    pub(crate) fn is_released(&self) -> bool {
        self.0.borrow().read_at.is_some() && !self.is_pulled()
    }

    fn hear(&self, entry: Entry<Control>) {
        let mut known = self.0.borrow_mut();
        if known.newest.as_ref().is_none_or(|(sequence, _)| *sequence < entry.sequence) {
            let control = entry.envelope.body;
            tracing::warn!(stopped = control.stopped, actor = control.change.actor, "the emergency stop was changed");
            known.newest = Some((entry.sequence, control));
        }
    }

    fn missed(&self) {
        self.0.borrow_mut().read_at = None;
    }

    fn is_to_be_read(&self, now: BootTime) -> bool {
        self.0.borrow().read_at.is_none_or(|at| now - at >= READ_EVERY)
    }

    fn read(&self, entry: Option<Entry<Control>>, now: BootTime) {
        if let Some(entry) = entry {
            self.hear(entry);
        }
        self.0.borrow_mut().read_at = Some(now);
    }
}

/// Keeps the brake as the store has it, until the subscription ends.
pub(crate) async fn follow(parts: CoordinatorParts, brake: Brake, mut heard: BoxStream<'static, LiveEntry<Control>>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            change = heard.next() => match change {
                Some(LiveEntry::Entry(entry)) => brake.hear(entry),
                Some(LiveEntry::Gap) => {
                    brake.missed();
                    looks.reset_immediately();
                }
                None => return,
            },
            _ = looks.tick() => {
                let now = parts.origin.boot();
                if brake.is_to_be_read(now) {
                    match parts.broker.configs().control().await {
                        Ok(control) => brake.read(control, now),
                        Err(error) => tracing::warn!(error = %error, "the emergency stop could not be read"),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto_msgs::{CorrelationId, Envelope, MessageId, Timestamp, config::Change};

    fn entry(sequence: u64, stopped: bool) -> Entry<Control> {
        let change = Change {
            actor: "ann".to_owned(),
            action: "stop_all".to_owned(),
            reason: Some("smoke".to_owned()),
            correlation_id: CorrelationId::from_random(1),
            at: Timestamp::default(),
        };
        let control = Control { stopped, change };
        let envelope =
            Envelope::new(MessageId::from_random(1), CorrelationId::from_random(1), Timestamp::default(), control);
        Entry { envelope, sequence: Sequence(sequence), time: Timestamp::default() }
    }

    #[test]
    fn nothing_begins_before_the_stop_was_read_and_again_after_a_gap() {
        let brake = Brake::default();
        assert!(!brake.is_released());
        brake.read(None, BootTime::default());
        assert!(brake.is_released() && brake.reason().is_none());
        brake.missed();
        assert!(!brake.is_released() && brake.reason().is_some());
    }

    #[test]
    fn the_newest_word_counts_whichever_way_it_came_and_says_who_and_why() {
        let brake = Brake::default();
        brake.read(None, BootTime::default());
        brake.hear(entry(7, true));
        brake.read(Some(entry(6, false)), BootTime::default());
        let reason = brake.reason().unwrap();
        assert!(brake.is_pulled() && reason.contains("ann") && reason.contains("smoke"), "{reason}");
        brake.hear(entry(8, false));
        assert!(brake.is_released() && !brake.is_pulled());
    }
}
