//! Latencies and their percentiles.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::output::table::{Align, Table};
use crate::cli::output::units::milliseconds;

/// Ten minutes: what takes longer is recorded as this.
const LONGEST_US: u64 = 600_000_000;
/// Three meaningful digits at any size.
const PRECISION: u8 = 3;

/// Collects latencies from many tasks. Cloning shares the collection.
#[derive(Clone, Debug)]
pub struct Latencies(Arc<Mutex<Histogram<u64>>>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LONGEST_US, PRECISION).expect("bounds and precision are legal");
        Self(Arc::new(Mutex::new(histogram)))
    }
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// How many were measured.
    pub count: u64,
    /// The shortest.
    pub min_ms: f64,
    /// The mean.
    pub mean_ms: f64,
    /// Half are shorter.
    pub p50_ms: f64,
    /// Nine of ten are shorter.
    pub p90_ms: f64,
    /// 99 of 100 are shorter.
    pub p99_ms: f64,
    /// 999 of 1000 are shorter.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latencies {
    /// Adds one.
    pub fn record(&self, latency: Duration) {
        self.record_many(latency, 1);
    }

    /// Adds `count` equal ones.
    pub fn record_many(&self, latency: Duration, count: u64) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_US);
        self.lock().saturating_record_n(us, count);
    }

    /// What was collected so far.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let histogram = self.lock();
        if histogram.is_empty() {
            return LatencySummary::default();
        }
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        LatencySummary {
            count: histogram.len(),
            min_ms: histogram.min() as f64 / 1e3,
            mean_ms: histogram.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1e3,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Summaries by name, one a line.
#[must_use]
pub fn table_of(summaries: &[(&str, LatencySummary)]) -> Table {
    let number = Align::Right;
    let mut table = Table::new(&[
        ("LATENCY (ms)", Align::Left),
        ("p50", number),
        ("p90", number),
        ("p99", number),
        ("p99.9", number),
        ("max", number),
        ("count", number),
    ]);
    for (name, summary) in summaries {
        let ms = |value: f64| {
            if summary.count == 0 { String::new() } else { milliseconds(Duration::from_secs_f64(value / 1e3)) }
        };
        table.row([
            (*name).to_owned(),
            ms(summary.p50_ms),
            ms(summary.p90_ms),
            ms(summary.p99_ms),
            ms(summary.p999_ms),
            ms(summary.max_ms),
            summary.count.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let latencies = Latencies::default();
        for ms in 1..=1000 {
            latencies.record(Duration::from_millis(ms));
        }
        let summary = latencies.summary();
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < expected * 0.002, "{value}");
        assert_eq!(summary.count, 1000);
        close(summary.p50_ms, 500.0);
        close(summary.p99_ms, 990.0);
        close(summary.p999_ms, 999.0);
        close(summary.max_ms, 1000.0);
        close(summary.mean_ms, 500.5);
    }

    #[test]
    fn what_is_out_of_bounds_is_recorded_at_the_bound() {
        let latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(100_000));
        let summary = latencies.summary();
        assert_eq!(summary.count, 2);
        assert!(summary.max_ms >= 600_000.0);
    }

    #[test]
    fn nothing_recorded_shows_as_dashes() {
        let text = table_of(&[("produce", Latencies::default().summary())]).to_string();
        assert_eq!(text.lines().last(), Some("produce         -    -    -      -    -      0"));
    }
}
