//! Clocks: the wall's, and one that also ticks while the machine is suspended.
//!
//! Attempts and leases are timed by [`Clock::boot`]: a laptop that slept, or a virtual machine that was frozen, must not
//! believe that no time went by.

use std::{
    ops::Sub,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proto_msgs::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Time since the machine started, suspension included. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootTime(Duration);

impl BootTime {
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    pub fn as_duration(self) -> Duration {
        self.0
    }
}

impl Sub for BootTime {
    type Output = Duration;

    /// Zero if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    fn boot(&self) -> BootTime;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn boot(&self) -> BootTime {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        BootTime(Duration::new(seconds, nanos))
    }
}

/// Follows tokio's clock, which tests pause; and can be made to jump, as a suspended machine's does.
#[derive(Debug)]
pub struct TokioClock {
    base: Timestamp,
    started: Instant,
    jumped: Mutex<Duration>,
}

impl TokioClock {
    /// Starts at `base`. Needs a tokio runtime.
    pub fn new(base: Timestamp) -> Self {
        Self { base, started: Instant::now(), jumped: Mutex::new(Duration::ZERO) }
    }

    /// Lets `duration` go by at once, unseen by tokio's timers.
    pub fn jump(&self, duration: Duration) {
        *self.jumped() += duration;
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed() + *self.jumped()
    }

    fn jumped(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.jumped.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.base.plus(self.elapsed())
    }

    fn boot(&self) -> BootTime {
        BootTime(self.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back() {
        let (before, after) = (SystemClock.boot(), SystemClock.boot());
        assert!(after >= before);
        assert_eq!(before - after.plus(Duration::from_secs(1)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_moves_only_when_told() {
        let clock = TokioClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let (now, boot) = (clock.now(), clock.boot());
        assert_eq!((clock.now(), clock.boot()), (now, boot));
        tokio::time::advance(Duration::from_secs(2)).await;
        clock.jump(Duration::from_secs(3));
        assert_eq!(clock.now().since(now), Duration::from_secs(5));
        assert_eq!(clock.boot() - boot, Duration::from_secs(5));
    }
}
