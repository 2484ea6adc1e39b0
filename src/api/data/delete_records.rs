//! DeleteRecords, key 21, v0–2.
//!
//! Behaviour:
//! - Moves the log start in the metastore; the bytes go once nothing refers to their objects.
//! - Offset −1 means the high watermark. A topic that is only compacted keeps its records, as in Kafka.
//!
//! Versions: 2: flexible

use std::sync::Arc;

use kafka_protocol::messages::delete_records_request::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::api::error::{NONE, code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, cluster_configs, snapshot_where};
use crate::api::services::Services;
use crate::config::topic::TopicConfig;
use crate::metastore::values::{CatalogSnapshot, LogStartMove, LogStartReceipt};
use crate::model::error::Condition;
use crate::model::offset::Offset;

/// DeleteRecords.
#[derive(Debug)]
pub struct DeleteRecords;

impl Handler for DeleteRecords {
    const SPEC: ApiSpec = ApiSpec { key: 21, name: "DeleteRecords", min: 0, max: 2 };
    type Request = DeleteRecordsRequest;
    type Response = DeleteRecordsResponse;

    async fn handle(
        _: RequestContext,
        services: Arc<Services>,
        request: DeleteRecordsRequest,
    ) -> Reply<DeleteRecordsResponse> {
        let all_known = |snapshot: &CatalogSnapshot| {
            moves(snapshot, &request).iter().all(|found| *found != Err(Condition::UnknownTopicOrPartition))
        };
        let moves = match snapshot_where(&services.catalog, all_known).await {
            Ok(snapshot) => moves(&snapshot, &request),
            Err(error) => return Reply::Message(response(&request, |_| Err(metastore_condition(&error)))),
        };
        let wanted: Vec<LogStartMove> = moves.iter().filter_map(|wanted| wanted.ok()).collect();
        let receipts = if wanted.is_empty() { Ok(Vec::new()) } else { services.metastore.move_log_start(wanted).await };
        let mut receipts = match receipts {
            Ok(receipts) => receipts.into_iter(),
            Err(error) => {
                let failed = metastore_condition(&error);
                return Reply::Message(response(&request, |number| moves[number].and(Err(failed))));
            }
        };
        let outcomes: Vec<_> = moves
            .iter()
            .map(|wanted| {
                wanted.and_then(|_| match receipts.next() {
                    Some(LogStartReceipt::At(offset)) => Ok(offset),
                    Some(LogStartReceipt::OutOfRange) => Err(Condition::OffsetOutOfRange),
                    Some(LogStartReceipt::UnknownPartition) => Err(Condition::UnknownTopicOrPartition),
                    None => Err(Condition::UnknownServerError),
                })
            })
            .collect();
        Reply::Message(response(&request, |number| outcomes[number]))
    }
}

/// One move, or what is wrong with it, per partition in the request's order.
fn moves(snapshot: &CatalogSnapshot, request: &DeleteRecordsRequest) -> Vec<Result<LogStartMove, Condition>> {
    let mut moves = Vec::new();
    for topic in &request.topics {
        let wanted = TopicRef::Name(topic.name.as_str().into());
        for asked in &topic.partitions {
            let found = wanted.find_partition(snapshot, asked.partition_index).and_then(|(record, partition)| {
                if TopicConfig::effective(&record.configs, cluster_configs(snapshot)).only_compacted() {
                    return Err(Condition::PolicyViolation);
                }
                match asked.offset {
                    -1 => Ok(LogStartMove { partition, offset: None }),
                    0.. => Ok(LogStartMove { partition, offset: Some(Offset(asked.offset)) }),
                    _ => Err(Condition::OffsetOutOfRange),
                }
            });
            moves.push(found);
        }
    }
    moves
}

