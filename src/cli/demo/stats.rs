//! What the demo counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::cli::cost::{S3_STANDARD, SECONDS_PER_MONTH, spent};
use crate::cli::latency::{Latencies, LatencySummary};
use crate::cli::launch::StorageUse;

/// Shared counters. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    produced: AtomicU64,
    produced_bytes: AtomicU64,
    consumed: AtomicU64,
    consumed_bytes: AtomicU64,
    produce: Latencies,
    end_to_end: Latencies,
}

impl Stats {
    /// A batch became durable.
    pub fn produced(&self, records: u64, bytes: u64, took: Duration) {
        self.0.produced.fetch_add(records, Ordering::Relaxed);
        self.0.produced_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.produce.record(took);
    }

    /// A record reached a consumer.
    pub fn consumed(&self, bytes: u64, since_made: Option<Duration>) {
        self.0.consumed.fetch_add(1, Ordering::Relaxed);
        self.0.consumed_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(latency) = since_made {
            self.0.end_to_end.record(latency);
        }
    }

    /// Everything at one moment.
    #[must_use]
    pub fn snapshot(&self, elapsed: Duration, storage: StorageUse) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            elapsed_s: elapsed.as_secs_f64(),
            // Read before what is produced, so that the lag is never negative by counting alone.
            consumed: read(&self.0.consumed),
            consumed_bytes: read(&self.0.consumed_bytes),
            produced: read(&self.0.produced),
            produced_bytes: read(&self.0.produced_bytes),
            produce: self.0.produce.summary(),
            end_to_end: self.0.end_to_end.summary(),
            storage,
            spent: spent(&storage.requests, &S3_STANDARD),
        }
    }
}

/// The demo at one moment, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Records that are durable.
    pub produced: u64,
    /// Their bytes.
    pub produced_bytes: u64,
    /// Records that consumers have.
    pub consumed: u64,
    /// Their bytes.
    pub consumed_bytes: u64,
    /// From handing over a batch until it was durable.
    pub produce: LatencySummary,
    /// From making a record until a consumer had it.
    pub end_to_end: LatencySummary,
    /// What the object store was asked.
    pub storage: StorageUse,
    /// What that would have cost on S3, in dollars.
    pub spent: f64,
}

/// What happened between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pace {
    /// Records produced a second.
    pub produced: f64,
    /// Bytes produced a second.
    pub produced_bytes: f64,
    /// Records consumed a second.
    pub consumed: f64,
    /// Bytes consumed a second.
    pub consumed_bytes: f64,
    /// Objects of records a second.
    pub objects: f64,
    /// PUTs a second.
    pub puts: f64,
    /// GETs a second.
    pub gets: f64,
    /// Dollars a month for requests, if it went on like this.
    pub month: f64,
}

impl Snapshot {
    /// Records that are durable and not consumed yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.produced.saturating_sub(self.consumed)
    }

    /// How fast things went since `earlier`.
    #[must_use]
    pub fn pace_since(&self, earlier: &Self) -> Pace {
        let seconds = (self.elapsed_s - earlier.elapsed_s).max(0.001);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let (now, before) = (&self.storage, &earlier.storage);
        Pace {
            produced: rate(self.produced, earlier.produced),
            produced_bytes: rate(self.produced_bytes, earlier.produced_bytes),
            consumed: rate(self.consumed, earlier.consumed),
            consumed_bytes: rate(self.consumed_bytes, earlier.consumed_bytes),
            objects: rate(now.objects, before.objects),
            puts: rate(now.requests.puts, before.requests.puts),
            gets: rate(now.requests.gets, before.requests.gets),
            month: (self.spent - earlier.spent).max(0.0) / seconds * SECONDS_PER_MONTH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_what_happened_in_between() {
        let stats = Stats::default();
        stats.produced(100, 25_000, Duration::from_millis(5));
        let mut storage = StorageUse::default();
        storage.requests.puts = 10;
        let first = stats.snapshot(Duration::from_secs(1), storage);
        stats.produced(300, 75_000, Duration::from_millis(5));
        stats.consumed(250, Some(Duration::from_millis(9)));
        storage.requests.puts = 18;
        let second = stats.snapshot(Duration::from_secs(3), storage);
        let pace = second.pace_since(&first);
        assert_eq!((pace.produced, pace.produced_bytes, pace.puts), (150.0, 37_500.0, 4.0));
        assert!((pace.month - 52.56).abs() < 0.01, "{}", pace.month);
        assert_eq!(second.lag(), 399);
        assert_eq!(second.end_to_end.count, 1);
    }
}
