//! The hot end of every log, in memory: bounds, recent extents, and who waits for news.
//!
//! ```text
//! partition   …|extent|extent|      |extent|      gaps are extents that another agent committed and whose
//!                            ^ gap         ^ high watermark       news have not come yet, or that were dropped
//! ```
//!
//! What is here is true but may be old: the metastore is asked for what is missing. Bounds never go back, in
//! whatever order news come in.
//!
//! *Transactions.* News do not name what was aborted. They need not: what lay below the last stable offset right after it
//! was appended belongs to no transaction that could have been aborted since. Whatever else an extent holds is undecided
//! here until the metastore is asked, which names aborted transactions together with the extents that they reach into.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::log::LogSettings;
use crate::metastore::values::{AbortedTransaction, Extent, FeedPosition, PartitionBounds, PartitionExtents};
use crate::model::offset::Offset;
use crate::model::topic::{TopicId, TopicIdPartition};
use crate::object::cache::Heat;

/// The hot ends. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Tail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    followed: AtomicU64,
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
    extents: BTreeMap<Offset, KnownExtent>,
    waiters: BTreeMap<u64, Arc<Notify>>,
}

/// What is known of a partition from an offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailView {
    /// The bounds.
    pub bounds: PartitionBounds,
    /// The extent that holds the offset and those that follow it without a gap; empty when it is not known.
    pub extents: Vec<KnownExtent>,
}

/// An extent, and which of its records count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownExtent {
    /// The extent.
    pub extent: Extent,
    /// How likely its bytes are in memory.
    pub heat: Heat,
    /// Up to here `aborted` is complete; between the extent's first offset and the one behind its last.
    pub decided_until: Offset,
    /// The aborted transactions that reach into it.
    pub aborted: Arc<[AbortedTransaction]>,
}

impl KnownExtent {
    /// An extent that `bounds` came with, and what had been aborted at that moment.
    #[must_use]
    pub fn new(extent: &Extent, heat: Heat, bounds: &PartitionBounds, aborted: &[AbortedTransaction]) -> Self {
        let reaches = |transaction: &&AbortedTransaction| {
            transaction.first_offset <= extent.last_offset && transaction.last_offset >= extent.base_offset
        };
        let decided_until = bounds.last_stable_offset.min(extent.last_offset.plus(1)).max(extent.base_offset);
        let aborted = match aborted {
            [] => Arc::default(),
            some => some.iter().filter(reaches).copied().collect(),
        };
        Self { extent: extent.clone(), heat, decided_until, aborted }
    }
}

impl Tail {
    /// An empty tail that keeps as many extents as `settings` allow.
    #[must_use]
    pub fn new(settings: &LogSettings) -> Self {
        let (recent_max, older_max) = (settings.tail_extents_max, settings.older_extents_max);
        Self(Arc::new(Inner { followed: AtomicU64::new(0), recent_max, older_max, state: Mutex::default() }))
    }

    /// How far the feed has been followed into this tail.
    #[must_use]
    pub fn followed(&self) -> FeedPosition {
        FeedPosition(self.0.followed.load(Ordering::Acquire))
    }

    /// Everything up to `position` is in this tail; for the follower alone.
    pub fn set_followed(&self, position: FeedPosition) {
        self.0.followed.store(position.0, Ordering::Release);
    }

    /// Takes news of a partition: from the feed, or from a commit of our own. Wakes whoever waits for it. `bounds` are
    /// those right after the step that added the extents.
    pub fn apply(&self, partition: TopicIdPartition, bounds: PartitionBounds, extents: &[Extent]) {
        let mut state = self.lock();
        let state = &mut *state;
        state.partitions.entry(partition).or_default().advance(bounds);
        let known = |extent: &Extent| KnownExtent::new(extent, Heat::Tail, &bounds, &[]);
        state.insert(partition, extents.iter().map(known), Heat::Tail, self.0.recent_max);
    }

    /// Takes what the metastore answered to a question about a partition's older extents.
    pub fn learn(&self, partition: TopicIdPartition, answer: &PartitionExtents) {
        let PartitionExtents { bounds, extents, aborted } = answer;
        let mut state = self.lock();
        let state = &mut *state;
        let tail = state.partitions.entry(partition).or_default();
        tail.stale = false;
        tail.advance(*bounds);
        let known = |extent: &Extent| KnownExtent::new(extent, Heat::Cold, bounds, aborted);
        state.insert(partition, extents.iter().map(known), Heat::Cold, self.0.older_max);
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
    fn insert(
        &mut self,
        partition: TopicIdPartition,
        extents: impl Iterator<Item = KnownExtent>,
        heat: Heat,
        queue_max: usize,
    ) {
        let Self { partitions, recent: recent_queue, older, .. } = self;
        let queue = if heat == Heat::Tail { recent_queue } else { older };
        let Some(tail) = partitions.get_mut(&partition) else { return };
        let log_start = tail.bounds.map_or(Offset(0), |bounds| bounds.log_start_offset);
        for mut news in extents.filter(|news| news.extent.last_offset >= log_start) {
            let base_offset = news.extent.base_offset;
            if let Some(known) = tail.extents.get(&base_offset) {
                // Asking for what the feed has told does not make it old.
                news.heat = known.heat;
                if known.decided_until > news.decided_until {
                    (news.decided_until, news.aborted) = (known.decided_until, Arc::clone(&known.aborted));
                }
            }
            if tail.extents.insert(base_offset, news).is_none() {
                queue.push_back((partition, base_offset));
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
            self.extents.retain(|_, known| known.extent.last_offset >= merged.log_start_offset);
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

    fn from(&self, offset: Offset, bytes_max: u64) -> Vec<KnownExtent> {
        let mut found: Vec<KnownExtent> = Vec::new();
        let Some((first, holder)) = self.extents.range(..=offset).next_back() else { return found };
        if holder.extent.last_offset < offset {
            return found;
        }
        let mut bytes = 0;
        for known in self.extents.range(*first..).map(|(_, known)| known) {
            let extent = &known.extent;
            let is_next = found.last().is_none_or(|last| last.extent.last_offset.plus(1) == extent.base_offset);
            if !is_next || (bytes >= bytes_max && !found.is_empty()) {
                break;
            }
            // Nobody knows how much of an extent lies before the offset and will be cut off.
            bytes += if extent.base_offset < offset { 0 } else { u64::from(extent.bytes.length) };
            found.push(known.clone());
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
mod tests;
