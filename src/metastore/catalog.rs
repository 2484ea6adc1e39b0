//! Role: what exists (cluster, topics, configurations, nodes, producer ids).

use async_trait::async_trait;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::error::Result;
use crate::metastore::values::{
    CatalogRefusal, CatalogSnapshot, CatalogVersion, ConfigChange, ConfigResource, NewNode, NewTopic, NodeRecord,
    ProducerIdBlock,
};
use crate::model::node::NodeIdentity;
use crate::model::topic::TopicId;

/// What exists. Every method is one atomic, durable step.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The cluster's identity: `proposed` becomes it when there is none yet.
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid>;

    /// The metastore's own clock, the one that deadlines obey.
    async fn now(&self) -> Result<Timestamp>;

    /// The whole catalog, or `None` when `known` is still its version.
    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>>;

    /// Creates topics, each for itself: one refusal does not hold up the others. A topic that exists under the
    /// same name *and id* was created by an earlier try and counts as created.
    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>>;

    /// Deletes topics with their partitions, extents, producer states and configurations; the objects they
    /// leave without extents are found by the ledger.
    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>>;

    /// Grows a topic to `partition_count` partitions.
    async fn create_partitions(
        &self,
        topic_id: TopicId,
        partition_count: i32,
    ) -> Result<std::result::Result<(), CatalogRefusal>>;

    /// Changes configuration entries of one resource, all or none. Values are not judged here.
    async fn alter_configs(
        &self,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
    ) -> Result<std::result::Result<(), CatalogRefusal>>;

    /// Registers a node under a fresh epoch, higher than any before it for that id, and fences the former
    /// holder of the id if the wanted id is taken by a dead node or by the same incarnation. A wanted id that a
    /// *living* other incarnation holds is refused as [`Fenced`](crate::metastore::error::MetastoreError::Fenced).
    async fn register_node(&self, node: NewNode) -> Result<NodeRecord>;

    /// Extends a node's life and says who else lives (itself included), sorted by id. A node whose time ran out
    /// but whose epoch nobody took is revived.
    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>>;

    /// Ends a registration; its epoch is fenced from then on. No error when it is over already.
    async fn deregister_node(&self, node: NodeIdentity) -> Result<()>;

    /// Hands out producer ids that nobody else will ever get.
    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock>;
}
