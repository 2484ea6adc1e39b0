//! OffsetCommit, key 8, v2–10.
//!
//! Behaviour:
//! - All partitions that can be committed are committed in one step; each partition has its own result.
//! - A topic or partition that does not exist is refused with `UNKNOWN_TOPIC_OR_PARTITION`, a topic id that no topic
//!   has with `UNKNOWN_TOPIC_ID`; the rest is committed.
//! - Offsets belong to the topic's identity: they are gone when the topic is deleted, also if its name comes back.
//! - Generation −1 without a member id commits for a group that has no members; the first such commit makes it.
//!
//! Versions:
//! - v2–4 retention time of the request, honoured
//! - v3 throttle time
//! - v6 leader epoch (KIP-320)
//! - v7 static members (KIP-345)
//! - v8 flexible
//! - v9 `GROUP_ID_NOT_FOUND` instead of `ILLEGAL_GENERATION` for a group that does not exist (KIP-848)
//! - v10 topics by id (KIP-848)

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse};

use crate::api::error;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::services::Services;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::group::values::{MemberClaim, OffsetCommit as Commit, PartitionCommit};
use crate::metastore::cached::CatalogCache;
use crate::model::error::Condition;
use crate::model::group::GenerationId;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;
use crate::wire::topic_ids::{TOPIC_IDS_SINCE, WithTopicIds};

/// Saying how far a group has read.
#[derive(Debug)]
pub struct OffsetCommit;

impl Handler for OffsetCommit {
    const SPEC: ApiSpec = ApiSpec { key: ApiKey::OffsetCommit as i16, name: "OffsetCommit", min: 2, max: 10 };
    type Request = WithTopicIds<OffsetCommitRequest>;
    type Response = OffsetCommitResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: WithTopicIds<OffsetCommitRequest>,
    ) -> Reply<OffsetCommitResponse> {
        let answer = answer(context.version, &services.groups, &services.catalog, request).await;
        if context.version < TOPIC_IDS_SINCE {
            return Reply::Message(answer.message);
        }
        answer.encode().map_or_else(Reply::Close, |body| Reply::Encoded(vec![body]))
    }
}

async fn answer(
    version: i16,
    groups: &GroupService,
    catalog: &CatalogCache,
    request: WithTopicIds<OffsetCommitRequest>,
) -> WithTopicIds<OffsetCommitResponse> {
    let WithTopicIds { message: request, topic_ids } = request;
    let mut commit = Commit {
        claim: MemberClaim {
            group_id: names::group_id(&request.group_id),
            member_id: names::member_id(&request.member_id),
            instance_id: names::instance_id(request.group_instance_id.as_ref()),
            generation: GenerationId(request.generation_id_or_member_epoch),
        },
        knows_group_id_not_found: version >= 9,
        retention: u64::try_from(request.retention_time_ms).ok().map(Duration::from_millis),
        partitions: Vec::new(),
    };
    // Decided so far, in the order of the request; `Ok` means: that is for the coordinator to say.
    let mut decided = Vec::new();
    for (number, topic) in request.topics.iter().enumerate() {
        let record = names::topic_meant(catalog, &topic.name, topic_ids.get(number).copied()).await;
        for partition in &topic.partitions {
            decided.push(match &record {
                Err(_) => Err(Condition::CoordinatorNotAvailable),
                Ok(Err(condition)) => Err(*condition),
                Ok(Ok(record)) => {
                    let found = names::partition(record, partition.partition_index);
                    let found = found.ok_or(Condition::UnknownTopicOrPartition);
                    found.map(|found| commit.partitions.push(partition_commit(found, partition)))
                }
            });
        }
    }
    let mut results = if commit.partitions.is_empty() {
        Vec::new()
    } else {
        let count = commit.partitions.len();
        groups.commit_offsets(commit).await.unwrap_or_else(|condition| vec![Err(condition); count])
    }
    .into_iter();
    let mut codes = decided.into_iter().map(|decided| {
        // There is one result for every partition that was handed on.
        let result = decided.and_then(|()| results.next().unwrap_or(Err(Condition::UnknownServerError)));
        result.map_or_else(error::code, |()| error::NONE)
    });
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut codes).map(|(partition, code)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    WithTopicIds { message: OffsetCommitResponse::default().with_topics(topics.collect()), topic_ids }
}

fn partition_commit(partition: TopicIdPartition, request: &OffsetCommitRequestPartition) -> PartitionCommit {
    PartitionCommit {
        partition,
        offset: Offset(request.committed_offset),
        leader_epoch: request.committed_leader_epoch,
        metadata: request.committed_metadata.as_ref().map(names::text).unwrap_or_else(|| "".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::group::kit::Kit;
    use bytes::BytesMut;
    use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use uuid::Uuid;

    fn request(topic: &'static str, partitions: &[i32]) -> OffsetCommitRequest {
        let partition =
            |&index: &i32| OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(7);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(StrBytes::from_static_str(topic).into())
            .with_partitions(partitions.iter().map(partition).collect());
        OffsetCommitRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_generation_id_or_member_epoch(-1)
            .with_retention_time_ms(-1)
            .with_topics(vec![topic])
    }

    fn by_name(message: OffsetCommitRequest) -> WithTopicIds<OffsetCommitRequest> {
        WithTopicIds { message, topic_ids: Vec::new() }
    }

    fn codes(response: &OffsetCommitResponse) -> Vec<i16> {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.error_code).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_exists_is_committed_and_the_rest_refused() {
        let kit = Kit::new().await;
        let answer = async |version, request| {
            let response = answer(version, &kit.groups, &kit.catalog, by_name(request)).await.message;
            response.encode(&mut BytesMut::new(), version).unwrap();
            codes(&response)
        };
        assert_eq!(answer(2, request("t", &[0, 2, 1, -1])).await, [0, 3, 0, 3]);
        assert_eq!(answer(9, request("none", &[0])).await, [3]);
        assert_eq!(answer(9, request("not legal!", &[0])).await, [3]);
        let member = |group: &'static str| {
            let request = request("t", &[0]).with_generation_id_or_member_epoch(1);
            request.with_group_id(StrBytes::from_static_str(group).into())
        };
        assert_eq!(answer(8, member("unknown")).await, [22]);
        assert_eq!(answer(9, member("unknown")).await, [69]);
        assert_eq!(answer(9, member("g")).await, [25]);
    }

    #[tokio::test(start_paused = true)]
    async fn from_version_10_on_a_topic_is_meant_by_its_id() {
        let kit = Kit::new().await;
        let mut message = request("", &[0, 2, 1]);
        let none = message.topics[0].clone().with_partitions(message.topics[0].partitions[..1].to_vec());
        message.topics.extend([none.clone(), none]);
        let topic_ids = vec![kit.topic_id.0, Uuid::from_u128(99), Uuid::nil()];
        let asked = WithTopicIds { message, topic_ids };
        let answered = answer(10, &kit.groups, &kit.catalog, asked.clone()).await;
        assert_eq!((codes(&answered.message), &answered.topic_ids), (vec![0, 3, 0, 100, 100], &asked.topic_ids));
        kit.recreate_topic().await;
        assert_eq!(
            codes(&answer(10, &kit.groups, &kit.catalog, asked).await.message),
            [100; 5],
            "it has another id now"
        );
    }
}
