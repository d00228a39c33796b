//! A point in time, as the wire and the log write it.
//!
//! Milliseconds since 1970 inside, RFC 3339 text outside, in both encodings: the event feed is read by people too.
//! Absent on purpose: `now`. Time comes in from the process's clock.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::ids::text_serde;

/// Milliseconds since 1970-01-01T00:00:00Z. Key Vault's own times have whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

/// Text that is not an RFC 3339 time, or a time outside the years 1 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time after RFC 3339, like 2026-11-01T10:00:00Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// Years 1 to 9999, which is what the text form can hold.
    const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.clamp(*Self::RANGE.start(), *Self::RANGE.end()))
    }

    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self::from_unix_millis(seconds.saturating_mul(1000))
    }

    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    pub fn plus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    pub fn minus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.pad(&time.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).map(Self).map_err(|_| InvalidTimestamp)
    }
}

text_serde!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree_to_the_millisecond() {
        let time: Timestamp = "2026-11-01T10:00:00.25Z".parse().unwrap();
        assert_eq!(time.unix_millis(), 1_793_527_200_250);
        assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
    }

    #[test]
    fn the_ends_of_the_range_can_be_written() {
        for millis in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_unix_millis(millis);
            assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }
    }
}
