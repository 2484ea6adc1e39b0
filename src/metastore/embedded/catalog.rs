//! Catalog, embedded.

use async_trait::async_trait;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::catalog::Catalog;
use crate::metastore::embedded::core::Step;
use crate::metastore::embedded::store::EmbeddedMetastore;
use crate::metastore::embedded::{keys, records};
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::values::{
    CatalogRefusal, CatalogSnapshot, CatalogVersion, ConfigChange, ConfigResource, NewNode, NewTopic, NodeRecord,
    ProducerIdBlock,
};
use crate::model::node::NodeIdentity;
use crate::model::producer::ProducerId;
use crate::model::topic::TopicId;

/// How many rows one step of a deletion takes away: bounded work between two commits.
const ROWS_PER_STEP: usize = 1_000;

type Outcome = std::result::Result<(), CatalogRefusal>;

#[async_trait]
impl Catalog for EmbeddedMetastore {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        let choose = move |step: &mut Step| match step.cluster_id() {
            Some(cluster_id) => cluster_id,
            None => {
                step.set_cluster_id(proposed);
                proposed
            }
        };
        self.step(move |step| Box::pin(async move { Ok(choose(step)) })).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.check_open()?;
        Ok(self.clock_now())
    }

    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        let view = self.view()?;
        Ok((view.catalog.version != known).then(|| view.catalog.as_ref().clone()))
    }

    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<Outcome>> {
        let create = move |step: &mut Step| topics.into_iter().map(|topic| step.create_topic(topic)).collect();
        self.step(move |step| Box::pin(async move { Ok(create(step)) })).await
    }

    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<Outcome>> {
        let delete =
            move |step: &mut Step| topics.into_iter().map(|topic_id| step.delete_topic(topic_id)).collect::<Vec<_>>();
        let outcomes = self.step(move |step| Box::pin(async move { Ok(delete(step)) })).await?;
        self.finish_deletions().await?;
        Ok(outcomes)
    }

    async fn create_partitions(&self, topic_id: TopicId, partition_count: i32) -> Result<Outcome> {
        let grow = move |step: &mut Step| {
            step.change_topics().grow(topic_id, partition_count)?;
            step.store_topic(topic_id);
            step.tell(None);
            Ok(())
        };
        self.step(move |step| Box::pin(async move { Ok(grow(step)) })).await
    }

    async fn alter_configs(&self, resource: ConfigResource, changes: Vec<ConfigChange>) -> Result<Outcome> {
        let alter = move |step: &mut Step| {
            if step.change_topics().alter(&resource, changes)? {
                step.store_configs(&resource);
                step.tell(None);
            }
            Ok(())
        };
        self.step(move |step| Box::pin(async move { Ok(alter(step)) })).await
    }

    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        let register = move |step: &mut Step| {
            let now = step.now;
            let record = step.change_nodes().register(node, now)?;
            step.store_node(record.identity);
            Ok(record)
        };
        let record = self.step(move |step| Box::pin(async move { register(step) })).await?;
        self.remember_node(record.identity.node_id);
        Ok(record)
    }

    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        let beat = move |step: &mut Step| {
            let now = step.now;
            step.change_nodes().beat(node, draining, now)
        };
        self.step(move |step| Box::pin(async move { beat(step) })).await
    }

    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        let end = move |step: &mut Step| {
            if step.change_nodes().deregister(node) {
                step.store_node(node);
            }
        };
        self.step(move |step| {
            Box::pin(async move {
                end(step);
                Ok(())
            })
        })
        .await
    }

    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        let allocate = move |step: &mut Step| {
            let exhausted = || MetastoreError::Unavailable("producer ids are exhausted".to_owned());
            let first = i64::try_from(step.next_producer_id()).map_err(|_| exhausted())?;
            step.set_next_producer_id(step.next_producer_id().checked_add(u64::from(count)).ok_or_else(exhausted)?);
            Ok(ProducerIdBlock { first: ProducerId(first), count })
        };
        self.step(move |step| Box::pin(async move { allocate(step) })).await
    }
}

impl Step {
    fn create_topic(&mut self, topic: NewTopic) -> Outcome {
        let (topic_id, now) = (topic.topic_id, self.now);
        if self.change_topics().create(topic, now)? {
            self.store_topic(topic_id);
            self.tell(None);
        }
        Ok(())
    }

    fn delete_topic(&mut self, topic_id: TopicId) -> Outcome {
        self.change_topics().delete(topic_id)?;
        self.delete(keys::topic(topic_id));
        self.put(keys::dying_topic(topic_id), Vec::new());
        self.forget_partitions();
        self.tell(None);
        Ok(())
    }

    fn store_topic(&mut self, topic_id: TopicId) {
        if let Some(topic) = self.topics().topic(topic_id) {
            let value = records::topic_bytes(topic);
            self.put(keys::topic(topic_id), value);
        }
    }

    fn store_configs(&mut self, resource: &ConfigResource) {
        if let ConfigResource::Topic(topic_id) = resource {
            return self.store_topic(*topic_id);
        }
        match self.topics().configs(resource).map(records::configs_bytes) {
            Some(value) => self.put(keys::config(resource), value),
            None => self.delete(keys::config(resource)),
        }
    }

    fn store_node(&mut self, node: NodeIdentity) {
        if let Some(registration) = self.nodes().registration(node.node_id) {
            let value = records::node_bytes(registration);
            self.put(keys::node(node.node_id), value);
        }
    }

    /// Takes away some rows of some deleted topic, from where an earlier step stopped; says where the next one
    /// goes on, or `None` when no deleted topic is left.
    async fn bury(&mut self, from: Burial) -> Result<Option<Burial>> {
        let mut dying = self.moment.scan(keys::all_dying_topics()).await?;
        let Some((dying_key, _)) = dying.next().await? else { return Ok(None) };
        let topic_id = keys::dying_topic_id(&dying_key)?;
        if self.topics().topic(topic_id).is_some() {
            // Its identity was used again: what is stored under it belongs to the living.
            self.delete(dying_key);
            return Ok(Some(Burial::default()));
        }
        let mut last = if from.topic_id == Some(topic_id) { from.last } else { Vec::new() };
        let mut left = ROWS_PER_STEP;
        for range in keys::of_topic(topic_id, &last.clone()) {
            let mut rows = self.moment.scan(range).await?;
            while left > 0
                && let Some((key, value)) = rows.next().await?
            {
                if keys::is_extent(&key) {
                    let (_, last_offset) = keys::extent_of(&key)?;
                    let stored = records::StoredExtent::from_bytes(last_offset, &value)?;
                    self.dereference(&stored.extent.object).await?;
                }
                self.delete(&key);
                last = key.to_vec();
                left -= 1;
            }
        }
        if left > 0 {
            self.delete(dying_key);
        }
        Ok(Some(Burial { topic_id: Some(topic_id), last }))
    }
}

/// How far the deletion of a topic has come, so that no step walks over what earlier ones took away.
#[derive(Debug, Default)]
struct Burial {
    topic_id: Option<TopicId>,
    last: Vec<u8>,
}

impl EmbeddedMetastore {
    /// Takes away what deleted topics left, step by step, so that commits go on between.
    pub(super) async fn finish_deletions(&self) -> Result<()> {
        let mut burial = Some(Burial::default());
        while let Some(from) = burial {
            burial = self.step(move |step| Box::pin(step.bury(from))).await?;
        }
        Ok(())
    }
}
