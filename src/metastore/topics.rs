//! Topics and configurations as one table, with the decisions about them; shared by backends that hold the
//! catalog in memory.

use std::ops::Range;
use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::metastore::values::{
    CatalogRefusal, CatalogSnapshot, CatalogVersion, ConfigChange, ConfigResource, Configs, NewTopic, TopicRecord,
};
use crate::model::topic::{TopicId, TopicIdPartition};

/// Topics and configurations. Every change raises the version by one.
#[derive(Clone, Debug)]
pub struct TopicTable(CatalogSnapshot);

impl Default for TopicTable {
    fn default() -> Self {
        // Version 0 means "never read", so that even an empty catalog can be news.
        Self(CatalogSnapshot { version: CatalogVersion(1), ..CatalogSnapshot::default() })
    }
}

impl TopicTable {
    /// A table from what was stored.
    #[must_use]
    pub fn from_stored(
        version: CatalogVersion,
        topics: impl IntoIterator<Item = TopicRecord>,
        configs: impl IntoIterator<Item = (ConfigResource, Configs)>,
    ) -> Self {
        let mut table = Self(CatalogSnapshot { version, ..CatalogSnapshot::default() });
        topics.into_iter().for_each(|topic| table.put(topic));
        table.0.configs = configs.into_iter().collect();
        table
    }

    /// What readers see.
    #[must_use]
    pub fn snapshot(&self) -> &CatalogSnapshot {
        &self.0
    }

    /// The version now.
    #[must_use]
    pub fn version(&self) -> CatalogVersion {
        self.0.version
    }

    /// A living topic.
    #[must_use]
    pub fn topic(&self, topic_id: TopicId) -> Option<&Arc<TopicRecord>> {
        self.0.topics_by_id.get(&topic_id)
    }

    /// Whether the partition exists.
    #[must_use]
    pub fn has(&self, partition: TopicIdPartition) -> bool {
        self.topic(partition.topic_id).is_some_and(|topic| (0..topic.partition_count).contains(&partition.partition.0))
    }

    /// Entries of a broker or a group.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Configs> {
        self.0.configs.get(resource)
    }

    /// Creates a topic; says whether it is new (`false`: an earlier try of the same step created it).
    ///
    /// # Errors
    /// When the name or the identity is taken, or there would be no partition.
    pub fn create(&mut self, topic: NewTopic, now: Timestamp) -> Result<bool, CatalogRefusal> {
        if let Some(living) = self.0.topics.get(&topic.name) {
            let same = living.topic_id == topic.topic_id;
            return if same { Ok(false) } else { Err(CatalogRefusal::TopicExists(topic.name)) };
        }
        if let Some(living) = self.topic(topic.topic_id) {
            return Err(CatalogRefusal::TopicExists(living.name.clone()));
        }
        if topic.partition_count < 1 {
            return Err(CatalogRefusal::PartitionCount { current: 0, asked: topic.partition_count });
        }
        let NewTopic { topic_id, name, partition_count, replication_factor, configs } = topic;
        self.put(TopicRecord { topic_id, name, partition_count, replication_factor, created_at: now, configs });
        self.0.version.0 += 1;
        Ok(true)
    }

    /// Deletes a topic and hands back what it was.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn delete(&mut self, topic_id: TopicId) -> Result<Arc<TopicRecord>, CatalogRefusal> {
        let topic = self.0.topics_by_id.remove(&topic_id).ok_or(CatalogRefusal::UnknownTopic(topic_id))?;
        self.0.topics.remove(&topic.name);
        self.0.version.0 += 1;
        Ok(topic)
    }

    /// Grows a topic; answers the numbers of the partitions added.
    ///
    /// # Errors
    /// When there is no such topic, or the number would not grow.
    pub fn grow(&mut self, topic_id: TopicId, partition_count: i32) -> Result<Range<i32>, CatalogRefusal> {
        let topic = self.topic(topic_id).ok_or(CatalogRefusal::UnknownTopic(topic_id))?;
        let current = topic.partition_count;
        if partition_count <= current {
            return Err(CatalogRefusal::PartitionCount { current, asked: partition_count });
        }
        self.put(TopicRecord { partition_count, ..topic.as_ref().clone() });
        self.0.version.0 += 1;
        Ok(current..partition_count)
    }

    /// Changes entries of one resource; says whether anything is different now.
    ///
    /// # Errors
    /// When the resource is a topic that does not exist.
    pub fn alter(&mut self, resource: &ConfigResource, changes: Vec<ConfigChange>) -> Result<bool, CatalogRefusal> {
        let current = match resource {
            ConfigResource::Topic(topic_id) => {
                self.topic(*topic_id).ok_or(CatalogRefusal::UnknownTopic(*topic_id))?.configs.clone()
            }
            other => self.configs(other).cloned().unwrap_or_default(),
        };
        let configs = changed(current.clone(), changes);
        if configs == current {
            return Ok(false);
        }
        match resource {
            ConfigResource::Topic(topic_id) => {
                if let Some(topic) = self.topic(*topic_id) {
                    self.put(TopicRecord { configs, ..topic.as_ref().clone() });
                }
            }
            other if configs.is_empty() => drop(self.0.configs.remove(other)),
            other => drop(self.0.configs.insert(other.clone(), configs)),
        }
        self.0.version.0 += 1;
        Ok(true)
    }

    fn put(&mut self, topic: TopicRecord) {
        let topic = Arc::new(topic);
        self.0.topics.insert(topic.name.clone(), Arc::clone(&topic));
        self.0.topics_by_id.insert(topic.topic_id, topic);
    }
}

fn changed(mut configs: Configs, changes: Vec<ConfigChange>) -> Configs {
    for change in changes {
        match change {
            ConfigChange::Set(name, value) => drop(configs.insert(name, value)),
            ConfigChange::Remove(name) => drop(configs.remove(&name)),
        }
    }
    configs
}
