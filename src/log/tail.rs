//! The hot end of every log, in memory: bounds, recent extents, and who waits for news.
//!
//! ```text
//! partition   …|extent|extent|      |extent|      gaps are extents that another agent committed and whose
//!                            ^ gap         ^ high watermark       news have not come yet, or that were dropped
//! ```
//!
//! What is here is true but may be old: the metastore is asked for what is missing. Bounds never go back, in
//! whatever order news come in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::log::LogSettings;
use crate::metastore::values::{Extent, PartitionBounds};
use crate::model::offset::Offset;
use crate::model::topic::{TopicId, TopicIdPartition};
use crate::object::cache::Heat;

/// The hot ends. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Tail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    recent_max: usize,
    older_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<TopicIdPartition, PartitionTail>,
    /// Extents in order of arrival, to drop the oldest first; some are gone already.
    recent: VecDeque<(TopicIdPartition, Offset)>,
    older: VecDeque<(TopicIdPartition, Offset)>,
    next_waiter: u64,
}

#[derive(Debug, Default)]
struct PartitionTail {
    /// None as long as only waiters know the partition.
    bounds: Option<PartitionBounds>,
    /// News may have been missed: ask before the bounds are believed to be all there is.
    stale: bool,
    extents: BTreeMap<Offset, (Extent, Heat)>,
    waiters: BTreeMap<u64, Arc<Notify>>,
}

/// What is known of a partition from an offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailView {
    /// The bounds.
    pub bounds: PartitionBounds,
    /// The extent that holds the offset and those that follow it without a gap; empty when it is not known.
    pub extents: Vec<(Extent, Heat)>,
}

impl Tail {
    /// An empty tail that keeps as many extents as `settings` allow.
    #[must_use]
    pub fn new(settings: &LogSettings) -> Self {
        let (recent_max, older_max) = (settings.tail_extents_max, settings.older_extents_max);
        Self(Arc::new(Inner { recent_max, older_max, state: Mutex::default() }))
    }

    /// Takes news of a partition: from the feed, or from a commit of our own. Wakes whoever waits for it.
    pub fn apply(&self, partition: TopicIdPartition, bounds: PartitionBounds, extents: &[Extent]) {
        let mut state = self.lock();
        let state = &mut *state;
        state.partitions.entry(partition).or_default().advance(bounds);
        state.insert(partition, extents, Heat::Tail, self.0.recent_max);
    }

    /// Takes what the metastore answered to a question about a partition's older extents.
    pub fn learn(&self, partition: TopicIdPartition, bounds: PartitionBounds, extents: &[Extent]) {
        let mut state = self.lock();
        let state = &mut *state;
        let tail = state.partitions.entry(partition).or_default();
        tail.stale = false;
        tail.advance(bounds);
        state.insert(partition, extents, Heat::Cold, self.0.older_max);
    }

    /// What is known from `offset` on, up to `bytes_max` bytes of extents (at least one); `None` when the metastore
    /// must be asked even for the bounds.
    #[must_use]
    pub fn view(&self, partition: TopicIdPartition, offset: Offset, bytes_max: u64) -> Option<TailView> {
        let state = self.lock();
        let tail = state.partitions.get(&partition).filter(|tail| !tail.stale)?;
        Some(TailView { bounds: tail.bounds?, extents: tail.from(offset, bytes_max) })
    }

    /// The bounds as last heard of, stale or not.
    #[must_use]
    pub fn bounds(&self, partition: TopicIdPartition) -> Option<PartitionBounds> {
        self.lock().partitions.get(&partition)?.bounds
    }

    /// Forgets where the extents of a partition lie: they were found to have moved.
    pub fn forget_extents(&self, partition: TopicIdPartition) {
        if let Some(tail) = self.lock().partitions.get_mut(&partition) {
            tail.extents.clear();
        }
    }

    /// News were missed: nothing is believed to be current any more, and all who wait ask again.
    pub fn mark_stale(&self) {
        for tail in self.lock().partitions.values_mut() {
            tail.stale = true;
            tail.wake();
        }
    }

    /// Forgets partitions of topics that exist no more; whoever waits for one looks again.
    pub fn retain_topics(&self, mut exists: impl FnMut(TopicId) -> bool) {
        self.lock().partitions.retain(|partition, tail| {
            if exists(partition.topic_id) {
                return true;
            }
            (tail.bounds, tail.stale) = (None, false);
            tail.extents.clear();
            tail.wake();
            !tail.waiters.is_empty()
        });
    }

