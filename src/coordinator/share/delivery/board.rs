//! Who waits for a change of which share partition on this agent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::group::GroupId;
use crate::model::topic::TopicIdPartition;

/// Which share partition.
pub(super) type PartitionKey = (GroupId, TopicIdPartition);

/// Those who wait. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Tells the watch that somebody waits.
    occupied: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiters: BTreeMap<PartitionKey, BTreeMap<u64, Arc<Notify>>>,
    next_waiter: u64,
}

impl Board {
    /// From now on changes of `partitions` wake the wait.
    pub(super) fn wait_for(&self, group_id: &GroupId, partitions: impl Iterator<Item = TopicIdPartition>) -> Wait {
        let keys: Vec<PartitionKey> = partitions.map(|partition| (group_id.clone(), partition)).collect();
        let news = Arc::new(Notify::new());
        let mut state = self.lock();
        let id = state.next_waiter;
        state.next_waiter += 1;
        for key in &keys {
            state.waiters.entry(key.clone()).or_default().insert(id, Arc::clone(&news));
        }
        drop(state);
        self.0.occupied.notify_one();
        Wait { board: self.clone(), id, keys, news }
    }

    /// Wakes those who wait for a partition.
    pub(super) fn tell(&self, key: &PartitionKey) {
        for waiter in self.lock().waiters.get(key).into_iter().flat_map(BTreeMap::values) {
            waiter.notify_one();
        }
    }

    /// Wakes everybody.
    pub(super) fn tell_all(&self) {
        for waiter in self.lock().waiters.values().flat_map(BTreeMap::values) {
            waiter.notify_one();
        }
    }

    /// What somebody waits for.
    pub(super) fn awaited(&self) -> Vec<PartitionKey> {
        self.lock().waiters.keys().cloned().collect()
    }

    /// Returns once somebody waits.
    pub(super) async fn occupied(&self) {
        while self.lock().waiters.is_empty() {
            self.0.occupied.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst somebody who is woken for nothing.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes its holder when one of its partitions changes. News between two waits are not lost.
#[derive(Debug)]
pub(super) struct Wait {
    board: Board,
    id: u64,
    keys: Vec<PartitionKey>,
    news: Arc<Notify>,
}

impl Wait {
    /// Returns when there have been news since the last return. Cancel-safe.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        for key in &self.keys {
            if let Some(waiters) = state.waiters.get_mut(key) {
                waiters.remove(&self.id);
                if waiters.is_empty() {
                    state.waiters.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::topic::{PartitionIndex, TopicId};
    use futures::FutureExt;
    use uuid::Uuid;

    #[test]
    fn news_reach_those_who_wait_for_them_and_nothing_is_left_behind() {
        let partition = |index| TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index));
        let (board, group_id) = (Board::default(), GroupId::from("g"));
        assert!(board.occupied().now_or_never().is_none());
        let wait = board.wait_for(&group_id, [partition(0), partition(1)].into_iter());
        assert!(board.occupied().now_or_never().is_some());
        board.tell(&("other".into(), partition(0)));
        board.tell(&(group_id.clone(), partition(2)));
        assert!(wait.news().now_or_never().is_none());
        board.tell(&(group_id.clone(), partition(1)));
        assert!(wait.news().now_or_never().is_some());
        board.tell_all();
        assert!(wait.news().now_or_never().is_some());
        assert_eq!(board.awaited().len(), 2);
        drop(wait);
        assert!(board.awaited().is_empty());
    }
}
