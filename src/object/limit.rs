//! How much may be under way at once: each purpose has its own share, so that none starves another.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::objects::ObjectSettings;
use crate::object::meter::Purpose;

/// Bytes are counted in steps of this many.
const STEP_BYTES: u64 = 1024;

/// The shares of all purposes.
#[derive(Debug)]
pub(crate) struct Limits {
    shares: [Share; Purpose::ALL.len()],
}

#[derive(Debug)]
struct Share {
    requests: Semaphore,
    steps: Semaphore,
    steps_max: u32,
}

/// The right to send one request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    _request: SemaphorePermit<'a>,
    _steps: SemaphorePermit<'a>,
}

impl Limits {
    pub(crate) fn new(settings: &ObjectSettings) -> Self {
        let requests_max = settings.requests_max.max(1) as usize;
        let steps_max = u32::try_from(settings.request_bytes_max / STEP_BYTES).unwrap_or(u32::MAX).max(1);
        // A semaphore holds less than a `usize` on small machines.
        let steps_max = steps_max.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let share =
            || Share { requests: Semaphore::new(requests_max), steps: Semaphore::new(steps_max as usize), steps_max };
        Self { shares: Purpose::ALL.map(|_| share()) }
    }

    /// Waits for the right to send a request that moves `bytes`; first come, first served.
    pub(crate) async fn acquire(&self, purpose: Purpose, bytes: u64) -> Permit<'_> {
        let share = &self.shares[purpose.index()];
        let request = share.requests.acquire().await.expect("this semaphore is never closed");
        let steps = share.steps.acquire_many(share.steps_of(bytes)).await.expect("this semaphore is never closed");
        Permit { _request: request, _steps: steps }
    }

    /// The same without waiting; `None` when there is no room now.
    pub(crate) fn try_acquire(&self, purpose: Purpose, bytes: u64) -> Option<Permit<'_>> {
        let share = &self.shares[purpose.index()];
        let request = share.requests.try_acquire().ok()?;
        let steps = share.steps.try_acquire_many(share.steps_of(bytes)).ok()?;
        Some(Permit { _request: request, _steps: steps })
    }
}

impl Share {
    /// A request larger than the whole share takes all of it.
    fn steps_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(STEP_BYTES)).unwrap_or(u32::MAX).min(self.steps_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bounds_requests_and_bytes_per_purpose() {
        let settings =
            ObjectSettings { requests_max: 2, request_bytes_max: 10 * STEP_BYTES, ..ObjectSettings::default() };
        let limits = Limits::new(&settings);
        let first = limits.acquire(Purpose::Append, 6 * STEP_BYTES).await;
        assert!(limits.try_acquire(Purpose::Append, 5 * STEP_BYTES).is_none(), "too many bytes");
        assert!(limits.try_acquire(Purpose::Fetch, 10 * STEP_BYTES).is_some(), "another purpose has its own share");
        let second = limits.try_acquire(Purpose::Append, 0).expect("there is room");
        assert!(limits.try_acquire(Purpose::Append, 0).is_none(), "too many requests");
        drop((first, second));
        assert!(limits.try_acquire(Purpose::Append, 1 << 40).is_some(), "a giant is let through alone");
    }
}
