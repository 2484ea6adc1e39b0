//! Settings that every agent of a cluster should share: what a topic gets when nobody says.

/// Defaults for topics, and what clients may do with them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerDefaults {
    /// Whether asking for a missing topic's metadata creates it (`auto.create.topics.enable`). Default true, as in
    /// Kafka: the first produce of a tutorial works.
    pub auto_create_topics: bool,
    /// Partitions of a topic created without a number (`num.partitions`). Default 1, as in Kafka.
    pub partition_count: i32,
    /// Replication factor of a topic created without one (`default.replication.factor`). Default 1; it is stored
    /// and shown, durability is the object store's.
    pub replication_factor: i16,
    /// The most partitions a topic may have. Default 10,000: a slip of the hand must not fill the metastore.
    pub topic_partitions_max: i32,
    /// Whether topics can be deleted (`delete.topic.enable`). Default true, as in Kafka.
    pub delete_topics: bool,
}

impl Default for BrokerDefaults {
    fn default() -> Self {
        Self {
            auto_create_topics: true,
            partition_count: 1,
            replication_factor: 1,
            topic_partitions_max: 10_000,
            delete_topics: true,
        }
    }
}
