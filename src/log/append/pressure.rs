//! How many bytes of appends are under way, and who waits until there are fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts the bytes that the writer holds, from the call of `append` to the outcome. Cloning shares the count.
///
/// The server asks [`Pressure::relieved`] before it reads a connection's next frame, so that what the bucket or the
/// metastore can not take stays with the producers.
#[derive(Clone, Debug)]
pub struct Pressure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: AtomicU64,
    bytes_max: u64,
    relief: Notify,
}

impl Pressure {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self(Arc::new(Inner { bytes: AtomicU64::new(0), bytes_max, relief: Notify::new() }))
    }

    /// Bytes that are under way now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }

    /// Returns once fewer bytes are under way than the budget allows.
    pub async fn relieved(&self) {
        loop {
            let mut relief = std::pin::pin!(self.0.relief.notified());
            // Registered before the count is read, so that relief in between is not missed.
            relief.as_mut().enable();
            if self.bytes() < self.0.bytes_max {
                return;
            }
            relief.await;
        }
    }

    pub(crate) fn charge(&self, bytes: u64) -> Charge {
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
        Charge { pressure: self.clone(), bytes }
    }
}

/// Bytes under way; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Charge {
    pressure: Pressure,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        let inner = &self.pressure.0;
        let before = inner.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if before >= inner.bytes_max && before - self.bytes < inner.bytes_max {
            inner.relief.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn waiters_go_on_when_enough_is_given_back() {
        let pressure = Pressure::new(100);
        let (small, large) = (pressure.charge(30), pressure.charge(80));
        let mut relieved = std::pin::pin!(pressure.relieved());
        assert!(relieved.as_mut().now_or_never().is_none());
        drop(small);
        assert_eq!(pressure.bytes(), 80);
        relieved.await;
        drop(large);
        assert_eq!(pressure.bytes(), 0);
    }
}
