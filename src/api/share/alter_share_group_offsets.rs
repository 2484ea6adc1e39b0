//! AlterShareGroupOffsets, key 91, v0.
//!
//! Behaviour:
//! - Answered by the group's home agent; the group must have no members, and is made when it does not exist.
//! - Everything that is known of a partition's records is forgotten: the group begins anew at the given offset, which is
//!   not held against the log.
//!
//! Versions:
//! - v0 the only one (KIP-932)

use std::sync::Arc;

use kafka_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic as AskedTopic;
use kafka_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition as AnsweredPartition, AlterShareGroupOffsetsResponseTopic as AnsweredTopic,
};
use kafka_protocol::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, ApiKey};

use crate::api::error::code;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::coordinator::share::values::{AlterTopicOffsets, AlteredTopicOffsets};
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicName};

/// Moving share groups to other offsets.
#[derive(Debug)]
pub struct AlterShareGroupOffsets;

impl Handler for AlterShareGroupOffsets {
    const SPEC: ApiSpec =
        ApiSpec { key: ApiKey::AlterShareGroupOffsets as i16, name: "AlterShareGroupOffsets", min: 0, max: 0 };
    type Request = AlterShareGroupOffsetsRequest;
    type Response = AlterShareGroupOffsetsResponse;

    async fn handle(
        _context: RequestContext,
        services: Arc<Services>,
        request: AlterShareGroupOffsetsRequest,
    ) -> Reply<AlterShareGroupOffsetsResponse> {
        let group_id = names::group_id(&request.group_id);
        let (legal, illegal): (Vec<AskedTopic>, Vec<AskedTopic>) =
            request.topics.into_iter().partition(|topic| TopicName::new(topic.topic_name.as_str()).is_ok());
        let wanted = legal.iter().filter_map(values_from).collect();
        let response = AlterShareGroupOffsetsResponse::default();
        Reply::Message(match services.share_groups.alter_offsets(&group_id, wanted).await {
            Ok(altered) => {
                let illegal = illegal.into_iter().map(unknown_topic);
                response.with_responses(altered.into_iter().map(answered_topic).chain(illegal).collect())
            }
            Err(failure) => {
                response.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message)))
            }
        })
    }
}

fn values_from(topic: &AskedTopic) -> Option<AlterTopicOffsets> {
    let partitions = topic.partitions.iter();
    let partitions =
        partitions.map(|partition| (PartitionIndex(partition.partition_index), Offset(partition.start_offset)));
    Some(AlterTopicOffsets { topic: TopicName::new(topic.topic_name.as_str()).ok()?, partitions: partitions.collect() })
}

fn answered_topic(topic: AlteredTopicOffsets) -> AnsweredTopic {
    let partitions = topic.partitions.into_iter().map(|(partition, outcome)| answered_partition(partition.0, outcome));
    AnsweredTopic::default()
        .with_topic_name(names::wire(topic.topic.as_str()).into())
        .with_topic_id(topic.topic_id.map_or(uuid::Uuid::nil(), |topic_id| topic_id.0))
        .with_partitions(partitions.collect())
}

/// No topic has such a name.
fn unknown_topic(topic: AskedTopic) -> AnsweredTopic {
    let unknown = Failure::new(Condition::UnknownTopicOrPartition, "there is no topic of that name");
    let partitions = topic.partitions.iter();
    let partitions =
        partitions.map(|partition| answered_partition(partition.partition_index, Err(unknown.clone()))).collect();
    AnsweredTopic::default().with_topic_name(topic.topic_name).with_partitions(partitions)
}

fn answered_partition(index: i32, outcome: Result<(), Failure>) -> AnsweredPartition {
    let answer = AnsweredPartition::default().with_partition_index(index);
    match outcome {
        Ok(()) => answer,
        Err(failure) => answer.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message))),
    }
}
