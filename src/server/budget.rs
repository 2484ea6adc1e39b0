//! The byte budget: what all requests of all connections may hold in memory together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that connections share. Cloning shares the budget.
///
/// A connection charges a frame before it reads it, and waits when the budget is spent: then it is not read, the
/// client's socket fills up and the client slows down, which is all the backpressure that Kafka's protocol has.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    semaphore: Arc<Semaphore>,
    bytes_max: u32,
}

/// Bytes taken from a budget; they return when this is dropped.
#[derive(Debug)]
pub struct Charge {
    _permit: OwnedSemaphorePermit,
}

impl ByteBudget {
    /// A budget of `bytes_max` bytes (at most 4 GiB − 1).
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        Self { semaphore: Arc::new(Semaphore::new(bytes_max as usize)), bytes_max }
    }

    /// Waits until `bytes` are free and takes them, in the order of asking. More than the whole budget counts as the
    /// whole of it, so that a large request waits for the others and then goes alone.
    pub async fn charge(&self, bytes: usize) -> Charge {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let permit = Arc::clone(&self.semaphore).acquire_many_owned(permits).await;
        Charge { _permit: permit.expect("the semaphore is never closed") }
    }

    /// Bytes taken now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        (self.bytes_max as usize).saturating_sub(self.semaphore.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn bytes_are_taken_and_given_back() {
        let budget = ByteBudget::new(100);
        let first = budget.charge(60).now_or_never().unwrap();
        assert!(budget.charge(60).now_or_never().is_none());
        assert_eq!(budget.in_use(), 60);
        drop(first);
        assert!(budget.charge(60).now_or_never().is_some());
        assert_eq!(budget.in_use(), 0);
    }

    #[test]
    fn a_request_larger_than_the_budget_goes_alone() {
        let budget = ByteBudget::new(100);
        let all = budget.charge(1_000_000).now_or_never().unwrap();
        assert_eq!(budget.in_use(), 100);
        assert!(budget.charge(1).now_or_never().is_none());
        drop(all);
        assert!(budget.charge(1).now_or_never().is_some());
    }
}
