//! Administration of share groups: what they are, where they are, and moving them.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::share_group_describe_response::DescribedGroup;
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest, GroupId, ShareGroupDescribeRequest, TopicName,
};
use uuid::Uuid;

use crate::cli::error::{CliError, Result};
use crate::cli::kafka::cluster::{ATTEMPTS, Cluster};
use crate::cli::kafka::consumer::TopicPartition;
use crate::cli::kafka::protocol::{ErrorCode, check, text};
use crate::wire::share::offsets_request::ShareOffsetsRequest;

/// Where a share group stands in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePosition {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Everything before it is done with; nothing while nobody has fetched.
    pub start: Option<i64>,
    /// Offsets that are not done with; nothing where the cluster does not say.
    pub lag: Option<i64>,
    /// The leader's epoch.
    pub leader_epoch: i32,
}

/// A share group that exists.
///
/// # Errors
/// When it does not, or the cluster does not answer.
pub async fn describe(cluster: &Cluster, group: &str) -> Result<DescribedGroup> {
    let missing = || CliError::Failed(format!("share group '{group}' does not exist; `towpath share list` shows all"));
    find(cluster, group).await?.ok_or_else(missing)
}

/// A share group, if it exists.
///
/// # Errors
/// When the cluster does not answer.
pub async fn find(cluster: &Cluster, group: &str) -> Result<Option<DescribedGroup>> {
    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![GroupId(text(group))]);
    let answer = cluster.coordinator(group).await?.send(1, &request).await?;
    let is_missing = |described: &DescribedGroup| {
        ErrorCode::of(described.error_code).is_some_and(|code| code.is(ResponseError::GroupIdNotFound))
    };
    let Some(described) = answer.groups.into_iter().next().filter(|described| !is_missing(described)) else {
        return Ok(None);
    };
    let tried = format!("describing share group '{group}'");
    check(described.error_code, tried, described.error_message.as_ref())?;
    Ok(Some(described))
}

/// Where a group stands in all partitions that it knows.
///
/// # Errors
/// When the cluster does not answer, or refuses a partition.
pub async fn positions(cluster: &Cluster, group: &str) -> Result<BTreeMap<TopicPartition, SharePosition>> {
    let topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>> = None;
    let asked =
        DescribeShareGroupOffsetsRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(topics);
    let request = ShareOffsetsRequest(DescribeShareGroupOffsetsRequest::default().with_groups(vec![asked]));
    let answer = cluster.coordinator(group).await?.send(1, &request).await?;
    let mut positions = BTreeMap::new();
    for group in &answer.groups {
        let tried = format!("asking for the offsets of share group '{}'", group.group_id.as_str());
        check(group.error_code, tried, group.error_message.as_ref())?;
        for topic in &group.topics {
            let name: Arc<str> = topic.name.as_str().into();
            for partition in &topic.partitions {
                let number = partition.partition;
                let tried = format!("asking for the offset of '{name}' partition {number}");
                check(partition.error_code, tried, partition.error_message.as_ref())?;
                let known = |value: i64| (value >= 0).then_some(value);
                let position = SharePosition {
                    topic_id: topic.topic_id,
                    start: known(partition.start_offset),
                    lag: known(partition.lag),
                    leader_epoch: partition.leader_epoch,
                };
                positions.insert(TopicPartition { topic: Arc::clone(&name), partition: number }, position);
            }
        }
    }
    Ok(positions)
}

/// Moves a group that has no members; what was in flight begins anew there.
///
/// # Errors
/// When the group has members, or the cluster does not answer or refuses a partition.
pub async fn alter(cluster: &Cluster, group: &str, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<AlterShareGroupOffsetsRequestPartition>> = BTreeMap::new();
    for (partition, offset) in offsets {
        let wanted = AlterShareGroupOffsetsRequestPartition::default()
            .with_partition_index(partition.partition)
            .with_start_offset(*offset);
        topics.entry(&partition.topic).or_default().push(wanted);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        AlterShareGroupOffsetsRequestTopic::default().with_topic_name(TopicName(text(name))).with_partitions(partitions)
    });
    let request =
        AlterShareGroupOffsetsRequest::default().with_group_id(GroupId(text(group))).with_topics(topics.collect());
    let mut backoff = cluster.backoff();
    let mut attempts_left = ATTEMPTS;
    let answer = loop {
        attempts_left -= 1;
        let answer = cluster.coordinator(group).await?.send(0, &request).await?;
        // A coordinator that has only just become one says so for a moment.
        match ErrorCode::of(answer.error_code) {
            Some(code) if code.is_retriable() && attempts_left > 0 => tokio::time::sleep(backoff.next_pause()).await,
            _ => break answer,
        }
    };
    if ErrorCode::of(answer.error_code).is_some_and(|code| code.is(ResponseError::NonEmptyGroup)) {
        return Err(CliError::Failed(format!("share group '{group}' has members; stop them first")));
    }
    check(answer.error_code, format!("moving share group '{group}'"), answer.error_message.as_ref())?;
    for topic in &answer.responses {
        for partition in &topic.partitions {
            let name = topic.topic_name.as_str();
            let tried = format!("moving share group '{group}' in '{name}' partition {}", partition.partition_index);
            check(partition.error_code, tried, partition.error_message.as_ref())?;
        }
    }
    Ok(())
}
