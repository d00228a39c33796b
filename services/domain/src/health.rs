//! Whether a vault is worth calling: where calls fail alike again and again, one probe now and then decides for all.
//!
//! What fails for reasons of one item says that the vault is well. Throttling has its own rules, in [`crate::pacing`].

use std::time::Duration;

use proto_msgs::ErrorCode;

use crate::timing::OUTCOME_TIMER;

/// Failures alike and in a row after which a vault is held.
pub const ALIKE_MAX: u32 = 5;
/// Waits before the probes of a held vault; the last one repeats.
const PROBES: [Duration; 4] =
    [Duration::from_secs(60), Duration::from_secs(120), Duration::from_secs(300), Duration::from_secs(900)];

/// How one vault fares. Times are of one clock that only goes forward.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What the last calls failed with, and how many in a row.
    alike: Option<(ErrorCode, u32)>,
    held: Option<Held>,
}

/// A vault to which nothing is dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub code: ErrorCode,
    pub since: Duration,
    /// When the next probe is due.
    pub probe_at: Duration,
    probes: usize,
    probing: Option<Duration>,
}

/// What may be dispatched to a vault now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Go,
    /// One attempt, and it is told to [`Health::probe`].
    Probe,
    /// Nothing until then, or until an outcome is heard.
    Wait(Duration),
}

impl Health {
    pub fn turn(&self, now: Duration) -> Turn {
        match &self.held {
            None => Turn::Go,
            // A probe whose outcome is not heard is lost.
            Some(Held { probing: Some(since), .. }) if now < *since + OUTCOME_TIMER => {
                Turn::Wait(*since + OUTCOME_TIMER)
            }
            Some(held) if now < held.probe_at => Turn::Wait(held.probe_at),
            Some(_) => Turn::Probe,
        }
    }

    /// The one attempt is on its way.
    pub fn probe(&mut self, now: Duration) {
        if let Some(held) = &mut self.held {
            held.probing = Some(now);
        }
    }

    /// A call was answered as it should be.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// An attempt failed. True: the vault is held from now on.
    pub fn failed(&mut self, code: ErrorCode, now: Duration) -> bool {
        if !speaks_of_the_vault(code) {
            if code != ErrorCode::Throttled {
                self.answered();
            }
            return false;
        }
        if let Some(held) = &mut self.held {
            // Others that were on their way when it was held say nothing new.
            if held.probing.take().is_some() {
                held.probes += 1;
                (held.code, held.probe_at) = (code, now + wait(held.probes));
            }
            return false;
        }
        let count = self.alike.filter(|(last, _)| *last == code).map_or(0, |(_, count)| count) + 1;
        self.alike = Some((code, count));
        if count < ALIKE_MAX {
            return false;
        }
        self.held = Some(Held { code, since: now, probe_at: now + wait(0), probes: 0, probing: None });
        true
    }

    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }
}

fn wait(probes: usize) -> Duration {
    PROBES[probes.min(PROBES.len() - 1)]
}

/// Whether a failure would meet every other item too.
fn speaks_of_the_vault(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::SourceAuthFailed
            | ErrorCode::TargetAuthFailed
            | ErrorCode::SourceNetworkDenied
            | ErrorCode::TargetNetworkDenied
            | ErrorCode::TransientNetwork
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    fn held_at(now: Duration) -> Health {
        let mut health = Health::default();
        for _ in 0..ALIKE_MAX {
            health.failed(ErrorCode::TransientNetwork, now);
        }
        health
    }

    #[test]
    fn five_failures_alike_in_a_row_hold_a_vault() {
        let mut health = Health::default();
        for code in [ErrorCode::TransientNetwork, ErrorCode::TargetAuthFailed] {
            for _ in 1..ALIKE_MAX {
                assert!(!health.failed(code, Duration::ZERO));
            }
        }
        assert_eq!(health.turn(Duration::ZERO), Turn::Go);
        assert!(health.failed(ErrorCode::TargetAuthFailed, Duration::ZERO));
        assert_eq!(health.turn(Duration::ZERO), Turn::Wait(minutes(1)));
    }

    #[test]
    fn a_held_vault_is_probed_after_1_2_5_and_15_minutes_one_at_a_time() {
        let (mut health, mut now) = (held_at(Duration::ZERO), Duration::ZERO);
        for wait in [1, 2, 5, 15, 15] {
            assert_eq!(health.turn(now), Turn::Wait(now + minutes(wait)));
            now += minutes(wait);
            assert_eq!(health.turn(now), Turn::Probe);
            health.probe(now);
            assert_eq!(health.turn(now), Turn::Wait(now + OUTCOME_TIMER));
            health.failed(ErrorCode::TransientNetwork, now);
        }
    }

    #[test]
    fn a_probe_that_succeeds_ends_the_hold_and_a_lost_one_is_sent_again() {
        let mut health = held_at(Duration::ZERO);
        health.probe(minutes(1));
        assert_eq!(health.turn(minutes(1) + OUTCOME_TIMER), Turn::Probe);
        health.answered();
        assert_eq!((health.turn(minutes(1)), health.held()), (Turn::Go, None));
    }

    #[test]
    fn what_fails_for_an_item_of_its_own_shows_that_the_vault_is_well() {
        let mut health = Health::default();
        for _ in 0..ALIKE_MAX {
            health.failed(ErrorCode::TransientNetwork, Duration::ZERO);
            health.failed(ErrorCode::TargetRejected, Duration::ZERO);
        }
        assert_eq!(health.turn(Duration::ZERO), Turn::Go);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_held_vault_gets_nothing_but_probes(events in prop::collection::vec((0u64..2_000, 0u8..3), 1..60)) {
            let (mut health, mut now) = (held_at(Duration::ZERO), Duration::ZERO);
            for (passed, event) in events {
                now += Duration::from_secs(passed);
                match (event, health.turn(now)) {
                    (0, Turn::Probe) => health.probe(now),
                    (1, _) => { health.failed(ErrorCode::TransientNetwork, now); }
                    (_, Turn::Wait(until)) => prop_assert!(until > now),
                    (_, Turn::Probe) => {}
                    (_, Turn::Go) => prop_assert!(false, "nothing succeeded"),
                }
            }
        }
    }
}
