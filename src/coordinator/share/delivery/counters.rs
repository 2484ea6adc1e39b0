//! What delivery counts, by Kafka's names where Kafka has one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::base::clock::Timestamp;
use crate::base::metrics::Metrics;
use crate::coordinator::share::delivery::board::PartitionKey;
use crate::coordinator::share::partition::acknowledge::Acknowledged;
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::model::group::GroupId;
use crate::model::offset::Offset;

/// So many share partitions have series of their own: a scrape stays readable however many groups there are.
const SERIES_MAX: usize = 1_000;

type Labels = Vec<(&'static str, String)>;

/// Counters, and gauges of the share partitions that lanes saw last.
#[derive(Debug)]
pub(super) struct Counters {
    /// Offsets acquired.
    pub acquired: Counter,
    /// Offsets whose lock ended by time.
    pub lock_timeouts: Counter,
    /// Writes that found a document changed.
    pub conflicts: Counter,
    /// Rounds of lanes.
    pub rounds: Counter,
    /// Writes tried, of one document or of several.
    pub writes: Counter,
    /// Documents written.
    pub documents: Counter,
    /// Groups with a lane.
    pub lanes: Gauge,
    /// Bytes of documents in memory.
    pub cached: Gauge,
    accepted: Counter,
    released: Counter,
    rejected: Counter,
    gaps: Counter,
    renewed: Counter,
    series: Mutex<BTreeMap<PartitionKey, (Labels, Series)>>,
    families: Families,
}

#[derive(Debug)]
struct Families {
    ready: Family<Labels, Gauge>,
    in_flight: Family<Labels, Gauge>,
    redelivered: Family<Labels, Gauge>,
    archived: Family<Labels, Gauge>,
    oldest_age_ms: Family<Labels, Gauge>,
    lag: Family<Labels, Gauge>,
}

#[derive(Clone, Debug)]
struct Series {
    ready: Gauge,
    in_flight: Gauge,
    redelivered: Gauge,
    archived: Gauge,
    oldest_age_ms: Gauge,
    lag: Gauge,
}

impl Counters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(name, help, Counter::default());
        let gauges = |name, help| metrics.register(name, help, Family::<Labels, Gauge>::default());
        let acknowledgements: Family<Labels, Counter> = metrics.register(
            "record_acknowledgements",
            "Records that members acknowledged, by how they did",
            Family::default(),
        );
        let by_type = |name: &str| acknowledgements.get_or_create(&vec![("ack_type", name.to_owned())]).clone();
        Self {
            acquired: counter("share_record_acquisitions", "Records acquired by members of share groups"),
            lock_timeouts: counter("acquisition_lock_timeout", "Records whose lock ended before an acknowledgement"),
            conflicts: counter("share_delivery_conflicts", "Writes that lost a race against another agent"),
            rounds: counter("share_delivery_rounds", "Rounds of deliveries, each one write at most"),
            writes: counter("share_delivery_writes", "Writes to the metastore, each of one share partition or several"),
            documents: counter("share_partition_writes", "Documents of share partitions written"),
            lanes: metrics.register("share_delivery_lanes", "Share groups this agent delivers to", Gauge::default()),
            cached: metrics.register(
                "share_partition_cache_bytes",
                "Memory that share partitions take",
                Gauge::default(),
            ),
            accepted: by_type("accept"),
            released: by_type("release"),
            rejected: by_type("reject"),
            gaps: by_type("gap"),
            renewed: by_type("renew"),
            series: Mutex::default(),
            families: Families {
                ready: gauges("share_partition_ready_count", "Records given back that wait for a member"),
                in_flight: gauges("in_flight_message_count", "Records that are with members"),
                redelivered: gauges("share_partition_redelivered_count", "Records delivered more than once, not done"),
                archived: gauges("share_partition_archived_count", "Records given up behind the start offset"),
                oldest_age_ms: gauges(
                    "share_partition_oldest_unacknowledged_age_ms",
                    "Age of the oldest lock when it was last looked at",
                ),
                lag: gauges("share_partition_lag", "Records up to the high watermark that are not done"),
            },
        }
    }

    /// Counts acknowledgements that are stored.
    pub(super) fn acknowledged(&self, done: &Acknowledged) {
        let counts = [
            (&self.accepted, done.accepted),
            (&self.released, done.released),
            (&self.rejected, done.rejected),
            (&self.gaps, done.gaps),
            (&self.renewed, done.renewed),
        ];
        for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
    }

    /// Shows a share partition as it is stored now. `topic` is only asked for the name of one that is new.
    pub(super) fn show(&self, key: &PartitionKey, seen: &Seen<'_>, topic: impl FnOnce() -> String) {
        let mut all = self.series();
        if !all.contains_key(key) {
            if all.len() >= SERIES_MAX {
                return;
            }
            let labels = vec![
                ("group", key.0.as_str().to_owned()),
                ("topic", topic()),
                ("partition", key.1.partition.0.to_string()),
            ];
            let series = self.families.series(&labels);
            all.insert(key.clone(), (labels, series));
        }
        let Some((_, series)) = all.get(key) else { return };
        let counts = seen.state.counts();
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&series.ready, counts.available);
        set(&series.in_flight, counts.acquired);
        set(&series.redelivered, counts.redelivered);
        set(&series.archived, counts.archived);
        let age = counts.earliest_deadline.map(|deadline| seen.lock_duration.saturating_sub(deadline.since(seen.now)));
        set(&series.oldest_age_ms, u64::try_from(age.unwrap_or_default().as_millis()).unwrap_or(u64::MAX));
        if let Some(high_watermark) = seen.high_watermark {
            let behind = u64::try_from(high_watermark.0 - seen.state.start_offset().0).unwrap_or(0);
            set(&series.lag, behind.saturating_sub(counts.acknowledged + counts.archived));
        }
    }

    /// A group has no lane any more: its partitions are not looked at.
    pub(super) fn hide(&self, group_id: &GroupId) {
        self.series().retain(|(group, _), (labels, _)| {
            let stays = group != group_id;
            if !stays {
                self.families.remove(labels);
            }
            stays
        });
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<PartitionKey, (Labels, Series)>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share partition to be shown.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub state: &'a SharePartitionState,
    pub lock_duration: Duration,
    pub now: Timestamp,
    pub high_watermark: Option<Offset>,
}

impl Families {
    fn series(&self, labels: &Labels) -> Series {
        let gauge = |family: &Family<Labels, Gauge>| family.get_or_create(labels).clone();
        Series {
            ready: gauge(&self.ready),
            in_flight: gauge(&self.in_flight),
            redelivered: gauge(&self.redelivered),
            archived: gauge(&self.archived),
            oldest_age_ms: gauge(&self.oldest_age_ms),
            lag: gauge(&self.lag),
        }
    }

    fn remove(&self, labels: &Labels) {
        for family in [&self.ready, &self.in_flight, &self.redelivered, &self.archived, &self.oldest_age_ms, &self.lag]
        {
            family.remove(labels);
        }
    }
}
