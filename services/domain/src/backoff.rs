//! When a transient failure is tried again.

use std::time::Duration;

use proto_msgs::{ErrorCode, Recoverability};

/// Attempts in a row before a record goes to somebody's attention.
pub const ATTEMPTS_MAX: u32 = 8;
/// Azure's own advice for a throttled caller starts here and doubles.
const BASE: Duration = Duration::from_secs(1);
/// A run should notice a mended fault soon.
const CAP: Duration = Duration::from_secs(60);
/// After records failed for good, they are looked at again after these, one follow-up run after the other.
const FOLLOW_UPS: [Duration; 3] =
    [Duration::from_secs(15 * 60), Duration::from_secs(30 * 60), Duration::from_secs(60 * 60)];
/// Longest that is waited because a server asked for it: an hour by mistake must not be an hour without copies.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How long to wait after `attempt` failed attempts in a row (1: the first failed); none: give up.
///
/// Exponential with full jitter: anywhere between nothing and the bound, so that many records that failed together do
/// not come back together. `jitter` is in 0..1. A server's `Retry-After` is the least that is waited.
pub fn delay(attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let bound = BASE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(CAP);
    let jittered = bound.mul_f64(jitter.clamp(0.0, 1.0));
    Some(jittered.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

/// How long after a run the next follow-up run starts, after `done` of them in a row; none: the next cycle is soon enough.
///
/// Only where records ran out of attempts: what needs an operator has its attempt each cycle.
pub fn follow_up(done: u32, until_next_cycle: Duration) -> Option<Duration> {
    let wait = *FOLLOW_UPS.get(usize::try_from(done).unwrap_or(usize::MAX))?;
    (wait < until_next_cycle).then_some(wait)
}

/// Whether a failure is one that a follow-up run may find mended: its attempts ran out.
pub fn ran_out(code: ErrorCode, attempt: u32) -> bool {
    attempt >= ATTEMPTS_MAX && code.recoverability() == Recoverability::Auto
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_eighth_failure_is_the_last() {
        assert!(delay(ATTEMPTS_MAX - 1, None, 0.5).is_some());
        assert_eq!(delay(ATTEMPTS_MAX, None, 0.5), None);
    }

    #[test]
    fn after_eight_attempts_runs_follow_after_15_30_and_60_minutes() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let waits: Vec<_> = (0..4).map(|done| follow_up(done, minutes(24 * 60))).collect();
        assert_eq!(waits, [Some(minutes(15)), Some(minutes(30)), Some(minutes(60)), None]);
        assert_eq!(follow_up(1, minutes(20)), None, "the next cycle is sooner");
        assert!(
            ran_out(ErrorCode::TransientNetwork, ATTEMPTS_MAX) && !ran_out(ErrorCode::TargetRejected, ATTEMPTS_MAX)
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bound_and_not_before_retry_after(attempt in 1..ATTEMPTS_MAX, jitter in 0.0..1.0f64, asked in 0u64..400) {
            let wait = delay(attempt, Some(Duration::from_secs(asked)), jitter).unwrap();
            prop_assert!(wait >= Duration::from_secs(asked).min(RETRY_AFTER_MAX));
            prop_assert!(wait <= CAP.max(Duration::from_secs(asked).min(RETRY_AFTER_MAX)));
        }
    }
}
