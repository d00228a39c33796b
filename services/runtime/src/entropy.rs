//! Where random numbers come from.

use std::sync::Mutex;

use rand::{RngCore, SeedableRng, rngs::StdRng};

/// Random bits, for ids and jitter.
pub trait Entropy: Send + Sync + 'static {
    fn bits(&self) -> u128;
}

/// The thread's own generator, seeded by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bits(&self) -> u128 {
        wide(&mut rand::rng())
    }
}

/// The same numbers for the same seed.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn bits(&self) -> u128 {
        wide(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn wide(rng: &mut impl RngCore) -> u128 {
    u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
}
