//! Topics and partitions as requests name them.

use std::sync::{Arc, LazyLock};

use kafka_protocol::messages::TopicName as WireTopicName;
use kafka_protocol::protocol::StrBytes;

use crate::config::topic::TopicConfig;
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::Result;
use crate::metastore::values::{CatalogSnapshot, ConfigResource, Configs, TopicRecord};
use crate::model::error::Condition;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// A topic by what the request says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name, legal or not.
    Name(Arc<str>),
    /// By identity (KIP-516).
    Id(TopicId),
}

impl TopicRef {
    /// The topic meant by a request that carries names, or identities if `by_id`.
    #[must_use]
    pub fn of(name: &WireTopicName, topic_id: uuid::Uuid, by_id: bool) -> Self {
        if by_id { Self::Id(TopicId(topic_id)) } else { Self::Name(name.as_str().into()) }
    }

    /// The name for an answer; empty for a topic known by identity.
    #[must_use]
    pub fn wire_name(&self) -> WireTopicName {
        match self {
            Self::Name(name) => WireTopicName(StrBytes::from_string(name.as_ref().to_owned())),
            Self::Id(_) => WireTopicName::default(),
        }
    }

    /// The identity for an answer; nil for a topic known by name.
    #[must_use]
    pub fn wire_id(&self) -> uuid::Uuid {
        match self {
            Self::Name(_) => uuid::Uuid::nil(),
            Self::Id(topic_id) => topic_id.0,
        }
    }

    /// What to answer when there is no such topic.
    #[must_use]
    pub fn missing(&self) -> Condition {
        match self {
            Self::Name(_) => Condition::UnknownTopicOrPartition,
            Self::Id(_) => Condition::UnknownTopicId,
        }
    }

    /// The topic as `snapshot` has it.
    #[must_use]
    pub fn find<'a>(&self, snapshot: &'a CatalogSnapshot) -> Option<&'a Arc<TopicRecord>> {
        match self {
            Self::Name(name) => snapshot.topics.get(&TopicName::new(name).ok()?),
            Self::Id(topic_id) => snapshot.topics_by_id.get(topic_id),
        }
    }

    /// One of its partitions as `snapshot` has it.
    ///
    /// # Errors
    /// The condition to answer when topic or partition does not exist.
    pub fn find_partition<'a>(
        &self,
        snapshot: &'a CatalogSnapshot,
        index: i32,
    ) -> std::result::Result<(&'a Arc<TopicRecord>, TopicIdPartition), Condition> {
        let topic = self.find(snapshot).ok_or(self.missing())?;
        let partition = partition_of(topic, index).ok_or(Condition::UnknownTopicOrPartition)?;
        Ok((topic, partition))
    }
}

/// The partition `index` of `topic`, if it has one.
#[must_use]
pub fn partition_of(topic: &TopicRecord, index: i32) -> Option<TopicIdPartition> {
    (0..topic.partition_count).contains(&index).then(|| TopicIdPartition::new(topic.topic_id, PartitionIndex(index)))
}

/// A snapshot in which `complete` holds if possible: the cached one, else the metastore's newest.
///
/// # Errors
/// When the cached one is not complete and the metastore can not be asked.
pub async fn snapshot_where(
    catalog: &CatalogCache,
    complete: impl Fn(&CatalogSnapshot) -> bool,
) -> Result<Arc<CatalogSnapshot>> {
    let snapshot = catalog.snapshot();
    if complete(&snapshot) { Ok(snapshot) } else { catalog.refresh().await }
}

/// The entries that hold for every broker, and by their broker-wide names for every topic.
#[must_use]
pub fn cluster_configs(snapshot: &CatalogSnapshot) -> Option<&Configs> {
    snapshot.configs.get(&ConfigResource::Broker(None))
}

/// What the log must know of a topic's configuration.
#[must_use]
pub fn topic_config(snapshot: &CatalogSnapshot, topic: &TopicRecord) -> Arc<TopicConfig> {
    static DEFAULT: LazyLock<Arc<TopicConfig>> = LazyLock::new(Arc::default);
    let cluster = cluster_configs(snapshot);
    if topic.configs.is_empty() && cluster.is_none() {
        return Arc::clone(&DEFAULT);
    }
    Arc::new(TopicConfig::effective(&topic.configs, cluster))
}

/// Text for an answer.
#[must_use]
pub fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
