//! What a measurement of a share group found.

use serde::Serialize;

use crate::cli::latency::{LatencySummary, table_of};
use crate::cli::output::units::grouped;

/// The result of one measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShareReport {
    /// `share`.
    pub kind: &'static str,
    /// Which topic.
    pub topic: String,
    /// Which group.
    pub group: String,
    /// How many produced.
    pub producers: u64,
    /// How many members the group had.
    pub consumers: u16,
    /// How long was produced, in seconds.
    pub seconds: f64,
    /// Records a second that were asked for; nothing: as fast as it went.
    pub asked_per_second: Option<u64>,
    /// Records that are durable.
    pub produced: u64,
    /// Records that were delivered.
    pub records: u64,
    /// Deliveries a second, repeated ones included.
    pub deliveries_per_second: f64,
    /// Records whose acceptance the broker took.
    pub accepted: u64,
    /// Records that are durable and were not delivered.
    pub lost: u64,
    /// Records that were delivered again after they had been accepted.
    pub doubled: u64,
    /// Deliveries beyond the first of each record.
    pub redelivered: u64,
    /// Requests that failed.
    pub errors: u64,
    /// The first failure.
    pub first_error: Option<String>,
    /// From the moment a record was due to its first delivery.
    pub latency: LatencySummary,
}

impl ShareReport {
    /// The report for people.
    #[must_use]
    pub fn draw(&self) -> String {
        let asked = self.asked_per_second.map_or_else(|| "max".to_owned(), grouped);
        let mut text = format!(
            "share group '{}' on '{}' for {:.0} s, {} producers, {} members\n\nproduced    {} ({} a second asked for)\n\
             delivered   {} ({} a second)\naccepted    {}\nlost        {}\ndoubled     {}\nredelivered {}\nerrors      {}",
            self.group,
            self.topic,
            self.seconds,
            self.producers,
            self.consumers,
            grouped(self.produced),
            asked,
            grouped(self.records),
            grouped(self.deliveries_per_second.round() as u64),
            grouped(self.accepted),
            self.lost,
            self.doubled,
            self.redelivered,
            self.errors,
        );
        if let Some(error) = &self.first_error {
            text.push_str(&format!(" (first: {error})"));
        }
        let below = |asked: u64| (self.produced as f64) < asked as f64 * self.seconds * 0.98;
        if self.asked_per_second.is_some_and(below) {
            text.push_str("\n            below what was asked for: the latencies include the queue that grew");
        }
        text.push_str(&format!("\n\n{}", table_of(&[("delivered, from when it was due", self.latency)])));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_lost_and_doubled() {
        let report = ShareReport {
            kind: "share",
            topic: "t".to_owned(),
            group: "g".to_owned(),
            producers: 1,
            consumers: 2,
            seconds: 10.0,
            asked_per_second: Some(1_000),
            produced: 9_000,
            records: 8_999,
            deliveries_per_second: 900.0,
            accepted: 8_999,
            lost: 1,
            doubled: 3,
            redelivered: 4,
            errors: 0,
            first_error: None,
            latency: LatencySummary::default(),
        };
        let text = report.draw();
        assert!(
            text.contains("delivered   8,999 (900 a second)\naccepted    8,999\nlost        1\ndoubled     3\n"),
            "{text}"
        );
        assert!(text.contains("below what was asked for"), "{text}");
    }
}
