//! Documents of share partitions, decoded, as this agent last saw or wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::coordinator::share::delivery::board::PartitionKey;
use crate::coordinator::share::partition::document::StoredPartition;
use crate::metastore::values::DocumentVersion;
use crate::model::group::GroupId;

/// What an entry costs besides its runs and holders, roughly.
const ENTRY_BYTES: usize = 512;
/// What a run or a holder costs.
const PART_BYTES: usize = 64;

/// A document as it was at a version.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub stored: Arc<StoredPartition>,
    pub version: DocumentVersion,
    /// It was the newest at some moment after this one.
    pub confirmed: Instant,
}

/// The cache: what was not used for longest goes first. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct DocumentCache(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    entries: BTreeMap<PartitionKey, Entry>,
    /// By last use.
    order: BTreeSet<(u64, PartitionKey)>,
    clock: u64,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    used: u64,
    bytes: usize,
}

impl DocumentCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        let (entries, order) = (BTreeMap::new(), BTreeSet::new());
        Self(Arc::new(Mutex::new(State { entries, order, clock: 0, bytes: 0, bytes_max })))
    }

    /// What is known of a partition; counts as a use.
    pub(super) fn get(&self, key: &PartitionKey) -> Option<Known> {
        let mut state = self.lock();
        let state = &mut *state;
        let entry = state.entries.get_mut(key)?;
        state.clock += 1;
        state.order.remove(&(entry.used, key.clone()));
        entry.used = state.clock;
        state.order.insert((entry.used, key.clone()));
        Some(entry.known.clone())
    }

    /// Remembers a document, unless a newer one is known.
    pub(super) fn put(&self, key: &PartitionKey, known: Known) {
        let mut state = self.lock();
        let order = |known: &Known| (known.version, known.confirmed);
        if state.entries.get(key).is_some_and(|entry| order(&entry.known) > order(&known)) {
            return;
        }
        state.remove(key);
        let bytes = byte_size(&known.stored);
        state.clock += 1;
        let used = state.clock;
        state.order.insert((used, key.clone()));
        state.entries.insert(key.clone(), Entry { known, used, bytes });
        state.bytes += bytes;
        while state.bytes > state.bytes_max {
            let Some((_, oldest)) = state.order.first().cloned() else { break };
            state.remove(&oldest);
        }
    }

    pub(super) fn remove(&self, key: &PartitionKey) {
        self.lock().remove(key);
    }

    pub(super) fn remove_group(&self, group_id: &GroupId) {
        let mut state = self.lock();
        let keys: Vec<PartitionKey> = state.entries.keys().filter(|(group, _)| group == group_id).cloned().collect();
        for key in keys {
            state.remove(&key);
        }
    }

    pub(super) fn byte_size(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: &PartitionKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&(entry.used, key.clone()));
            self.bytes -= entry.bytes;
        }
    }
}

fn byte_size(stored: &StoredPartition) -> usize {
    match stored {
        StoredPartition::Undecided => ENTRY_BYTES,
        StoredPartition::Decided(state) => ENTRY_BYTES + PART_BYTES * (state.runs().len() + state.holders().len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
    use uuid::Uuid;

    fn key(group: &str, index: i32) -> PartitionKey {
        (group.into(), TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index)))
    }

    fn known(version: u64) -> Known {
        let stored = Arc::new(StoredPartition::Undecided);
        Known { stored, version: DocumentVersion(version), confirmed: Instant::now() }
    }

    #[test]
    fn the_longest_unused_goes_first_and_old_news_change_nothing() {
        let cache = DocumentCache::new(3 * ENTRY_BYTES);
        for index in 0..3 {
            cache.put(&key("g", index), known(5));
        }
        assert!(cache.get(&key("g", 0)).is_some());
        cache.put(&key("h", 0), known(1));
        let left: Vec<_> = (0..3).filter(|index| cache.get(&key("g", *index)).is_some()).collect();
        assert_eq!((left, cache.byte_size()), (vec![0, 2], 3 * ENTRY_BYTES));
        cache.put(&key("g", 2), known(4));
        assert_eq!(cache.get(&key("g", 2)).map(|known| known.version), Some(DocumentVersion(5)));
        cache.remove_group(&"g".into());
        assert!(cache.get(&key("g", 2)).is_none() && cache.get(&key("h", 0)).is_some());
        cache.remove(&key("h", 0));
        assert_eq!(cache.byte_size(), 0);
    }
}
