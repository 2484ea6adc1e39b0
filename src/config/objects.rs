//! How the object store is used: deadlines, hedging, limits, cache.

use std::time::Duration;

/// Settings of requests to the object store and of the cache before it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectSettings {
    /// One request gets this long, in milliseconds. Default 10 000: S3 answers 8 MiB within half a second in all but
    /// one case of a thousand; what takes ten seconds does not come back.
    pub attempt_timeout_ms: u64,
    /// A call, with all its attempts and the pauses between them, gets this long, in milliseconds. Default 30 000:
    /// the usual request timeout of Kafka clients.
    pub call_timeout_ms: u64,
    /// Attempts per call. Default 10: with the pauses between them about five seconds of a store that only fails.
    pub attempts_max: u32,
    /// The first pause between attempts is at most this long, in milliseconds; it doubles. Default 50: about one
    /// round trip to S3.
    pub pause_first_ms: u64,
    /// No pause is longer than this, in milliseconds. Default 2 000.
    pub pause_longest_ms: u64,
    /// Whether a request that takes longer than nearly all before it is sent a second time. Default true: one slow
    /// request in a hundred otherwise holds up every producer behind it. At most one request in twenty is repeated.
    pub hedge: bool,
    /// A request is never repeated earlier than this, in milliseconds. Default 100.
    pub hedge_after_min_ms: u64,
    /// Requests under way at once for each purpose (append, fetch, metastore, upkeep). Default 64.
    pub requests_max: u32,
    /// Bytes under way at once for each purpose. Default 256 MiB; one larger request waits until it is alone.
    pub request_bytes_max: u64,
    /// Ranges of one object with at most this many bytes between them are read in one request. Default 256 KiB:
    /// what S3 delivers in a fifth of the time a new request takes to begin.
    pub coalesce_gap_bytes: u64,
    /// One request reads at most this many bytes when it joins ranges. Default 16 MiB.
    pub coalesce_bytes_max: u64,
    /// Memory for bytes near the logs' ends. Default 256 MiB.
    pub cache_tail_bytes: u64,
    /// Memory for bytes that lagging consumers read; they can not push out the ends. Default 64 MiB.
    pub cache_cold_bytes: u64,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            attempt_timeout_ms: 10_000,
            call_timeout_ms: 30_000,
            attempts_max: 10,
            pause_first_ms: 50,
            pause_longest_ms: 2_000,
            hedge: true,
            hedge_after_min_ms: 100,
            requests_max: 64,
            request_bytes_max: 256 << 20,
            coalesce_gap_bytes: 256 << 10,
            coalesce_bytes_max: 16 << 20,
            cache_tail_bytes: 256 << 20,
            cache_cold_bytes: 64 << 20,
        }
    }
}

impl ObjectSettings {
    /// One request gets this long.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms)
    }

    /// A whole call gets this long.
    #[must_use]
    pub fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    /// The first pause's ceiling.
    #[must_use]
    pub fn pause_first(&self) -> Duration {
        Duration::from_millis(self.pause_first_ms)
    }

    /// The last pause's ceiling.
    #[must_use]
    pub fn pause_longest(&self) -> Duration {
        Duration::from_millis(self.pause_longest_ms)
    }

    /// The earliest moment for a second request.
    #[must_use]
    pub fn hedge_after_min(&self) -> Duration {
        Duration::from_millis(self.hedge_after_min_ms)
    }
}
