//! What the object store is asked, counted by purpose: for the metrics page and for the bill.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::base::metrics::Metrics;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Producing.
    Append,
    /// Consuming.
    Fetch,
    /// The embedded metastore.
    Metastore,
    /// Merging, retention, sweeping, scrubbing.
    Upkeep,
    /// Start-up checks.
    Probe,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] = [Self::Append, Self::Fetch, Self::Metastore, Self::Upkeep, Self::Probe];

    /// A short name for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Fetch => "fetch",
            Self::Metastore => "metastore",
            Self::Upkeep => "upkeep",
            Self::Probe => "probe",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// PUT, and the steps of a multi-part upload.
    Put,
    /// GET, whole or in part.
    Get,
    /// HEAD.
    Head,
    /// LIST, one per page.
    List,
    /// DELETE.
    Delete,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 5] = [Self::Put, Self::Get, Self::Head, Self::List, Self::Delete];

    /// A short name for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// What was counted for one purpose and operation since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Count {
    /// Requests sent, each attempt and each hedge counted: what a store bills.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
}

/// All counts, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters([[Count; Operation::ALL.len()]; Purpose::ALL.len()]);

impl Counters {
    /// What was counted for `purpose` and `operation`.
    #[must_use]
    pub fn of(&self, purpose: Purpose, operation: Operation) -> Count {
        self.0[purpose.index()][operation.index()]
    }

    /// Sums over all purposes.
    #[must_use]
    pub fn total(&self, operation: Operation) -> Count {
        let mut total = Count::default();
        for purpose in Purpose::ALL {
            let count = self.of(purpose, operation);
            total.requests += count.requests;
            total.errors += count.errors;
            total.bytes_sent += count.bytes_sent;
            total.bytes_received += count.bytes_received;
        }
        total
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    purpose: &'static str,
    operation: &'static str,
}

/// Counts requests. Cloning shares the counts.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<[[Cell; Operation::ALL.len()]; Purpose::ALL.len()]>);

#[derive(Debug)]
struct Cell {
    requests: Counter,
    errors: Counter,
    bytes_sent: Counter,
    bytes_received: Counter,
    seconds: Histogram,
}

impl Meter {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.register(name, help, Family::<Labels, Counter>::default());
        let requests = counter("object_requests", "Requests to the object store");
        let errors = counter("object_errors", "Requests to the object store that failed");
        let bytes_sent = counter("object_sent_bytes", "Payload bytes sent to the object store");
        let bytes_received = counter("object_received_bytes", "Payload bytes received from the object store");
        let seconds: Family<Labels, Histogram> = Family::new_with_constructor(latency_histogram);
        let seconds = metrics.register("object_request_seconds", "Time per request to the object store", seconds);
        let cell = |purpose: Purpose, operation: Operation| {
            let labels = Labels { purpose: purpose.as_str(), operation: operation.as_str() };
            Cell {
                requests: requests.get_or_create(&labels).clone(),
                errors: errors.get_or_create(&labels).clone(),
                bytes_sent: bytes_sent.get_or_create(&labels).clone(),
                bytes_received: bytes_received.get_or_create(&labels).clone(),
                seconds: seconds.get_or_create(&labels).clone(),
            }
        };
        Self(Arc::new(Purpose::ALL.map(|purpose| Operation::ALL.map(|operation| cell(purpose, operation)))))
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters(Purpose::ALL.map(|purpose| {
            Operation::ALL.map(|operation| {
                let cell = self.cell(purpose, operation);
                Count {
                    requests: cell.requests.get(),
                    errors: cell.errors.get(),
                    bytes_sent: cell.bytes_sent.get(),
                    bytes_received: cell.bytes_received.get(),
                }
            })
        }))
    }

    /// A request goes out with `bytes_sent` of payload.
    pub(crate) fn sent(&self, purpose: Purpose, operation: Operation, bytes_sent: u64) {
        let cell = self.cell(purpose, operation);
        cell.requests.inc();
        cell.bytes_sent.inc_by(bytes_sent);
    }

    /// Its answer came, well or badly.
    pub(crate) fn answered(&self, purpose: Purpose, operation: Operation, failed: bool, elapsed: Duration) {
        let cell = self.cell(purpose, operation);
        cell.seconds.observe(elapsed.as_secs_f64());
        if failed {
            cell.errors.inc();
        }
    }

    /// A request failed whose time was not measured.
    pub(crate) fn failed(&self, purpose: Purpose, operation: Operation) {
        self.cell(purpose, operation).errors.inc();
    }

    /// Payload arrived.
    pub(crate) fn received(&self, purpose: Purpose, operation: Operation, bytes: u64) {
        self.cell(purpose, operation).bytes_received.inc_by(bytes);
    }

    fn cell(&self, purpose: Purpose, operation: Operation) -> &Cell {
        &self.0[purpose.index()][operation.index()]
    }
}

/// From a local folder's tenth of a millisecond to a timeout.
fn latency_histogram() -> Histogram {
    Histogram::new([0.0005, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8])
}
