//! Wall-clock time as an injected value, so that a simulation can own it.

use std::fmt;
use std::time::Duration;

/// Milliseconds since the Unix epoch, as Kafka counts them; −1 means "no timestamp".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Kafka's "no timestamp".
    pub const NONE: Self = Self(-1);

    /// This moment plus `duration`, saturating at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment minus `duration`, saturating at the beginning of time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where wall-clock time comes from.
///
/// Monotonic time (timeouts, pauses) is `tokio::time`, which a simulation already owns by pausing it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment; it may jump in either direction, as machines' clocks do.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that follows tokio's (possibly paused) time from a chosen start, with a skew that can change.
#[derive(Debug)]
pub struct ManualClock {
    origin: Timestamp,
    started: tokio::time::Instant,
    skew_ms: std::sync::atomic::AtomicI64,
}

impl ManualClock {
    /// A clock that reads `origin` now and advances with tokio's time. Must be called inside a runtime.
    #[must_use]
    pub fn starting_at(origin: Timestamp) -> Self {
        Self { origin, started: tokio::time::Instant::now(), skew_ms: std::sync::atomic::AtomicI64::new(0) }
    }

    /// Shifts the clock by `skew_ms` milliseconds against its origin (replaces an earlier skew).
    pub fn skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let true_time = self.origin.plus(self.started.elapsed());
        Timestamp(true_time.0 + self.skew_ms.load(std::sync::atomic::Ordering::Relaxed))
    }
}