    /// From now on news of `partitions` wake the subscription.
    #[must_use]
    pub fn subscribe(&self, partitions: impl IntoIterator<Item = TopicIdPartition>) -> Subscription {
        let (news, partitions) = (Arc::new(Notify::new()), partitions.into_iter().collect::<Vec<_>>());
        let mut state = self.lock();
        let id = state.next_waiter;
        state.next_waiter += 1;
        for partition in &partitions {
            state.partitions.entry(*partition).or_default().waiters.insert(id, Arc::clone(&news));
        }
        drop(state);
        Subscription { tail: self.clone(), id, partitions, news }
    }

    /// Returns once the partition's high watermark is beyond `offset`.
    pub async fn wait_beyond(&self, partition: TopicIdPartition, offset: Offset) {
        let subscription = self.subscribe([partition]);
        while self.bounds(partition).is_none_or(|bounds| bounds.high_watermark <= offset) {
            subscription.news().await;
        }
    }

    /// How many extents are remembered.
    #[must_use]
    pub fn extent_count(&self) -> usize {
        self.lock().partitions.values().map(|tail| tail.extents.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst an extent unknown, which is then asked for.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, partition: TopicIdPartition, extents: &[Extent], heat: Heat, queue_max: usize) {
        let Self { partitions, recent: recent_queue, older, .. } = self;
        let queue = if heat == Heat::Tail { recent_queue } else { older };
        let Some(tail) = partitions.get_mut(&partition) else { return };
        let log_start = tail.bounds.map_or(Offset(0), |bounds| bounds.log_start_offset);
        for extent in extents.iter().filter(|extent| extent.last_offset >= log_start) {
            // Asking for what the feed has told does not make it old.
            let heat = tail.extents.get(&extent.base_offset).map_or(heat, |(_, known)| *known);
            if tail.extents.insert(extent.base_offset, (extent.clone(), heat)).is_none() {
                queue.push_back((partition, extent.base_offset));
            }
        }
        while queue.len() > queue_max {
            let Some((partition, base_offset)) = queue.pop_front() else { break };
            if let Some(tail) = partitions.get_mut(&partition) {
                tail.extents.remove(&base_offset);
            }
        }
    }
}

impl PartitionTail {
    fn advance(&mut self, news: PartitionBounds) {
        let Some(known) = self.bounds else {
            self.bounds = Some(news);
            return self.wake();
        };
        let newer = news.high_watermark >= known.high_watermark && news.log_start_offset >= known.log_start_offset;
        let merged = PartitionBounds {
            log_start_offset: known.log_start_offset.max(news.log_start_offset),
            high_watermark: known.high_watermark.max(news.high_watermark),
            last_stable_offset: known.last_stable_offset.max(news.last_stable_offset),
            byte_size: if newer { news.byte_size } else { known.byte_size },
        };
        self.bounds = Some(merged);
        if merged.log_start_offset > known.log_start_offset {
            self.extents.retain(|_, (extent, _)| extent.last_offset >= merged.log_start_offset);
        }
        let moved =
            |bounds: &PartitionBounds| (bounds.log_start_offset, bounds.high_watermark, bounds.last_stable_offset);
        if moved(&merged) != moved(&known) {
            self.wake();
        }
    }

    fn wake(&self) {
        for waiter in self.waiters.values() {
            waiter.notify_one();
        }
    }

