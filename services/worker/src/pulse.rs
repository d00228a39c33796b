//! Whether this worker hears its own heartbeats come back.
//!
//! A beat that came back says that NATS could be reached when it was sent, and that what was published before it, a
//! stop among it, has arrived. What counts is when it was sent: after a suspension, old beats arrive late.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::timing::STOPS_WITHIN;
use runtime::BootTime;

/// Beats on their way: older ones would come back too late to count.
const ON_THEIR_WAY: usize = 8;

/// What is known of the worker's own heartbeats.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sent: VecDeque<(u64, BootTime)>,
    /// When the newest beat that came back was sent.
    felt: Option<BootTime>,
}

impl Pulse {
    /// A beat is about to be sent.
    pub(crate) fn sent(&self, beat: u64, now: BootTime) {
        let mut state = self.lock();
        if state.sent.len() == ON_THEIR_WAY {
            state.sent.pop_front();
        }
        state.sent.push_back((beat, now));
    }

    /// A beat came back.
    pub(crate) fn heard(&self, beat: u64) {
        let mut state = self.lock();
        while let Some((_, at)) = state.sent.front().copied().filter(|(sent, _)| *sent <= beat) {
            state.sent.pop_front();
            state.felt = Some(at);
        }
    }

    pub(crate) fn is_felt(&self, now: BootTime) -> bool {
        self.lock().felt.is_some_and(|felt| now - felt < STOPS_WITHIN)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> BootTime {
        BootTime::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_beat_counts_from_when_it_was_sent() {
        let pulse = Pulse::default();
        assert!(!pulse.is_felt(at(0)));
        pulse.sent(1, at(0));
        pulse.sent(2, at(1));
        assert!(!pulse.is_felt(at(1)));
        pulse.heard(1);
        assert!(pulse.is_felt(at(4)));
        assert!(!pulse.is_felt(at(5)));
        pulse.heard(2);
        assert!(pulse.is_felt(at(5)));
    }

    #[test]
    fn a_beat_that_was_not_sent_or_came_back_already_changes_nothing() {
        let pulse = Pulse::default();
        pulse.sent(2, at(1));
        pulse.heard(1);
        assert!(!pulse.is_felt(at(1)));
        pulse.heard(2);
        pulse.sent(3, at(9));
        pulse.heard(2);
        assert!(!pulse.is_felt(at(9)));
    }
}
