//! How many items one entry of an estate stands for.
//!
//! Checked while it is read, so that a refusal has the line.

use serde::{Deserialize, Deserializer, de::Error};

/// Most items one entry may stand for; more does not fit one vault's listing in reasonable time.
const MAX: u32 = 1_000_000;

/// One or more, and not too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(u32);

impl Count {
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = i128::deserialize(deserializer)?;
        match u32::try_from(given) {
            Ok(count) if (1..=MAX).contains(&count) => Ok(Self(count)),
            _ => Err(D::Error::custom(format!(
                "count is 1 to {MAX}, not {given}: give a number within that, or leave the entry out"
            ))),
        }
    }
}
