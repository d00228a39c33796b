//! When a transient failure is tried again.

use std::time::Duration;

/// Attempts in a row before a record goes to somebody's attention.
pub const ATTEMPTS_MAX: u32 = 8;
/// Azure's own advice for a throttled caller starts here and doubles.
const BASE: Duration = Duration::from_secs(1);
/// A run should notice a mended fault soon.
const CAP: Duration = Duration::from_secs(60);
/// Longest that is waited because a server asked for it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_eighth_failure_is_the_last() {
        assert!(delay(ATTEMPTS_MAX - 1, None, 0.5).is_some());
        assert_eq!(delay(ATTEMPTS_MAX, None, 0.5), None);
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