/// The answer, given the outcome of each partition by its place in the request.
fn response(
    request: &DeleteRecordsRequest,
    outcome: impl Fn(usize) -> Result<Offset, Condition>,
) -> DeleteRecordsResponse {
    let mut number = 0;
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let (low_watermark, error) = match outcome(number) {
                Ok(offset) => (offset.0, NONE),
                Err(condition) => (-1, code(condition)),
            };
            number += 1;
            partitions.push(
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(asked.partition_index)
                    .with_low_watermark(low_watermark)
                    .with_error_code(error),
            );
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
    use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    use kafka_protocol::messages::offset_for_leader_epoch_request::{
        OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
    };
    use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

    use super::*;
    use crate::api::data::offset_for_leader_epoch::OffsetForLeaderEpoch;
    use crate::api::data::produce::Produce;
    use crate::api::kit::{Kit, batch};
    use crate::api::lookup::text;
    use crate::api::topic::create_topics::CreateTopics;

    /// Ten records in partition 0 of "t"; "compacted" is only compacted.
    async fn kit_with_records() -> Kit {
        let kit = Kit::start().await;
        let topic = |name: &'static str, policy: &'static str| {
            let policy =
                CreatableTopicConfig::default().with_name(text("cleanup.policy")).with_value(Some(text(policy)));
            let topic = CreatableTopic::default().with_name(text(name).into()).with_configs(vec![policy]);
            topic.with_num_partitions(2).with_replication_factor(1)
        };
        let topics = vec![topic("t", "delete"), topic("compacted", "compact")];
        let created = kit.ask::<CreateTopics>(5, CreateTopicsRequest::default().with_topics(topics)).await;
        assert!(created.topics.iter().all(|topic| topic.error_code == 0));
        let data = PartitionProduceData::default().with_records(Some(batch(&["x"; 10])));
        let topic = TopicProduceData::default().with_name(text("t").into()).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        assert_eq!(kit.ask::<Produce>(9, request).await.responses[0].partition_responses[0].error_code, 0);
        kit
    }

    async fn delete(kit: &Kit, version: i16, topic: &'static str, partition: i32, offset: i64) -> (i16, i64) {
        let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(text(topic).into()).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let result = kit.ask::<DeleteRecords>(version, request).await.topics.remove(0).partitions.remove(0);
        (result.error_code, result.low_watermark)
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_start_moves_forward_only() {
        let kit = kit_with_records().await;
        for (version, offset) in [(0, 2), (1, 3), (2, 4)] {
            assert_eq!(delete(&kit, version, "t", 0, offset).await, (0, offset));
        }
        assert_eq!(delete(&kit, 2, "t", 0, 1).await, (0, 4));
        assert_eq!(delete(&kit, 2, "t", 0, -1).await, (0, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_named() {
        let kit = kit_with_records().await;
        assert_eq!(delete(&kit, 2, "t", 0, 11).await, (1, -1));
        assert_eq!(delete(&kit, 2, "t", 0, -2).await, (1, -1));
        assert_eq!(delete(&kit, 2, "t", 9, 0).await, (3, -1));
        assert_eq!(delete(&kit, 2, "u", 0, 0).await, (3, -1));
        assert_eq!(delete(&kit, 2, "compacted", 0, 0).await, (44, -1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_only_leader_epoch_ends_at_the_high_watermark() {
        let kit = kit_with_records().await;
        let partition = |index: i32, epoch: i32, current: i32| {
            let partition = OffsetForLeaderPartition::default().with_partition(index).with_leader_epoch(epoch);
            partition.with_current_leader_epoch(current)
        };
        for version in 2..=4 {
            let asked = vec![partition(0, 0, -1), partition(0, 1, 0), partition(9, 0, 0), partition(0, 0, 3)];
            let topic = OffsetForLeaderTopic::default().with_topic(text("t").into()).with_partitions(asked);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let response = kit.ask::<OffsetForLeaderEpoch>(version, request).await;
            let seen: Vec<_> = response.topics[0]
                .partitions
                .iter()
                .map(|one| (one.error_code, one.leader_epoch, one.end_offset))
                .collect();
            assert_eq!(seen, [(0, 0, 10), (0, -1, -1), (3, -1, -1), (75, -1, -1)], "version {version}");
        }
    }
}
