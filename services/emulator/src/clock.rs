//! The emulator's clock: the host's, moved by what the admin listener says.
//!
//! Items live by this clock: `created`, `updated`, retention, the phases of delete and recover, and the `Date`
//! header. Tokens and throttle windows go by the host's own clock, so that moving time does not log every client out.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// RFC 9110: `Sun, 06 Nov 1994 08:49:37 GMT`.
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Tells the time.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    offset_ms: AtomicI64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where the emulator's clock is implemented")]
    pub fn new() -> Self {
        Self { started: Instant::now(), offset_ms: AtomicI64::new(0) }
    }

    /// Milliseconds since 1970 by the emulator's clock.
    pub fn now_ms(&self) -> i64 {
        self.host_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    /// Seconds since 1970 by the emulator's clock.
    pub fn now(&self) -> i64 {
        self.now_ms().div_euclid(1_000)
    }

    /// Seconds since 1970 by the host's clock.
    pub fn host(&self) -> i64 {
        self.host_ms().div_euclid(1_000)
    }

    /// Milliseconds since the emulator started; never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is where the emulator's clock is implemented")]
    pub fn monotonic_ms(&self) -> u64 {
        u64::try_from(Instant::now().duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// By how much the emulator's clock is ahead of the host's.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the emulator's clock.
    pub fn set_offset_ms(&self, offset: i64) {
        self.offset_ms.store(offset, Ordering::Relaxed);
    }

    /// The `Date` header.
    pub fn http_date(&self) -> String {
        OffsetDateTime::from_unix_timestamp(self.now())
            .ok()
            .and_then(|now| now.format(HTTP_DATE).ok())
            .unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the emulator's clock is implemented")]
    fn host_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis());
        // A host whose clock is before 1970 gets 1970.
        since.map_or(0, |millis| i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_the_clock_moves_items_but_not_the_host() {
        let clock = Clock::new();
        clock.set_offset_ms(90 * 86_400_000);
        assert!(clock.now() - clock.host() >= 90 * 86_400 - 1);
        assert!(clock.http_date().ends_with(" GMT"));
    }
}
