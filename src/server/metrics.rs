//! What the server counts.

use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::time::Instant;

use crate::api::dispatch::SERVED;
use crate::base::metrics::Metrics;

/// The server's metrics. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Connections open now.
    pub connections: Gauge,
    /// Connections accepted since the start.
    pub accepted: Counter,
    /// Connections refused because of a limit.
    pub refused: Counter,
    /// Bytes of requests read.
    pub request_bytes: Counter,
    /// Bytes of responses written.
    pub response_bytes: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    request_seconds: Family<Vec<(&'static str, &'static str)>, Histogram>,
    /// The same, by place in [`SERVED`] and once more for all that is refused: found without a lock.
    seconds_by_place: Arc<[OnceLock<Histogram>; SERVED_COUNT + 1]>,
}

const SERVED_COUNT: usize = SERVED.len();

impl ServerMetrics {
    /// Registers the server's metrics.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 2.0, 20));
        Self {
            connections: metrics.register("connections", "Client connections open now", Gauge::default()),
            accepted: metrics.register("connections_accepted", "Client connections accepted", Counter::default()),
            refused: metrics.register(
                "connections_refused",
                "Client connections closed at once because of a limit",
                Counter::default(),
            ),
            request_bytes: metrics.register("request_bytes", "Bytes of requests read", Counter::default()),
            response_bytes: metrics.register("response_bytes", "Bytes of responses written", Counter::default()),
            panics: metrics.register("handler_panics", "Requests whose handler panicked", Counter::default()),
            request_seconds: metrics.register(
                "request_seconds",
                "Time from a request's last byte to its answer, long polls included",
                Family::new_with_constructor(seconds),
            ),
            seconds_by_place: Arc::new([const { OnceLock::new() }; SERVED_COUNT + 1]),
        }
    }

    /// Counts a request that began at `started` and has its answer now. `key` is what the frame claims.
    pub fn answered(&self, key: i16, started: Instant) {
        let place = SERVED.iter().position(|spec| spec.key == key);
        let histogram = self.seconds_by_place[place.unwrap_or(SERVED_COUNT)].get_or_init(|| {
            let name = place.map_or("refused", |place| SERVED[place].name);
            self.request_seconds.get_or_create_owned(&vec![("api", name)])
        });
        histogram.observe(started.elapsed().as_secs_f64());
    }
}
