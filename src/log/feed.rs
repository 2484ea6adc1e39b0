//! Follows the metastore's commit feed: one question per agent, however many consumers wait.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::base::task::{Supervisor, TaskKind};
use crate::config::log::LogSettings;
use crate::log::tail::Tail;
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::Result;
use crate::metastore::store::Metastore;
use crate::metastore::values::{CatalogVersion, FeedPage, FeedPosition};

/// What a follower works with.
pub struct FeedParts {
    /// Whose feed.
    pub metastore: Arc<dyn Metastore>,
    /// Refreshed when the feed says that topics or configurations changed.
    pub catalog: CatalogCache,
    /// Where the news go.
    pub tail: Tail,
    /// For pauses between attempts.
    pub rng: Rng,
    /// How long to wait in one call.
    pub settings: LogSettings,
}

impl std::fmt::Debug for FeedParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedParts").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

/// Brings the tail and the catalog up to date with what every agent commits.
#[derive(Debug)]
pub struct FeedFollower {
    parts: FeedParts,
    position: FeedPosition,
}

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

impl FeedFollower {
    /// Starts to follow, until the supervisor stops feeds. While the metastore can not be reached it goes on trying.
    pub fn start(supervisor: &Supervisor, parts: FeedParts) {
        let stop = supervisor.token(TaskKind::Feed);
        let mut follower = Self { parts, position: FeedPosition::default() };
        supervisor.spawn(TaskKind::Feed, "feed-follower", async move {
            // Between two pages nothing is half done, so the loop can be dropped at any await.
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = follower.run() => {}
            }
            Ok(())
        });
    }

    async fn run(&mut self) {
        let mut pauses = self.pauses();
        loop {
            match self.tick().await {
                Ok(()) => pauses = self.pauses(),
                Err(error) => {
                    warn!(%error, "the commit feed can not be followed just now");
                    tokio::time::sleep(pauses.next_pause()).await;
                }
            }
        }
    }

    fn pauses(&self) -> Backoff {
        Backoff::new(PAUSE_FIRST, PAUSE_LONGEST, self.parts.rng.clone())
    }

    /// Follows one page.
    async fn tick(&mut self) -> Result<()> {
        let page = self.parts.metastore.feed(self.position, self.parts.settings.feed_wait()).await?;
        let catalog_version = page.catalog_version;
        self.apply(page);
        self.refresh(catalog_version).await
    }

    fn apply(&mut self, page: FeedPage) {
        if page.reset {
            info!(position = page.position.0, "commit feed begins anew; partitions are looked up again");
            self.parts.tail.mark_stale();
        }
        for entry in page.entries {
            self.parts.tail.apply(entry.partition, entry.bounds, &entry.extents);
        }
        self.position = page.position;
    }

    async fn refresh(&self, version: CatalogVersion) -> Result<()> {
        if self.parts.catalog.snapshot().version < version {
            let snapshot = self.parts.catalog.refresh().await?;
            self.parts.tail.retain_topics(|topic_id| snapshot.topics_by_id.contains_key(&topic_id));
        }
        Ok(())
    }
}
