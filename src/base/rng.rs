//! Seedable randomness, handed down from the composition root.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// A shared, seedable source of randomness. Cloning shares the stream.
#[derive(Clone, Debug)]
pub struct Rng(Arc<Mutex<ChaCha8Rng>>);

impl Rng {
    /// The same seed gives the same stream, on every machine.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// A stream seeded by the operating system.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that takes unseeded randomness")]
    pub fn from_entropy() -> Self {
        Self::from_seed(Uuid::new_v4().as_u64_pair().0)
    }

    /// Sixty-four random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        // A poisoned lock only means another thread panicked between two draws: the state is still valid.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next_u64()
    }

    /// A number in `0..bound`; `0` when `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// A number in `[0, 1)`.
    #[must_use]
    pub fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether an event of probability `probability` happens.
    #[must_use]
    pub fn chance(&self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let (high, low) = (self.next_u64(), self.next_u64());
        uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes()).into_uuid()
    }

    /// A duration drawn evenly from `[0, limit)`.
    #[must_use]
    pub fn jitter(&self, limit: Duration) -> Duration {
        limit.mul_f64(self.unit())
    }
}
