//! How often a config runs, as people write it: `5m`, `90m`, `24h`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::ids::text_serde;

/// A cadence between 5 minutes and 24 hours, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

/// A cadence that is not one, or outside the bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an interval: write a whole number and s, m or h, from 5m to 24h")]
pub struct InvalidInterval {
    given: String,
}

impl Interval {
    /// Below this, listing a large vault would take more of Azure's budget than the sync itself.
    pub const MIN: Self = Self(Duration::from_secs(300));
    /// Above this, "continuous" would be a lie.
    pub const MAX: Self = Self(Duration::from_secs(24 * 3600));

    pub fn as_duration(self) -> Duration {
        self.0
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self::MAX
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds % 3600, seconds % 60) {
            (0, _) => write!(f, "{}h", seconds / 3600),
            (_, 0) => write!(f, "{}m", seconds / 60),
            _ => write!(f, "{seconds}s"),
        }
    }
}

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, InvalidInterval> {
        let invalid = || InvalidInterval { given: text.chars().take(32).collect() };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| invalid())?;
        let unit = match &text[digits..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(invalid()),
        };
        let interval = Self(Duration::from_secs(number.checked_mul(unit).ok_or_else(invalid)?));
        (Self::MIN..=Self::MAX).contains(&interval).then_some(interval).ok_or_else(invalid)
    }
}

text_serde!(Interval);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["5m", "300s", "301s", "90m", "1h", "24h"] {
            let interval: Interval = text.parse().unwrap();
            assert_eq!(interval.to_string().parse::<Interval>(), Ok(interval));
        }
    }

    #[test]
    fn what_is_out_of_bounds_or_no_interval_is_refused() {
        for bad in
            ["", "5", "m", "4m", "25h", "-5m", "1.5h", "5 m", "5min", "99999999999999999999h", "18446744073709551615h"]
        {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
