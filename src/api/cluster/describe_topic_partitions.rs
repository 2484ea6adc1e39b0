//! DescribeTopicPartitions, key 75, v0 (KIP-966).
//!
//! Behaviour:
//! - Topics sorted by name, partitions by index, at most 2000 partitions an answer; the cursor says where to go on.
//! - Leaders and replicas as Metadata names them for this client; no eligible leader replicas, there is nothing to elect.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use crate::api::cluster::operations::on_topic;
use crate::api::cluster::replicas::{Replicas, replicas_of};
use crate::api::cluster::zone::zone_of;
use crate::api::error::{NONE, code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{snapshot_where, text};
use crate::api::services::Services;
use crate::coordinator::placement::ClusterView;
use crate::metastore::values::{CatalogSnapshot, TopicRecord};
use crate::model::error::Condition;
use crate::model::node::Rack;
use crate::model::topic::TopicName;

/// The most partitions one answer describes, as many as in Kafka by default.
const PARTITIONS_MAX: i32 = 2000;

/// DescribeTopicPartitions.
#[derive(Debug)]
pub struct DescribeTopicPartitions;

impl Handler for DescribeTopicPartitions {
    const SPEC: ApiSpec = ApiSpec { key: 75, name: "DescribeTopicPartitions", min: 0, max: 0 };
    type Request = DescribeTopicPartitionsRequest;
    type Response = DescribeTopicPartitionsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: DescribeTopicPartitionsRequest,
    ) -> Reply<DescribeTopicPartitionsResponse> {
        let found = if request.topics.is_empty() {
            services.catalog.refresh().await
        } else {
            snapshot_where(&services.catalog, |snapshot| {
                request.topics.iter().all(|topic| find(snapshot, topic.name.as_str()).is_ok())
            })
            .await
        };
        let snapshot = match found {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let failed = request.topics.iter().map(|topic| refused(&topic.name, metastore_condition(&error)));
                return Reply::Message(DescribeTopicPartitionsResponse::default().with_topics(failed.collect()));
            }
        };
        let view = services.membership.view();
        let zone = zone_of(context.client_id.as_deref(), &view);
        Reply::Message(page(&snapshot, &view, zone.as_ref(), &request))
    }
}

fn find<'a>(snapshot: &'a CatalogSnapshot, name: &str) -> Result<&'a TopicRecord, Condition> {
    let name = TopicName::new(name).map_err(|_| Condition::InvalidTopicException)?;
    snapshot.topics.get(&name).map(AsRef::as_ref).ok_or(Condition::UnknownTopicOrPartition)
}

fn page(
    snapshot: &CatalogSnapshot,
    view: &ClusterView,
    zone: Option<&Rack>,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let mut names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    if names.is_empty() {
        names = snapshot.topics.keys().map(TopicName::as_str).collect();
    }
    let (from_topic, from_index) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index.max(0)),
        None => ("", 0),
    };
    let mut room = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in names.range(from_topic..) {
        let record = match find(snapshot, name) {
            Ok(record) => record,
            Err(condition) => {
                topics.push(refused(&text(*name).into(), condition));
                continue;
            }
        };
        let first = if *name == from_topic { from_index } else { 0 };
        if room == 0 {
            next_cursor = Some(Cursor::default().with_topic_name(text(*name).into()).with_partition_index(first));
            break;
        }
        let end = first.saturating_add(room).min(record.partition_count).max(first);
        let partitions = (first..end).map(|index| partition_answer(&replicas_of(view, record, index, zone)));
        topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_error_code(NONE)
                .with_name(Some(text(*name).into()))
                .with_topic_id(record.topic_id.0)
                .with_partitions(partitions.collect())
                .with_topic_authorized_operations(on_topic(true)),
        );
        room -= end - first;
        if end < record.partition_count {
            next_cursor = Some(Cursor::default().with_topic_name(text(*name).into()).with_partition_index(end));
            break;
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next_cursor)
}

fn refused(name: &kafka_protocol::messages::TopicName, condition: Condition) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default().with_error_code(code(condition)).with_name(Some(name.clone()))
}

fn partition_answer(replicas: &Replicas) -> DescribeTopicPartitionsResponsePartition {
    let nodes: Vec<_> = replicas.nodes.iter().map(|node| node.0.into()).collect();
    let error = if replicas.leader().is_some() { NONE } else { code(Condition::LeaderNotAvailable) };
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(error)
        .with_partition_index(replicas.index)
        .with_leader_id(replicas.leader().map_or(-1, |node| node.0).into())
        .with_leader_epoch(0)
        .with_replica_nodes(nodes.clone())
        .with_isr_nodes(nodes)
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
    use kafka_protocol::messages::describe_topic_partitions_request::{Cursor as From, TopicRequest};

    use super::*;
    use crate::api::kit::Kit;
    use crate::api::topic::create_topics::CreateTopics;

    async fn kit_with_topics(topics: &[(&'static str, i32)]) -> Kit {
        let kit = Kit::start().await;
        let topic = |(name, count): &(&'static str, i32)| {
            let topic = CreatableTopic::default().with_name(text(*name).into());
            topic.with_num_partitions(*count).with_replication_factor(2)
        };
        let request = CreateTopicsRequest::default().with_topics(topics.iter().map(topic).collect());
        assert!(kit.ask::<CreateTopics>(5, request).await.topics.iter().all(|topic| topic.error_code == 0));
        kit
    }

    fn seen(response: &DescribeTopicPartitionsResponse) -> Vec<(String, i16, Vec<i32>)> {
        let topic = |topic: &DescribeTopicPartitionsResponseTopic| {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            (topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default(), topic.error_code, indexes)
        };
        response.topics.iter().map(topic).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pages_follow_each_other_through_all_topics() {
        let kit = kit_with_topics(&[("b", 3), ("a", 2), ("c", 1)]).await;
        let mut cursor = None;
        let mut pages = Vec::new();
        loop {
            let request =
                DescribeTopicPartitionsRequest::default().with_response_partition_limit(2).with_cursor(cursor);
            let response = kit.ask::<DescribeTopicPartitions>(0, request).await;
            pages.push(seen(&response));
            match response.next_cursor {
                None => break,
                Some(next) => {
                    let from = From::default().with_topic_name(next.topic_name);
                    cursor = Some(from.with_partition_index(next.partition_index));
                }
            }
        }
        let page = |parts: &[(&str, &[i32])]| -> Vec<(String, i16, Vec<i32>)> {
            parts.iter().map(|(name, indexes)| ((*name).to_owned(), 0, indexes.to_vec())).collect()
        };
        assert_eq!(pages, [page(&[("a", &[0, 1])]), page(&[("b", &[0, 1])]), page(&[("b", &[2]), ("c", &[0])])]);
    }

    #[tokio::test(start_paused = true)]
    async fn topics_are_sorted_and_faults_named() {
        let kit = kit_with_topics(&[("b", 1)]).await;
        let topics = ["missing", "no spaces", "b", "b"];
        let topics = topics.iter().map(|name| TopicRequest::default().with_name(text(*name).into())).collect();
        let request = DescribeTopicPartitionsRequest::default().with_topics(topics).with_response_partition_limit(2000);
        let response = kit.ask::<DescribeTopicPartitions>(0, request).await;
        let expected = [("b", 0, vec![0]), ("missing", 3, vec![]), ("no spaces", 17, vec![])]
            .map(|(name, code, indexes)| (name.to_owned(), code, indexes));
        assert_eq!(seen(&response), expected);
        assert_eq!(response.topics[0].partitions[0].replica_nodes.len(), 2);
    }
}
