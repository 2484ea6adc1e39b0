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
