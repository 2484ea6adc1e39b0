//! What the writer counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::base::metrics::Metrics;

/// The writer's metrics.
#[derive(Debug)]
pub(crate) struct Gauges {
    objects: Counter,
    bytes: Counter,
    held: Counter,
    in_flight: Gauge,
}

impl Gauges {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            objects: metrics.register("append_objects", "WAL objects committed", Counter::default()),
            bytes: metrics.register("append_bytes", "Bytes of record batches committed", Counter::default()),
            held: metrics.register("append_held", "Batches that waited for the one before them", Counter::default()),
            in_flight: metrics.register("append_in_flight_bytes", "Bytes of appends under way", Gauge::default()),
        }
    }

    pub(crate) fn committed(&self, bytes: u64) {
        self.objects.inc();
        self.bytes.inc_by(bytes);
    }

    pub(crate) fn held(&self) {
        self.held.inc();
    }

    pub(crate) fn in_flight(&self, bytes: u64) {
        self.in_flight.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
