//! Exponential pauses with full jitter.

use std::time::Duration;

use crate::base::rng::Rng;

/// Pauses between attempts: each drawn evenly from zero to a ceiling that doubles up to `longest`.
#[derive(Clone, Debug)]
pub struct Backoff {
    ceiling: Duration,
    longest: Duration,
    rng: Rng,
}

impl Backoff {
    /// The first pause is at most `first`, none is longer than `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration, rng: Rng) -> Self {
        Self { ceiling: first, longest, rng }
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.rng.jitter(self.ceiling);
        self.ceiling = (self.ceiling * 2).min(self.longest);
        pause
    }
}
