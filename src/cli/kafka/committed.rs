//! Committed offsets of a group: asked for, and to be committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::cli::error::Result;
use crate::cli::kafka::assignment::Assigned;
use crate::cli::kafka::connection::Connection;
use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::protocol::{check, text};

/// Offsets that a group has committed: of the given partitions, or of all.
///
/// # Errors
/// When the coordinator does not answer or refuses.
pub async fn committed_offsets(
    coordinator: &Connection,
    group: &str,
    partitions: Option<&Assigned>,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let topics = partitions.map(|topics| {
        let topic = |(name, partitions): (&String, &Vec<i32>)| {
            OffsetFetchRequestTopic::default()
                .with_name(TopicName(text(name)))
                .with_partition_indexes(partitions.clone())
        };
        topics.iter().map(topic).collect()
    });
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(topics);
    // Up to version 7 a request asks for one group.
    let answer = coordinator.send(7, &request).await?;
    check(answer.error_code, format!("asking for the offsets of group '{group}'"), None)?;
    let mut offsets = BTreeMap::new();
    for topic in &answer.topics {
        let name: Arc<str> = topic.name.as_str().into();
        for partition in &topic.partitions {
            let number = partition.partition_index;
            check(partition.error_code, format!("asking for the offset of '{name}' partition {number}"), None)?;
            if partition.committed_offset >= 0 {
                let partition_name = TopicPartition { topic: Arc::clone(&name), partition: number };
                offsets.insert(partition_name, partition.committed_offset);
            }
        }
    }
    Ok(offsets)
}

/// A commit of these offsets; generation −1 and an empty member id for a group without members.
#[must_use]
pub fn commit_request(
    group: &str,
    generation_id: i32,
    member_id: &StrBytes,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> OffsetCommitRequest {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, offset) in offsets {
        let commit = OffsetCommitRequestPartition::default()
            .with_partition_index(partition.partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(StrBytes::default()));
        topics.entry(&partition.topic).or_default().push(commit);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        OffsetCommitRequestTopic::default().with_name(TopicName(text(name))).with_partitions(partitions)
    });
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(generation_id)
        .with_member_id(member_id.clone())
        .with_topics(topics.collect())
}
