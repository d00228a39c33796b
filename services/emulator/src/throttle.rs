//! Azure's limits: so many calls in any ten seconds, per vault, and five times that per subscription.
//!
//! A call that is refused does not count toward the limit. Time is the host's monotonic clock, in milliseconds.
//! Deliberately absent: limits of the management plane, which nothing here comes near.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Azure counts calls over this long.
const WINDOW_MS: u64 = 10_000;
/// A subscription may call as much as this many vaults together.
const SUBSCRIPTION_FACTOR: usize = 5;

/// What is limited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Secret create, certificate import, key import.
    Creating,
    Other,
    KeyCreate {
        hsm: bool,
    },
    /// By the strength of the key: RSA-2048 and EC, RSA-3072, RSA-4096.
    KeyUse {
        hsm: bool,
        strength: Strength,
    },
}

/// What the cost of using a key goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    Ordinary,
    Rsa3072,
    Rsa4096,
}

/// Calls in ten seconds, by bucket.
const LIMITS: [usize; 10] = [300, 4_000, 20, 10, 4_000, 2_000, 1_000, 500, 500, 250];

impl Bucket {
    const fn index(self) -> usize {
        match self {
            Self::Creating => 0,
            Self::Other => 1,
            Self::KeyCreate { hsm } => 2 + hsm as usize,
            Self::KeyUse { hsm, strength } => {
                let row = match strength {
                    Strength::Ordinary => 4,
                    Strength::Rsa3072 => 6,
                    Strength::Rsa4096 => 8,
                };
                row + hsm as usize
            }
        }
    }

    const fn limit(self) -> usize {
        LIMITS[self.index()]
    }
}

/// The windows of one vault or subscription.
#[derive(Debug, Default)]
pub struct Throttle([Mutex<VecDeque<u64>>; LIMITS.len()]);

impl Throttle {
    /// Counts a call toward the vault and its subscription, or says in how many milliseconds there is room again.
    pub fn take(vault: &Self, subscription: &Self, bucket: Bucket, now_ms: u64) -> Result<(), u64> {
        let mut own = vault.0[bucket.index()].lock();
        let mut shared = subscription.0[bucket.index()].lock();
        room(&mut own, bucket.limit(), now_ms)?;
        room(&mut shared, bucket.limit() * SUBSCRIPTION_FACTOR, now_ms)?;
        own.push_back(now_ms);
        shared.push_back(now_ms);
        Ok(())
    }
}

fn room(window: &mut VecDeque<u64>, limit: usize, now_ms: u64) -> Result<(), u64> {
    while window.front().is_some_and(|at| at + WINDOW_MS <= now_ms) {
        window.pop_front();
    }
    match window.front() {
        Some(oldest) if window.len() >= limit => Err(oldest + WINDOW_MS - now_ms),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_and_refusals_do_not_count() {
        let (vault, subscription) = (Throttle::default(), Throttle::default());
        let take = |now| Throttle::take(&vault, &subscription, Bucket::Creating, now);
        for call in 0..300 {
            assert_eq!(take(call), Ok(()), "call {call}");
        }
        for _ in 0..1_000 {
            assert_eq!(take(500), Err(9_500));
        }
        assert_eq!(take(10_000), Ok(()));
        assert_eq!(take(10_000), Err(1));
    }

    #[test]
    fn a_subscription_has_five_times_a_vault() {
        let subscription = Throttle::default();
        let vaults: Vec<_> = (0..6).map(|_| Throttle::default()).collect();
        let taken = vaults
            .iter()
            .flat_map(|vault| (0..300).map(move |_| vault))
            .filter(|vault| Throttle::take(vault, &subscription, Bucket::Creating, 0).is_ok())
            .count();
        assert_eq!(taken, 1_500);
    }

    #[test]
    fn buckets_do_not_share_windows() {
        let buckets = [
            Bucket::Creating,
            Bucket::Other,
            Bucket::KeyCreate { hsm: false },
            Bucket::KeyCreate { hsm: true },
            Bucket::KeyUse { hsm: false, strength: Strength::Ordinary },
            Bucket::KeyUse { hsm: true, strength: Strength::Ordinary },
            Bucket::KeyUse { hsm: false, strength: Strength::Rsa3072 },
            Bucket::KeyUse { hsm: true, strength: Strength::Rsa3072 },
            Bucket::KeyUse { hsm: false, strength: Strength::Rsa4096 },
            Bucket::KeyUse { hsm: true, strength: Strength::Rsa4096 },
        ];
        for (place, bucket) in buckets.into_iter().enumerate() {
            assert_eq!(bucket.index(), place);
        }
        assert_eq!(Bucket::KeyUse { hsm: true, strength: Strength::Rsa4096 }.limit(), 250);
    }
}
