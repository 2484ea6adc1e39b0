//! DescribeShareGroupOffsets, key 90, v0–1.
//!
//! Behaviour:
//! - Answered by each group's home agent. Without topics: all that the group ever read.
//! - What the group never read, an unknown topic and an unknown group are no errors: their start offset is −1.
//!
//! Versions:
//! - v1 lag (KIP-1226)

use std::sync::Arc;

use kafka_protocol::messages::DescribeShareGroupOffsetsResponse as NeverSent;
use kafka_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup as AskedGroup, DescribeShareGroupOffsetsRequestTopic as AskedTopic,
};
use uuid::Uuid;

use crate::api::error::code;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::coordinator::share::values::{OffsetSelection, ShareOffset, ShareTopicOffsets};
use crate::model::error::Failure;
use crate::model::topic::{PartitionIndex, TopicName};
use crate::wire::share::offsets_request::ShareOffsetsRequest;
use crate::wire::share::offsets_response::{GroupOffsets, PartitionOffsets, ShareOffsetsResponse, TopicOffsets};

/// Showing how far share groups are.
#[derive(Debug)]
pub struct DescribeShareGroupOffsets;

impl Handler for DescribeShareGroupOffsets {
    const SPEC: ApiSpec = ApiSpec { key: 90, name: "DescribeShareGroupOffsets", min: 0, max: 1 };
    type Request = ShareOffsetsRequest;
    type Response = NeverSent;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: ShareOffsetsRequest,
    ) -> Reply<NeverSent> {
        let describe = |asked: AskedGroup| describe(&services, asked);
        let groups = futures::future::join_all(request.0.groups.into_iter().map(describe)).await;
        let response = ShareOffsetsResponse { throttle_time_ms: 0, groups };
        Reply::Encoded(response.encode(context.version))
    }
}

async fn describe(services: &Services, asked: AskedGroup) -> GroupOffsets {
    let group_id = names::group_id(&asked.group_id);
    let selection = asked.topics.as_deref().map(selection);
    let mut answer = GroupOffsets { group_id: asked.group_id.0, ..GroupOffsets::default() };
    match services.share_groups.describe_offsets(&group_id, selection).await {
        Ok(topics) => {
            answer.topics = topics.into_iter().map(topic_offsets).collect();
            // No topic has such a name, so that nobody asked further.
            let illegal = asked.topics.iter().flatten().filter(|topic| TopicName::new(&topic.topic_name).is_err());
            answer.topics.extend(illegal.map(never_read));
        }
        Err(failure) => {
            answer.error_code = code(failure.condition);
            answer.error_message = Some(text(failure.message));
        }
    }
    answer
}

fn selection(topics: &[AskedTopic]) -> OffsetSelection {
    let legal = topics.iter().filter_map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| PartitionIndex(*partition)).collect();
        Some((TopicName::new(topic.topic_name.as_str()).ok()?, partitions))
    });
    legal.collect()
}

fn topic_offsets(topic: ShareTopicOffsets) -> TopicOffsets {
    let partitions = topic.partitions.into_iter().map(|(partition, outcome)| partition_offsets(partition, outcome));
    TopicOffsets {
        name: names::wire(topic.topic.as_str()),
        topic_id: topic.topic_id.map_or(Uuid::nil(), |topic_id| topic_id.0),
        partitions: partitions.collect(),
    }
}

fn never_read(topic: &AskedTopic) -> TopicOffsets {
    let nothing = |partition: &i32| partition_offsets(PartitionIndex(*partition), Ok(ShareOffset::default()));
    TopicOffsets {
        name: topic.topic_name.0.clone(),
        topic_id: Uuid::nil(),
        partitions: topic.partitions.iter().map(nothing).collect(),
    }
}

fn partition_offsets(partition: PartitionIndex, outcome: Result<ShareOffset, Failure>) -> PartitionOffsets {
    let mut answer = PartitionOffsets {
        partition: partition.0,
        start_offset: -1,
        leader_epoch: 0,
        lag: -1,
        error_code: 0,
        error_message: None,
    };
    match outcome {
        Ok(found) => {
            answer.start_offset = found.start_offset.map_or(-1, |offset| offset.0);
            answer.lag = found.lag.map_or(-1, |lag| i64::try_from(lag).unwrap_or(i64::MAX));
        }
        Err(failure) => {
            answer.error_code = code(failure.condition);
            answer.error_message = Some(text(failure.message));
        }
    }
    answer
}
