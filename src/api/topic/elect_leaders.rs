//! ElectLeaders, key 43, v0–2.
//!
//! Behaviour:
//! - There is nothing to elect, any agent leads any partition: ELECTION_NOT_NEEDED for every partition named. For "all
//!   partitions" the list is empty, as in Kafka, which leaves out those that need no election.
//!
//! Versions: 1: unclean election (KIP-460) · 2: flexible

use std::sync::Arc;

use kafka_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use kafka_protocol::messages::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};

use crate::api::error::{code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where, text};
use crate::api::services::Services;
use crate::model::error::Condition;

/// ElectLeaders.
#[derive(Debug)]
pub struct ElectLeaders;

impl Handler for ElectLeaders {
    const SPEC: ApiSpec = ApiSpec { key: 43, name: "ElectLeaders", min: 0, max: 2 };
    type Request = ElectLeadersRequest;
    type Response = ElectLeadersResponse;

    async fn handle(
        _: RequestContext,
        services: Arc<Services>,
        request: ElectLeadersRequest,
    ) -> Reply<ElectLeadersResponse> {
        let topics = request.topic_partitions.unwrap_or_default();
        let found = snapshot_where(&services.catalog, |snapshot| {
            topics.iter().all(|topic| {
                let wanted = TopicRef::Name(topic.topic.as_str().into());
                topic.partitions.iter().all(|index| wanted.find_partition(snapshot, *index).is_ok())
            })
        });
        let snapshot = found.await;
        let results = topics.into_iter().map(|topic| {
            let wanted = TopicRef::Name(topic.topic.as_str().into());
            let partitions = topic.partitions.iter().map(|index| {
                let condition = match &snapshot {
                    Ok(snapshot) => match wanted.find_partition(snapshot, *index) {
                        Ok(_) => Condition::ElectionNotNeeded,
                        Err(condition) => condition,
                    },
                    Err(error) => metastore_condition(error),
                };
                let sentence = match condition {
                    Condition::ElectionNotNeeded => {
                        "Any agent leads any partition; there is nothing to elect.".to_owned()
                    }
                    other => other.to_string(),
                };
                PartitionResult::default()
                    .with_partition_id(*index)
                    .with_error_code(code(condition))
                    .with_error_message(Some(text(sentence)))
            });
            let partitions = partitions.collect();
            ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(partitions)
        });
        Reply::Message(ElectLeadersResponse::default().with_replica_election_results(results.collect()))
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
    use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
    use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

    use super::*;
    use crate::api::cluster::metadata::Metadata;
    use crate::api::kit::Kit;
    use crate::api::topic::list_partition_reassignments::ListPartitionReassignments;

    #[tokio::test(start_paused = true)]
    async fn nothing_needs_an_election_and_nothing_moves() {
        let kit = Kit::start().await;
        let topic = MetadataRequestTopic::default().with_name(Some(text("t").into()));
        let created = kit.ask::<Metadata>(12, MetadataRequest::default().with_topics(Some(vec![topic]))).await;
        assert_eq!(created.topics[0].error_code, 0);
        for version in 0..=2 {
            let topic = TopicPartitions::default().with_topic(text("t").into()).with_partitions(vec![0, 1]);
            let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]));
            let response = kit.ask::<ElectLeaders>(version, request).await;
            let results = &response.replica_election_results[0].partition_result;
            assert_eq!(results.iter().map(|one| one.error_code).collect::<Vec<_>>(), [84, 3]);
            let all = ElectLeadersRequest::default().with_topic_partitions(None);
            assert!(kit.ask::<ElectLeaders>(version, all).await.replica_election_results.is_empty());
        }
        let request = ListPartitionReassignmentsRequest::default().with_topics(None);
        let response = kit.ask::<ListPartitionReassignments>(0, request).await;
        assert_eq!((response.error_code, response.topics.len()), (0, 0));
    }
}
