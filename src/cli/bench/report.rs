//! What a measurement found.

use serde::Serialize;

use crate::cli::latency::{LatencySummary, table_of};
use crate::cli::output::units::{bytes, grouped};

/// The result of one measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// `produce`, `consume` or `e2e`.
    pub kind: &'static str,
    /// Which topic.
    pub topic: String,
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// Records that got through.
    pub records: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Bytes a second that were asked for, when the load was open.
    pub asked_bytes_per_second: Option<f64>,
    /// Requests that failed.
    pub errors: u64,
    /// The first failure.
    pub first_error: Option<String>,
    /// Latencies by name.
    pub latencies: Vec<NamedLatency>,
}

/// A summary with its name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NamedLatency {
    /// What was measured.
    pub name: &'static str,
    /// Its percentiles.
    #[serde(flatten)]
    pub summary: LatencySummary,
}

impl Report {
    /// Bytes a second that got through.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.value_bytes as f64 / self.seconds.max(0.001)
    }

    /// The report for people.
    #[must_use]
    pub fn draw(&self) -> String {
        let rate = |value: f64| bytes(value.round() as u64);
        let mut text = format!(
            "{} of '{}' for {:.1} s\n\nrecords     {} ({} a second)\nthroughput  {} a second",
            self.kind,
            self.topic,
            self.seconds,
            grouped(self.records),
            grouped((self.records as f64 / self.seconds.max(0.001)).round() as u64),
            rate(self.bytes_per_second()),
        );
        if let Some(asked) = self.asked_bytes_per_second {
            text.push_str(&format!(" ({} asked for)", rate(asked)));
            if self.bytes_per_second() < asked * 0.98 {
                text.push_str("\n            below what was asked for: the latencies include the queue that grew");
            }
        }
        text.push_str(&format!("\nerrors      {}", self.errors));
        if let Some(error) = &self.first_error {
            text.push_str(&format!(" (first: {error})"));
        }
        let summaries: Vec<_> = self.latencies.iter().map(|latency| (latency.name, latency.summary)).collect();
        text.push_str(&format!("\n\n{}", table_of(&summaries)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_when_the_load_was_not_reached() {
        let mut report = Report {
            kind: "produce",
            topic: "bench".to_owned(),
            seconds: 10.0,
            records: 102_400,
            value_bytes: 100 << 20,
            asked_bytes_per_second: Some(f64::from(10 << 20)),
            errors: 0,
            first_error: None,
            latencies: Vec::new(),
        };
        assert!(report.draw().contains("throughput  10.0 MiB a second (10.0 MiB asked for)\nerrors      0"));
        report.value_bytes = 50 << 20;
        assert!(report.draw().contains("below what was asked for"), "{}", report.draw());
    }
}
