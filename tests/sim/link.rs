//! An agent's link to the metastore, with faults: late, lost before the step, lost after it, cut.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use towpath::base::clock::Timestamp;
use towpath::base::rng::Rng;
use towpath::metastore::batch_index::BatchIndex;
use towpath::metastore::catalog::Catalog;
use towpath::metastore::error::{MetastoreError, Result};
use towpath::metastore::object_ledger::ObjectLedger;
use towpath::metastore::state_store::StateStore;
use towpath::metastore::store::Metastore;
use towpath::metastore::values::*;
use towpath::model::node::NodeIdentity;
use towpath::model::object::ObjectKey;
use towpath::model::topic::{TopicId, TopicIdPartition};
use uuid::Uuid;

/// How bad a link is; probabilities per call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Refused, surely not applied.
    pub(crate) unavailable: f64,
    /// Lost on the way there: unknown, and not applied.
    pub(crate) lost_before: f64,
    /// Lost on the way back: unknown, but applied.
    pub(crate) lost_after: f64,
    /// Applied much later than the caller was told that nothing is known.
    pub(crate) late: f64,
    /// The longest one-way delay.
    pub(crate) delay: Duration,
    /// Nothing passes.
    pub(crate) cut: bool,
}

/// A metastore seen through a faulty link.
pub(crate) struct Linked {
    inner: Arc<dyn Metastore>,
    weather: Arc<Mutex<Weather>>,
    rng: Rng,
}

impl Linked {
    pub(crate) fn new(inner: Arc<dyn Metastore>, weather: Arc<Mutex<Weather>>, rng: Rng) -> Self {
        Self { inner, weather, rng }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("no panic while held")
    }

    /// One call across the link. `step` runs once, or not at all.
    async fn call<T, F>(&self, step: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let weather = self.weather();
        tokio::time::sleep(self.rng.jitter(weather.delay)).await;
        if weather.cut {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Err(MetastoreError::Unknown("link cut".into()));
        }
        if self.rng.chance(weather.unavailable) {
            return Err(MetastoreError::Unavailable("simulated".into()));
        }
        if self.rng.chance(weather.lost_before) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(MetastoreError::Unknown("request lost".into()));
        }
        if self.rng.chance(weather.late) {
            // The caller gives up; the step still happens, some time later, whatever the caller does meanwhile.
            let pause = self.rng.jitter(Duration::from_secs(3));
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                drop(step.await);
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(MetastoreError::Unknown("request late".into()));
        }
        // A caller that is dropped meanwhile (a crash) does not undo a step that is under way.
        let outcome = tokio::spawn(step).await.expect("steps do not panic");
        tokio::time::sleep(self.rng.jitter(weather.delay)).await;
        if self.rng.chance(weather.lost_after) || self.weather().cut {
            return Err(MetastoreError::Unknown("answer lost".into()));
        }
        outcome
    }
}

/// Forwards a method across the link.
macro_rules! across {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {{
        let inner = Arc::clone(&$self.inner);
        $self.call(async move { inner.$method($($argument),*).await }).await
    }};
}

#[async_trait]
impl Catalog for Linked {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        across!(self, cluster_id(proposed))
    }
    async fn now(&self) -> Result<Timestamp> {
        across!(self, now())
    }
    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        across!(self, catalog(known))
    }
    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        across!(self, create_topics(topics))
    }
    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        across!(self, delete_topics(topics))
    }
    async fn create_partitions(&self, topic_id: TopicId, count: i32) -> Result<std::result::Result<(), CatalogRefusal>> {
        across!(self, create_partitions(topic_id, count))
    }
    async fn alter_configs(
        &self,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        across!(self, alter_configs(resource, changes))
    }
    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        across!(self, register_node(node))
    }
    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        across!(self, beat(node, draining))
    }
    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        across!(self, deregister_node(node))
    }
    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        across!(self, allocate_producer_ids(count))
    }
}

#[async_trait]
impl BatchIndex for Linked {
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt> {
        across!(self, commit_object(commit))
    }
    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        let object = object.clone();
        across!(self, receipt(&object))
    }
    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        across!(self, find_extents(queries))
    }
    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        across!(self, bounds(partitions))
    }
    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        across!(self, find_by_time(queries))
    }
    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        across!(self, move_log_start(moves))
    }
    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        across!(self, feed(after, wait))
    }
    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        across!(self, expire_producers(idle))
    }
}

#[async_trait]
impl ObjectLedger for Linked {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        across!(self, object_states(keys))
    }
    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        across!(self, tombstone(keys))
    }
    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        across!(self, dereferenced(grace, limit))
    }
    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        across!(self, forget(keys))
    }
}

#[async_trait]
impl StateStore for Linked {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        across!(self, get_documents(keys))
    }
    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        let prefix = prefix.to_owned();
        across!(self, list_documents(kind, &prefix, after, limit))
    }
    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        across!(self, write_documents(write))
    }
}

#[async_trait]
impl Metastore for Linked {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
