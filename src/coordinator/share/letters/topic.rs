//! Finds the topic that takes a group's letters, or makes it.

use std::sync::Arc;

use tracing::info;

use crate::base::rng::Rng;
use crate::config::broker::BrokerDefaults;
use crate::config::share_group::ShareDeadLetterConfig;
use crate::config::topic::TopicConfig;
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::store::Metastore;
use crate::metastore::values::{CatalogRefusal, CatalogSnapshot, ConfigResource, Configs, NewTopic, TopicRecord};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// Which topics take dead letters.
const ENABLE: &str = "errors.deadletterqueue.group.enable";

/// How often the creation of a topic is asked for when its outcome is unknown; the step recognises a repetition.
const CREATIONS_MAX: u32 = 3;

/// Where letters go.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    /// To this topic.
    Topic(LetterTopic),
    /// Nowhere, for this reason.
    Nowhere(String),
}

/// A topic that takes dead letters.
#[derive(Clone, Debug)]
pub(super) struct LetterTopic {
    topic_id: TopicId,
    partition_count: i32,
    pub config: Arc<TopicConfig>,
}

impl LetterTopic {
    /// Where the letters of a partition go: to the one of the same number, around the end.
    pub(super) fn partition_for(&self, source: PartitionIndex) -> TopicIdPartition {
        let index = source.0.rem_euclid(self.partition_count.max(1));
        TopicIdPartition::new(self.topic_id, PartitionIndex(index))
    }
}

/// Finds topics for letters.
pub(super) struct TopicFinder {
    pub metastore: Arc<dyn Metastore>,
    pub catalog: CatalogCache,
    pub defaults: BrokerDefaults,
    pub rng: Rng,
}

impl TopicFinder {
    /// The topic that `config` names, if it takes letters; made if it does not exist and the cluster says so.
    ///
    /// # Errors
    /// When the metastore can not be asked. Nobody is denied a topic for that.
    pub(super) async fn find(&self, config: &ShareDeadLetterConfig) -> Result<Destination> {
        if let Some(found @ Destination::Topic(_)) = judge(&self.catalog.snapshot(), &config.topic) {
            return Ok(found);
        }
        // What this agent knows may be old news.
        if let Some(found) = judge(&*self.catalog.refresh().await?, &config.topic) {
            return Ok(found);
        }
        if !config.auto_create_topic {
            let reason = "it does not exist, and errors.deadletterqueue.auto.create.topics.enable is off";
            return Ok(Destination::Nowhere(reason.to_owned()));
        }
        self.create(&config.topic).await?;
        let missing = || Destination::Nowhere("it was deleted as soon as it was created".to_owned());
        Ok(judge(&*self.catalog.refresh().await?, &config.topic).unwrap_or_else(missing))
    }

    async fn create(&self, name: &TopicName) -> Result<()> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let topic = NewTopic {
            topic_id: TopicId(self.rng.uuid()),
            name: name.clone(),
            partition_count: self.defaults.partition_count,
            replication_factor: self.defaults.replication_factor,
            configs: Configs::from([set(ENABLE, "true"), set("message.timestamp.type", "CreateTime")]),
        };
        let mut outcome = self.metastore.create_topics(vec![topic.clone()]).await;
        for _ in 1..CREATIONS_MAX {
            if !matches!(outcome, Err(MetastoreError::Unknown(_))) {
                break;
            }
            outcome = self.metastore.create_topics(vec![topic.clone()]).await;
        }
        match outcome?.into_iter().next() {
            Some(Ok(())) => info!(topic = %name, "a topic for dead letters was created"),
            // Another agent was faster; what it made is judged as any other.
            Some(Err(CatalogRefusal::TopicExists(_))) => {}
            Some(Err(refusal)) => return Err(MetastoreError::Unavailable(refusal.to_string())),
            None => return Err(MetastoreError::Unavailable("no answer for the topic to create".to_owned())),
        }
        Ok(())
    }
}

/// What the catalog says of a topic; `None` when it does not exist.
fn judge(snapshot: &CatalogSnapshot, name: &TopicName) -> Option<Destination> {
    let record: &TopicRecord = snapshot.topics.get(name)?;
    let config = TopicConfig::effective(&record.configs, snapshot.configs.get(&ConfigResource::Broker(None)));
    if !config.takes_dead_letters {
        return Some(Destination::Nowhere(format!("it does not take dead letters: {ENABLE} is not true")));
    }
    let (topic_id, partition_count) = (record.topic_id, record.partition_count);
    Some(Destination::Topic(LetterTopic { topic_id, partition_count, config: Arc::new(config) }))
}
