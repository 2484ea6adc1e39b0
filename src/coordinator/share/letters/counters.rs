//! What dead letters are counted by, and who is warned of those that are not written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::base::clock::Timestamp;
use crate::base::metrics::Metrics;
use crate::model::group::GroupId;

/// So many groups are counted by name; all others together, so that the series stay few however many groups come.
const GROUPS_NAMED_MAX: usize = 100;

/// What groups without a series of their own are counted as.
const OTHERS: &str = "(others)";

/// A group is warned of once in this long.
const WARNING_GAP: Duration = Duration::from_secs(60);

type ByGroup = Family<Vec<(&'static str, String)>, Counter>;

/// The counters, by Kafka's names.
#[derive(Debug)]
pub(super) struct Counters {
    records: ByGroup,
    dropped: ByGroup,
    produce_requests: Counter,
    failed_produce_requests: Counter,
    named: Mutex<BTreeSet<GroupId>>,
    warned: Mutex<BTreeMap<GroupId, Timestamp>>,
}

impl Counters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(name, help, Counter::default());
        let by_group = |name, help| metrics.register(name, help, ByGroup::default());
        Self {
            records: by_group("dead_letter_queue_record_count", "Dead letters written"),
            dropped: by_group(
                "dead_letter_queue_dropped_record_count",
                "Records given up without a letter, for want of a topic that takes it",
            ),
            produce_requests: counter("dead_letter_queue_total_produce_requests", "Rounds of dead letters tried"),
            failed_produce_requests: counter(
                "dead_letter_queue_failed_produce_requests",
                "Rounds of dead letters that failed, to be tried again or for want of a topic that takes them",
            ),
            named: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// A round with letters is tried.
    pub(super) fn tried(&self) {
        self.produce_requests.inc();
    }

    /// It failed.
    pub(super) fn failed(&self) {
        self.failed_produce_requests.inc();
    }

    /// A round is stored.
    pub(super) fn stored(&self, group_id: &GroupId, written: u64, dropped: u64) {
        let label = vec![("group", self.label(group_id))];
        if written > 0 {
            self.records.get_or_create(&label).inc_by(written);
        }
        if dropped > 0 {
            self.dropped.get_or_create(&label).inc_by(dropped);
        }
    }

    /// Whether it is time to warn of a group again.
    pub(super) fn may_warn(&self, group_id: &GroupId, now: Timestamp) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        warned.retain(|_, at| now < at.plus(WARNING_GAP));
        let is_due = !warned.contains_key(group_id);
        if is_due {
            warned.insert(group_id.clone(), now);
        }
        is_due
    }

    fn label(&self, group_id: &GroupId) -> String {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < GROUPS_NAMED_MAX {
            named.insert(group_id.clone());
        }
        if named.contains(group_id) { group_id.as_str().to_owned() } else { OTHERS.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_stay_few() {
        let metrics = Metrics::default();
        let counters = Counters::new(&metrics);
        for group in 0..150 {
            counters.stored(&GroupId::from(format!("group-{group}").as_str()), 1, 0);
        }
        counters.stored(&GroupId::from("group-7"), 2, 3);
        let text = metrics.render();
        assert!(text.contains("towpath_dead_letter_queue_record_count_total{group=\"group-7\"} 3"), "{text}");
        assert!(text.contains("towpath_dead_letter_queue_record_count_total{group=\"(others)\"} 50"), "{text}");
        assert!(text.contains("towpath_dead_letter_queue_dropped_record_count_total{group=\"group-7\"} 3"), "{text}");
        assert_eq!(text.matches("dead_letter_queue_record_count_total{").count(), 101);
    }

    #[test]
    fn a_group_is_warned_of_once_a_minute() {
        let counters = Counters::new(&Metrics::default());
        let (a, b) = (GroupId::from("a"), GroupId::from("b"));
        assert!(counters.may_warn(&a, Timestamp(0)));
        assert!(!counters.may_warn(&a, Timestamp(59_999)));
        assert!(counters.may_warn(&b, Timestamp(59_999)));
        assert!(counters.may_warn(&a, Timestamp(60_000)));
        assert!(!counters.may_warn(&b, Timestamp(60_000)));
    }
}
