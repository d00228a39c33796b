//! Azure's limits: so many calls in any ten seconds, per vault, and five times that per subscription.
//!
//! Calls on keys are weighted, and the limit holds for their sum: a call on an RSA-4096 key in an HSM costs as much as
//! sixteen on an RSA-2048 one in software. A call that is refused does not count toward the limit. Time is the host's
//! monotonic clock, in milliseconds. Deliberately absent: limits of the management plane, which nothing here comes near.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::keyspec::{KeyShape, Strength};

/// Azure counts calls over this long.
const WINDOW_MS: u64 = 10_000;
/// A subscription may call as much as this many vaults together.
const SUBSCRIPTION_FACTOR: u32 = 5;

/// What is limited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Secret create, certificate import, key import.
    Creating,
    /// Everything else that names no key.
    Other,
    KeyCreate,
    /// Every other call that names a key.
    KeyUse,
}

impl Bucket {
    const COUNT: usize = 4;

    /// What may be spent in ten seconds.
    const fn limit(self) -> u32 {
        match self {
            Self::Creating => 300,
            Self::Other | Self::KeyUse => 4_000,
            Self::KeyCreate => 20,
        }
    }
}

/// What one call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    pub bucket: Bucket,
    cost: u32,
}

impl Charge {
    pub const CREATING: Self = Self { bucket: Bucket::Creating, cost: 1 };
    pub const OTHER: Self = Self { bucket: Bucket::Other, cost: 1 };

    /// To make a key: Azure allows 20 in software, 10 in an HSM.
    pub const fn key_create(hsm: bool) -> Self {
        Self { bucket: Bucket::KeyCreate, cost: if hsm { 2 } else { 1 } }
    }

    /// To do anything else with a key: Azure allows 4,000, 1,000 or 500 calls by its strength, half of that in an HSM. One
    /// that is not there costs what an ordinary one does.
    pub fn key_use(shape: Option<KeyShape>) -> Self {
        let cost = match shape.map_or(Strength::Ordinary, KeyShape::strength) {
            Strength::Ordinary => 1,
            Strength::Rsa3072 => 4,
            Strength::Rsa4096 => 8,
        };
        Self { bucket: Bucket::KeyUse, cost: if shape.is_some_and(|shape| shape.hsm) { 2 * cost } else { cost } }
    }
}

/// The windows of one vault or subscription, by bucket.
#[derive(Debug, Default)]
pub struct Throttle([Mutex<Window>; Bucket::COUNT]);

impl Throttle {
    /// Counts a call toward the vault and its subscription, or says in how many milliseconds there is room again.
    pub fn take(vault: &Self, subscription: &Self, charge: Charge, now_ms: u64) -> Result<(), u64> {
        let Charge { bucket, cost } = charge;
        let mut own = vault.0[bucket as usize].lock();
        let mut shared = subscription.0[bucket as usize].lock();
        own.room(cost, bucket.limit(), now_ms)?;
        shared.room(cost, bucket.limit() * SUBSCRIPTION_FACTOR, now_ms)?;
        own.spend(cost, now_ms);
        shared.spend(cost, now_ms);
        Ok(())
    }
}

/// What was spent in the last ten seconds.
#[derive(Debug, Default)]
struct Window {
    /// When, and how much, oldest first.
    spent: VecDeque<(u64, u32)>,
    sum: u32,
}

impl Window {
    /// Whether `cost` may be spent now, or in how many milliseconds it may.
    fn room(&mut self, cost: u32, limit: u32, now_ms: u64) -> Result<(), u64> {
        while let Some((_, old)) = self.spent.front().copied().filter(|(at, _)| at + WINDOW_MS <= now_ms) {
            self.spent.pop_front();
            self.sum -= old;
        }
        let mut sum = self.sum;
        for (at, old) in &self.spent {
            if sum + cost <= limit {
                break;
            }
            sum -= old;
            if sum + cost <= limit {
                return Err(at + WINDOW_MS - now_ms);
            }
        }
        Ok(())
    }

    fn spend(&mut self, cost: u32, now_ms: u64) {
        self.spent.push_back((now_ms, cost));
        self.sum += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Curve, KeySpec};

    #[test]
    fn the_window_slides_and_refusals_do_not_count() {
        let (vault, subscription) = (Throttle::default(), Throttle::default());
        let take = |now| Throttle::take(&vault, &subscription, Charge::CREATING, now);
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
            .filter(|vault| Throttle::take(vault, &subscription, Charge::CREATING, 0).is_ok())
            .count();
        assert_eq!(taken, 1_500);
    }

    #[test]
    fn buckets_do_not_share_windows() {
        let (vault, subscription) = (Throttle::default(), Throttle::default());
        let charges = [Charge::CREATING, Charge::OTHER, Charge::key_create(false), Charge::key_use(None)];
        for charge in charges {
            let taken = (0..5_000).filter(|_| Throttle::take(&vault, &subscription, charge, 0).is_ok()).count();
            assert_eq!(taken, charge.bucket.limit() as usize, "{charge:?}");
        }
    }

    #[test]
    fn every_kind_of_key_has_the_limit_that_azure_documents() {
        let rsa = |bits| KeySpec::Rsa { bits };
        for (spec, hsm, limit) in [
            (rsa(2_048), false, 4_000),
            (KeySpec::Ec { curve: Curve::P521 }, true, 2_000),
            (rsa(3_072), false, 1_000),
            (rsa(3_072), true, 500),
            (rsa(4_096), false, 500),
            (rsa(4_096), true, 250),
        ] {
            let (vault, subscription) = (Throttle::default(), Throttle::default());
            let charge = Charge::key_use(Some(KeyShape { spec, hsm }));
            let taken = (0..5_000).filter(|_| Throttle::take(&vault, &subscription, charge, 0).is_ok()).count();
            assert_eq!(taken, limit, "{spec:?}, hsm {hsm}");
        }
    }

    /// Azure's own example: 248 calls on an RSA-4096 key and 16 on an RSA-2048 key, both in an HSM.
    #[test]
    fn keys_of_different_cost_are_limited_by_their_sum() {
        let (vault, subscription) = (Throttle::default(), Throttle::default());
        let take = |bits| {
            let charge = Charge::key_use(Some(KeyShape { spec: KeySpec::Rsa { bits }, hsm: true }));
            Throttle::take(&vault, &subscription, charge, 0)
        };
        assert!((0..248).all(|_| take(4_096).is_ok()));
        assert!((0..16).all(|_| take(2_048).is_ok()));
        assert_eq!((take(4_096), take(2_048)), (Err(WINDOW_MS), Err(WINDOW_MS)));
    }
}