    fn from(&self, offset: Offset, bytes_max: u64) -> Vec<(Extent, Heat)> {
        let mut found: Vec<(Extent, Heat)> = Vec::new();
        let Some((first, (holder, _))) = self.extents.range(..=offset).next_back() else { return found };
        if holder.last_offset < offset {
            return found;
        }
        let mut bytes = 0;
        for (extent, heat) in self.extents.range(*first..).map(|(_, known)| known) {
            let is_next = found.last().is_none_or(|(last, _)| last.last_offset.plus(1) == extent.base_offset);
            if !is_next || (bytes >= bytes_max && !found.is_empty()) {
                break;
            }
            // Nobody knows how much of an extent lies before the offset and will be cut off.
            bytes += if extent.base_offset < offset { 0 } else { u64::from(extent.bytes.length) };
            found.push((extent.clone(), *heat));
        }
        found
    }
}

/// Wakes its holder when one of its partitions has news. News between two waits are not lost.
#[derive(Debug)]
pub struct Subscription {
    tail: Tail,
    id: u64,
    partitions: Vec<TopicIdPartition>,
    news: Arc<Notify>,
}

impl Subscription {
    /// Returns when there have been news since the last return. Cancel-safe.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.tail.lock();
        for partition in &self.partitions {
            if let Some(tail) = state.partitions.get_mut(partition) {
                tail.waiters.remove(&self.id);
                if tail.bounds.is_none() && tail.waiters.is_empty() {
                    state.partitions.remove(partition);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::object::{ByteRange, ObjectKey};
    use crate::model::topic::PartitionIndex;
    use futures::FutureExt;
    use uuid::Uuid;

    fn partition(index: i32) -> TopicIdPartition {
        TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index))
    }

    fn bounds(log_start: i64, high_watermark: i64) -> PartitionBounds {
        PartitionBounds {
            log_start_offset: Offset(log_start),
            high_watermark: Offset(high_watermark),
            last_stable_offset: Offset(high_watermark),
            byte_size: 0,
        }
    }

    fn extent(base: i64, last: i64) -> Extent {
        Extent {
            base_offset: Offset(base),
            last_offset: Offset(last),
            object: ObjectKey::from("wal/x"),
            bytes: ByteRange { position: 64, length: 100 },
            crc: 0,
            max_timestamp: Timestamp(0),
            append_time: Timestamp(0),
        }
    }

    fn tail(recent_max: usize, older_max: usize) -> Tail {
        let settings =
            LogSettings { tail_extents_max: recent_max, older_extents_max: older_max, ..LogSettings::default() };
        Tail::new(&settings)
    }

    fn check(tail: &Tail, offset: i64, bytes_max: u64, expected: &[i64]) {
        let view = tail.view(partition(0), Offset(offset), bytes_max).expect("known");
        let bases: Vec<i64> = view.extents.iter().map(|(extent, _)| extent.base_offset.0).collect();
        assert_eq!(bases, expected, "from offset {offset}");
    }

    #[test]
    fn extents_are_given_up_to_a_gap() {
        let tail = tail(10, 10);
        assert_eq!(tail.view(partition(0), Offset(0), 1), None);
        tail.apply(partition(0), bounds(0, 40), &[extent(30, 39)]);
        tail.apply(partition(0), bounds(0, 20), &[extent(0, 9), extent(10, 19)]);
        check(&tail, 0, u64::MAX, &[0, 10]);
        check(&tail, 15, u64::MAX, &[10]);
        check(&tail, 25, u64::MAX, &[]);
        check(&tail, 35, u64::MAX, &[30]);
        tail.apply(partition(0), bounds(0, 30), &[extent(20, 29)]);
        check(&tail, 0, u64::MAX, &[0, 10, 20, 30]);
        check(&tail, 0, 150, &[0, 10]);
        check(&tail, 0, 0, &[0]);
    }

    #[test]
    fn bounds_never_go_back() {
        let tail = tail(10, 10);
        tail.apply(partition(0), bounds(5, 40), &[]);
        tail.apply(partition(0), bounds(0, 50), &[]);
        tail.learn(partition(0), bounds(7, 30), &[]);
        let seen = tail.bounds(partition(0)).expect("known");
        assert_eq!((seen.log_start_offset, seen.high_watermark), (Offset(7), Offset(50)));
    }

    #[test]
    fn extents_before_the_log_start_are_dropped() {
        let tail = tail(10, 10);
        tail.apply(partition(0), bounds(0, 20), &[extent(0, 9), extent(10, 19)]);
        tail.apply(partition(0), bounds(10, 20), &[]);
        check(&tail, 5, u64::MAX, &[]);
        check(&tail, 10, u64::MAX, &[10]);
        tail.learn(partition(0), bounds(10, 20), &[extent(0, 9)]);
        check(&tail, 5, u64::MAX, &[]);
    }

    #[test]
    fn memory_is_bounded_and_laggards_do_not_push_out_the_end() {
        let tail = tail(3, 2);
        for base in (100..110).step_by(2) {
            tail.apply(partition(0), bounds(0, base + 2), &[extent(base, base + 1)]);
        }
        assert_eq!(tail.extent_count(), 3);
        for base in (0..20).step_by(2) {
            tail.learn(partition(0), bounds(0, 110), &[extent(base, base + 1)]);
        }
        assert_eq!(tail.extent_count(), 5);
        check(&tail, 104, u64::MAX, &[104, 106, 108]);
        check(&tail, 16, u64::MAX, &[16, 18]);
    }

    #[test]
    fn news_wake_those_who_wait_for_that_partition() {
        let tail = tail(10, 10);
        let subscription = tail.subscribe([partition(0), partition(1)]);
        assert!(subscription.news().now_or_never().is_none());
        tail.apply(partition(2), bounds(0, 1), &[]);
        assert!(subscription.news().now_or_never().is_none());
        tail.apply(partition(1), bounds(0, 1), &[]);
        assert!(subscription.news().now_or_never().is_some());
        tail.apply(partition(1), bounds(0, 1), &[]);
        assert!(subscription.news().now_or_never().is_none(), "nothing is new");
        tail.mark_stale();
        assert!(subscription.news().now_or_never().is_some());
        assert_eq!(tail.view(partition(1), Offset(0), 1), None, "stale bounds are not the last word");
        drop(subscription);
        assert!(!tail.lock().partitions.contains_key(&partition(0)), "nothing is left behind");
    }
}
