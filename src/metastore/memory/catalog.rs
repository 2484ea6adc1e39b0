//! Catalog, in memory.

use async_trait::async_trait;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::catalog::Catalog;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::memory::state::{PartitionLog, State};
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::values::{
    CatalogRefusal, CatalogSnapshot, CatalogVersion, ConfigChange, ConfigResource, NewNode, NewTopic, NodeRecord,
    ProducerIdBlock,
};
use crate::model::node::NodeIdentity;
use crate::model::producer::ProducerId;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

#[async_trait]
impl Catalog for MemoryMetastore {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        Ok(*self.step()?.cluster_id.get_or_insert(proposed))
    }

    async fn now(&self) -> Result<Timestamp> {
        let _open = self.step()?;
        Ok(self.clock_now())
    }

    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        let state = self.step()?;
        Ok((state.topics.version() != known).then(|| state.topics.snapshot().clone()))
    }

    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        let (mut state, now) = (self.step()?, self.clock_now());
        let outcomes = topics.into_iter().map(|topic| state.create_topic(topic, now)).collect();
        self.announce(&state);
        Ok(outcomes)
    }

    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        let (mut state, now) = (self.step()?, self.clock_now());
        let outcomes = topics.into_iter().map(|topic_id| state.delete_topic(topic_id, now)).collect();
        self.announce(&state);
        Ok(outcomes)
    }

    async fn create_partitions(
        &self,
        topic_id: TopicId,
        partition_count: i32,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        let mut state = self.step()?;
        let outcome = state.topics.grow(topic_id, partition_count);
        if let Ok(added) = &outcome {
            state.add_logs(topic_id, added.clone());
            state.feed.push(None);
        }
        self.announce(&state);
        Ok(outcome.map(drop))
    }

    async fn alter_configs(
        &self,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        let mut state = self.step()?;
        let outcome = state.topics.alter(&resource, changes);
        if outcome == Ok(true) {
            state.feed.push(None);
        }
        self.announce(&state);
        Ok(outcome.map(drop))
    }

    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        self.step()?.nodes.register(node, self.clock_now())
    }

    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        self.step()?.nodes.beat(node, draining, self.clock_now())
    }

    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        self.step()?.nodes.deregister(node);
        Ok(())
    }

    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        let mut state = self.step()?;
        let first = state.next_producer_id;
        state.next_producer_id = first
            .checked_add(i64::from(count))
            .ok_or_else(|| MetastoreError::Unavailable("producer ids are exhausted".to_owned()))?;
        Ok(ProducerIdBlock { first: ProducerId(first), count })
    }
}

impl State {
    fn create_topic(&mut self, topic: NewTopic, now: Timestamp) -> std::result::Result<(), CatalogRefusal> {
        let (topic_id, partition_count) = (topic.topic_id, topic.partition_count);
        if self.topics.create(topic, now)? {
            self.add_logs(topic_id, 0..partition_count);
            self.feed.push(None);
        }
        Ok(())
    }

    fn add_logs(&mut self, topic_id: TopicId, partitions: std::ops::Range<i32>) {
        for index in partitions {
            self.logs.insert(TopicIdPartition::new(topic_id, PartitionIndex(index)), PartitionLog::default());
        }
    }

    fn delete_topic(&mut self, topic_id: TopicId, now: Timestamp) -> std::result::Result<(), CatalogRefusal> {
        let topic = self.topics.delete(topic_id)?;
        for index in 0..topic.partition_count {
            let log = self.logs.remove(&TopicIdPartition::new(topic_id, PartitionIndex(index))).unwrap_or_default();
            for extent in log.extents.values() {
                self.dereference(&extent.object, now);
            }
        }
        self.feed.push(None);
        Ok(())
    }
}
