//! A decorator for readers of the catalog: the last snapshot, in memory, refreshed when the feed says so.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::metastore::error::Result;
use crate::metastore::store::Metastore;
use crate::metastore::values::{CatalogSnapshot, CatalogVersion, TopicRecord};
use crate::model::topic::{TopicId, TopicName};

/// The catalog as this agent last read it. Cloning shares the cache.
///
/// A reader that misses a topic calls [`CatalogCache::refresh`] once before it says that there is none, so an
/// agent never denies what another one has acknowledged.
#[derive(Clone)]
pub struct CatalogCache(Arc<Inner>);

struct Inner {
    metastore: Arc<dyn Metastore>,
    snapshot: ArcSwap<CatalogSnapshot>,
    refreshing: Mutex<()>,
}

impl std::fmt::Debug for CatalogCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogCache").field("version", &self.snapshot().version).finish()
    }
}

impl CatalogCache {
    /// An empty cache over `metastore`; call [`CatalogCache::refresh`] before first use.
    #[must_use]
    pub fn new(metastore: Arc<dyn Metastore>) -> Self {
        Self(Arc::new(Inner { metastore, snapshot: ArcSwap::default(), refreshing: Mutex::new(()) }))
    }

    /// The last snapshot, without I/O.
    #[must_use]
    pub fn snapshot(&self) -> Arc<CatalogSnapshot> {
        self.0.snapshot.load_full()
    }

    /// Reads the catalog if it changed, and answers the newest snapshot.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn refresh(&self) -> Result<Arc<CatalogSnapshot>> {
        let _one_at_a_time = self.0.refreshing.lock().await;
        let known = self.0.snapshot.load().version;
        if let Some(snapshot) = self.0.metastore.catalog(known).await? {
            self.0.snapshot.store(Arc::new(snapshot));
        }
        Ok(self.snapshot())
    }

    /// Refreshes when the cache is older than `version`.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn at_least(&self, version: CatalogVersion) -> Result<Arc<CatalogSnapshot>> {
        let snapshot = self.snapshot();
        if snapshot.version >= version { Ok(snapshot) } else { self.refresh().await }
    }

    /// A topic by name; asks the metastore before it answers `None`.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn topic(&self, name: &TopicName) -> Result<Option<Arc<TopicRecord>>> {
        if let Some(topic) = self.0.snapshot.load().topics.get(name) {
            return Ok(Some(Arc::clone(topic)));
        }
        Ok(self.refresh().await?.topics.get(name).cloned())
    }

    /// A topic by identity; asks the metastore before it answers `None`.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn topic_by_id(&self, topic_id: TopicId) -> Result<Option<Arc<TopicRecord>>> {
        if let Some(topic) = self.0.snapshot.load().topics_by_id.get(&topic_id) {
            return Ok(Some(Arc::clone(topic)));
        }
        Ok(self.refresh().await?.topics_by_id.get(&topic_id).cloned())
    }
}
