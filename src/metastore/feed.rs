//! The commit feed of a backend that lives in one process: a bounded log of news, in memory.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::latest;

use crate::metastore::error::Result;
use crate::metastore::values::{CatalogVersion, FeedEntry, FeedPage, FeedPosition};

/// How many news are remembered; readers rely on 10,000.
pub const REMEMBERED_NEWS: usize = 16_384;

/// How many entries one page holds at most, so that a reader far behind does not ask for all at once.
pub const PAGE_ENTRIES_MAX: usize = 2_048;

/// The last news in order. Positions count news from 1; a reader at position `p` has seen news 1 … `p`.
#[derive(Clone, Debug)]
pub struct FeedLog {
    /// `None` marks a change of the catalog: nothing to say of a partition, but readers wake.
    news: VecDeque<Option<FeedEntry>>,
    position: FeedPosition,
}

impl FeedLog {
    /// An empty log that goes on from `position`; readers at an earlier one are told that they missed news.
    #[must_use]
    pub fn starting_at(position: FeedPosition) -> Self {
        Self { news: VecDeque::new(), position }
    }

    /// Where a reader that has seen everything stands.
    #[must_use]
    pub fn position(&self) -> FeedPosition {
        self.position
    }

    /// Adds news: an entry, or `None` when only the catalog changed.
    pub fn push(&mut self, entry: Option<FeedEntry>) {
        if self.news.len() >= REMEMBERED_NEWS {
            self.news.pop_front();
        }
        self.news.push_back(entry);
        self.position.0 += 1;
    }

    /// The news after a position; empty and at that very position when there are none.
    #[must_use]
    pub fn page(&self, after: FeedPosition, catalog_version: CatalogVersion) -> FeedPage {
        let before_oldest = self.position.0 - self.news.len() as u64;
        let seen = after.0.checked_sub(before_oldest).filter(|_| after <= self.position);
        let Some(seen) = seen else {
            return FeedPage { position: self.position, catalog_version, entries: Vec::new(), reset: true };
        };
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        let page = self.news.iter().skip(seen).take(PAGE_ENTRIES_MAX);
        let position = FeedPosition(after.0 + page.len() as u64);
        FeedPage { position, catalog_version, entries: page.flatten().cloned().collect(), reset: false }
    }
}

/// Waits for news: looks for a page at once, and again whenever `news` changes, until there is something to say
/// or `wait` is over.
///
/// # Errors
/// Those of `page`.
pub async fn follow(
    mut news: latest::Receiver<FeedPosition>,
    after: FeedPosition,
    wait: Duration,
    page: impl Fn() -> Result<FeedPage>,
) -> Result<FeedPage> {
    let look = async {
        loop {
            // Mark what is known as seen before looking, so that nothing between the two is missed.
            news.borrow_and_update();
            let found = page()?;
            if found.reset || found.position != after || news.changed().await.is_err() {
                return Ok(found);
            }
        }
    };
    match tokio::time::timeout(wait, look).await {
        Ok(found) => found,
        Err(_elapsed) => page(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::metastore::sequencing::NO_BOUNDS;
    use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

    fn entry(partition: i32) -> FeedEntry {
        let partition = TopicIdPartition::new(TopicId(Uuid::nil()), PartitionIndex(partition));
        FeedEntry { partition, bounds: NO_BOUNDS, extents: Vec::new() }
    }

    fn page(log: &FeedLog, after: u64) -> (u64, Vec<i32>, bool) {
        let page = log.page(FeedPosition(after), CatalogVersion(1));
        let partitions = page.entries.iter().map(|entry| entry.partition.partition.0).collect();
        (page.position.0, partitions, page.reset)
    }

    #[test]
    fn pages_follow_each_other() {
        let mut log = FeedLog::starting_at(FeedPosition(0));
        assert_eq!(page(&log, 0), (0, vec![], false));
        log.push(Some(entry(1)));
        log.push(None);
        log.push(Some(entry(2)));
        assert_eq!(page(&log, 0), (3, vec![1, 2], false));
        assert_eq!(page(&log, 1), (3, vec![2], false));
        assert_eq!(page(&log, 3), (3, vec![], false));
    }

    #[test]
    fn a_reader_that_missed_news_is_reset() {
        let mut log = FeedLog::starting_at(FeedPosition(10));
        assert_eq!(page(&log, 9), (10, vec![], true));
        assert_eq!(page(&log, 10), (10, vec![], false));
        assert_eq!(page(&log, 11), (10, vec![], true));
        for _ in 0..=REMEMBERED_NEWS {
            log.push(Some(entry(0)));
        }
        assert!(page(&log, 10).2);
        let (position, entries, reset) = page(&log, 11);
        assert_eq!((position, entries.len(), reset), (11 + PAGE_ENTRIES_MAX as u64, PAGE_ENTRIES_MAX, false));
    }
}
