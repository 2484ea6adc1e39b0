//! The log: how appends are packed into objects, what readers keep in memory.

use std::time::Duration;

/// The `[log]` section.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// A WAL object is written as soon as it holds this many bytes. Default 8 MiB: a PUT of that size takes hardly
    /// longer than a small one, and a GiB costs 128 of them.
    pub object_bytes_max: u64,
    /// While nothing is being uploaded, batches wait this long for company, in microseconds. Default 1000: enough
    /// for requests that arrive together to share an object, too little to be felt.
    pub linger_idle_us: u64,
    /// While something is being uploaded, batches wait at most this long, in milliseconds. Default 250.
    pub linger_busy_ms: u64,
    /// WAL objects per second on average, below `object_bytes_max`; 0 means no limit. Default 4: about 52 dollars a
    /// month for a busy agent at the usual 0.005 dollars per thousand PUTs. Objects that are full go at once.
    pub puts_per_second: f64,
    /// WAL objects that may be written in a row before `puts_per_second` holds. Default 40: an agent that was idle
    /// answers its next requests without delay.
    pub puts_burst: f64,
    /// Uploads at the same time. Default 16: at 8 MiB and 100 ms each, more than a fast network card carries.
    pub uploads_max: usize,
    /// Bytes of batches that are buffered, uploaded or being committed; beyond that appends wait in order.
    /// Default 256 MiB.
    pub append_bytes_max: u64,
    /// How long a batch waits for the one before it when another agent may still commit that, in milliseconds.
    /// Default 2000: longer than an upload and its retries usually take.
    pub sequence_gap_wait_ms: u64,
    /// Extents near the logs' ends that are kept in memory, over all partitions. Default 100,000: some 20 MiB.
    pub tail_extents_max: usize,
    /// Extents further back that lagging readers looked up. Default 50,000.
    pub older_extents_max: usize,
    /// The largest answer to one fetch, whatever the client asks for. Default 55 MiB, as Kafka's `fetch.max.bytes`.
    pub fetch_bytes_max: u32,
    /// The longest wait for the metastore's news in one call, in milliseconds. Default 5000.
    pub feed_wait_ms: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            object_bytes_max: 8 << 20,
            linger_idle_us: 1_000,
            linger_busy_ms: 250,
            puts_per_second: 4.0,
            puts_burst: 40.0,
            uploads_max: 16,
            append_bytes_max: 256 << 20,
            sequence_gap_wait_ms: 2_000,
            tail_extents_max: 100_000,
            older_extents_max: 50_000,
            fetch_bytes_max: 55 << 20,
            feed_wait_ms: 5_000,
        }
    }
}

impl LogSettings {
    /// How long batches wait for company while nothing is being uploaded.
    #[must_use]
    pub fn linger_idle(&self) -> Duration {
        Duration::from_micros(self.linger_idle_us)
    }

    /// How long batches wait at most while something is being uploaded.
    #[must_use]
    pub fn linger_busy(&self) -> Duration {
        Duration::from_millis(self.linger_busy_ms)
    }

    /// How long a batch waits for the one before it.
    #[must_use]
    pub fn sequence_gap_wait(&self) -> Duration {
        Duration::from_millis(self.sequence_gap_wait_ms)
    }

    /// The longest wait for news in one call.
    #[must_use]
    pub fn feed_wait(&self) -> Duration {
        Duration::from_millis(self.feed_wait_ms)
    }

    /// What `puts_per_second` costs in a month at a price per thousand PUTs; `None` when there is no limit.
    #[must_use]
    pub fn puts_month_cost(&self, price_per_thousand: f64) -> Option<f64> {
        const SECONDS_PER_MONTH: f64 = 30.0 * 86_400.0;
        (self.puts_per_second > 0.0).then(|| self.puts_per_second * SECONDS_PER_MONTH / 1_000.0 * price_per_thousand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_costs_about_fifty_dollars_a_month() {
        let cost = LogSettings::default().puts_month_cost(0.005).expect("limited");
        assert!((50.0..55.0).contains(&cost), "{cost}");
        assert_eq!(LogSettings { puts_per_second: 0.0, ..LogSettings::default() }.puts_month_cost(0.005), None);
    }
}
