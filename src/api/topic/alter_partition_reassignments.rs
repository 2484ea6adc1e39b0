//! AlterPartitionReassignments, key 45, v0–1 (KIP-455).
//!
//! Behaviour:
//! - There are no replicas to move: INVALID_REPLICA_ASSIGNMENT for every partition that exists, and for a cancellation
//!   NO_REASSIGNMENT_IN_PROGRESS, as in Kafka where nothing is being moved.
//! - The error is each partition's, not the request's: tools print it per partition.
//!
//! Versions: 1: replication factor may be kept (KIP-860)

use std::sync::Arc;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition,
};
use kafka_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};

use crate::api::error::{code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where, text};
use crate::api::services::Services;
use crate::model::error::Condition;

/// AlterPartitionReassignments.
#[derive(Debug)]
pub struct AlterPartitionReassignments;

impl Handler for AlterPartitionReassignments {
    const SPEC: ApiSpec = ApiSpec { key: 45, name: "AlterPartitionReassignments", min: 0, max: 1 };
    type Request = AlterPartitionReassignmentsRequest;
    type Response = AlterPartitionReassignmentsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: AlterPartitionReassignmentsRequest,
    ) -> Reply<AlterPartitionReassignmentsResponse> {
        let found = snapshot_where(&services.catalog, |snapshot| {
            request.topics.iter().all(|topic| {
                let wanted = TopicRef::Name(topic.name.as_str().into());
                topic.partitions.iter().all(|one| wanted.find_partition(snapshot, one.partition_index).is_ok())
            })
        });
        let snapshot = found.await;
        let topics = request.topics.into_iter().map(|topic| {
            let wanted = TopicRef::Name(topic.name.as_str().into());
            let partitions = topic.partitions.iter().map(|partition| {
                let condition = match &snapshot {
                    Ok(snapshot) => match wanted.find_partition(snapshot, partition.partition_index) {
                        Ok(_) => refusal(partition),
                        Err(condition) => condition,
                    },
                    Err(error) => metastore_condition(error),
                };
                refused(partition.partition_index, condition)
            });
            let partitions = partitions.collect();
            ReassignableTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        });
        let mut response = AlterPartitionReassignmentsResponse::default().with_responses(topics.collect());
        if context.version >= 1 {
            response.allow_replication_factor_change = request.allow_replication_factor_change;
        }
        Reply::Message(response)
    }
}

/// No replicas means: cancel what is being moved.
fn refusal(partition: &ReassignablePartition) -> Condition {
    match partition.replicas {
        Some(_) => Condition::InvalidReplicaAssignment,
        None => Condition::NoReassignmentInProgress,
    }
}

fn refused(index: i32, condition: Condition) -> ReassignablePartitionResponse {
    let sentence = match condition {
        Condition::InvalidReplicaAssignment => {
            "There are no replicas to move: any agent leads any partition.".to_owned()
        }
        other => other.to_string(),
    };
    ReassignablePartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(code(condition))
        .with_error_message(Some(text(sentence)))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
    use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

    use super::*;
    use crate::api::cluster::metadata::Metadata;
    use crate::api::kit::Kit;

    #[tokio::test(start_paused = true)]
    async fn no_partition_is_moved() {
        let kit = Kit::start().await;
        let topic = MetadataRequestTopic::default().with_name(Some(text("t").into()));
        let created = kit.ask::<Metadata>(12, MetadataRequest::default().with_topics(Some(vec![topic]))).await;
        assert_eq!(created.topics[0].error_code, 0);
        for version in 0..=1 {
            let partition =
                |index, replicas| ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
            let partitions =
                vec![partition(0, Some(vec![BrokerId(2)])), partition(0, None), partition(99, Some(vec![BrokerId(2)]))];
            let topic = ReassignableTopic::default().with_name(text("t").into()).with_partitions(partitions);
            let missing = ReassignableTopic::default()
                .with_name(text("missing").into())
                .with_partitions(vec![partition(0, Some(vec![BrokerId(1)]))]);
            let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic, missing]);
            let response = kit.ask::<AlterPartitionReassignments>(version, request).await;
            assert_eq!(response.error_code, 0);
            let codes = response
                .responses
                .iter()
                .map(|topic| topic.partitions.iter().map(|one| one.error_code).collect::<Vec<_>>());
            assert_eq!(codes.collect::<Vec<_>>(), [vec![39, 85, 3], vec![3]]);
        }
    }
}
