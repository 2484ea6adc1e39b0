//! Whether partitions exist, and how their topics stamp records.

use crate::config::topic::{TimestampType, TopicConfig};
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::delivery::work::WantedPartition;
use crate::metastore::values::ConfigResource;
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicIdPartition;

/// The partition, if it exists.
///
/// # Errors
/// `UnknownTopicId` for a topic that never was or was deleted, `UnknownTopicOrPartition` for a number that it has not,
/// `KafkaStorageError` when the metastore can not be asked.
pub(super) async fn find(context: &Context, partition: TopicIdPartition) -> Result<WantedPartition, Failure> {
    let catalog = &context.parts.catalog;
    let unavailable = |error| Failure::new(Condition::KafkaStorageError, format!("topics can not be read: {error}"));
    let mut topic = catalog.topic_by_id(partition.topic_id).await.map_err(unavailable)?;
    let is_beyond = |count: i32| !(0..count).contains(&partition.partition.0);
    if topic.as_ref().is_some_and(|topic| is_beyond(topic.partition_count)) {
        topic = catalog.refresh().await.map_err(unavailable)?.topics_by_id.get(&partition.topic_id).cloned();
    }
    let Some(topic) = topic else { return Err(gone()) };
    if is_beyond(topic.partition_count) {
        let message = format!("topic {} has {} partitions", topic.name, topic.partition_count);
        return Err(Failure::new(Condition::UnknownTopicOrPartition, message));
    }
    let snapshot = catalog.snapshot();
    let cluster = snapshot.configs.get(&ConfigResource::Broker(None));
    let timestamp_type = if topic.configs.is_empty() && cluster.is_none() {
        TimestampType::default()
    } else {
        TopicConfig::effective(&topic.configs, cluster).timestamp_type
    };
    Ok(WantedPartition { partition, timestamp_type })
}

/// The topic does not exist, or not any more.
pub(super) fn gone() -> Failure {
    Failure::new(Condition::UnknownTopicId, "the topic was deleted, or there never was one with this id")
}

/// What a failure of the log means here: the partition was there a moment ago.
pub(super) fn without_topic(failure: Failure) -> Failure {
    if failure.condition == Condition::UnknownTopicOrPartition { gone() } else { failure }
}
