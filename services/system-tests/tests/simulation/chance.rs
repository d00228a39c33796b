//! Seeded chance: every choice of a simulation comes from here.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

pub struct Chance(StdRng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// 0..bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, share: u32) -> bool {
        self.0.random_range(0..1_000) < share
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.0.random_range(from..=to))
    }

    pub fn share(&mut self, from: f64, to: f64) -> f64 {
        self.0.random_range(from..to)
    }

    pub fn bits(&mut self) -> u64 {
        self.0.random()
    }
}
