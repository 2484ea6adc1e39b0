//! OffsetForLeaderEpoch, key 23, v2–4.
//!
//! Behaviour:
//! - Leaders come and go without a trace in the log: there is one epoch, 0, and it ends at the high watermark. Any other
//!   epoch is answered with epoch −1 and offset −1, "not known".
//!
//! Versions: 2: current leader epoch (KIP-320) · 3: replica id (KIP-392, unused) · 4: flexible

use std::sync::Arc;

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where};
use crate::api::services::Services;
use crate::metastore::values::{CatalogSnapshot, PartitionBounds};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicIdPartition;

/// OffsetForLeaderEpoch.
#[derive(Debug)]
pub struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    const SPEC: ApiSpec = ApiSpec { key: 23, name: "OffsetForLeaderEpoch", min: 2, max: 4 };
    type Request = OffsetForLeaderEpochRequest;
    type Response = OffsetForLeaderEpochResponse;

    async fn handle(
        _: RequestContext,
        services: Arc<Services>,
        request: OffsetForLeaderEpochRequest,
    ) -> Reply<OffsetForLeaderEpochResponse> {
        let all_known =
            |snapshot: &CatalogSnapshot| wanted(snapshot, &request).iter().all(|(_, _, found)| found.is_ok());
        let slots = match snapshot_where(&services.catalog, all_known).await {
            Ok(snapshot) => wanted(&snapshot, &request),
            Err(error) => return Reply::Message(all_failed(&request, &metastore_failure(&error))),
        };
        let partitions: Vec<TopicIdPartition> =
            slots.iter().filter_map(|(_, _, found)| found.as_ref().ok().copied()).collect();
        let bounds = match services.metastore.bounds(partitions).await {
            Ok(bounds) => bounds,
            Err(error) => return Reply::Message(all_failed(&request, &metastore_failure(&error))),
        };
        let mut bounds = bounds.into_iter();
        let mut answers = slots.into_iter().map(|(_, asked, found)| {
            let outcome = found.and_then(|_| bounds.next().flatten().ok_or(Condition::UnknownTopicOrPartition));
            answer(asked, outcome)
        });
        let topics = request.topics.iter().map(|topic| {
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic.clone())
                .with_partitions(answers.by_ref().take(topic.partitions.len()).collect())
        });
        Reply::Message(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }
}

type Slot<'a> = (TopicRef, &'a OffsetForLeaderPartition, Result<TopicIdPartition, Condition>);

fn wanted<'a>(snapshot: &CatalogSnapshot, request: &'a OffsetForLeaderEpochRequest) -> Vec<Slot<'a>> {
    let partitions = request.topics.iter().flat_map(|topic| {
        let name: Arc<str> = topic.topic.as_str().into();
        topic.partitions.iter().map(move |partition| (TopicRef::Name(Arc::clone(&name)), partition))
    });
    partitions
        .map(|(topic, partition)| {
            let found = topic.find_partition(snapshot, partition.partition).map(|(_, found)| found);
            (topic, partition, found)
        })
        .collect()
}

fn answer(asked: &OffsetForLeaderPartition, outcome: Result<PartitionBounds, Condition>) -> EpochEndOffset {
    let answer = EpochEndOffset::default().with_partition(asked.partition);
    let outcome = outcome.and_then(|bounds| match asked.current_leader_epoch {
        1.. => Err(Condition::UnknownLeaderEpoch),
        _ => Ok(bounds),
    });
    match outcome {
        Ok(bounds) if asked.leader_epoch == 0 => {
            answer.with_error_code(NONE).with_leader_epoch(0).with_end_offset(bounds.high_watermark.0)
        }
        Ok(_) => answer.with_error_code(NONE).with_leader_epoch(-1).with_end_offset(-1),
        Err(condition) => answer.with_error_code(code(condition)).with_leader_epoch(-1).with_end_offset(-1),
    }
}

fn all_failed(request: &OffsetForLeaderEpochRequest, failure: &Failure) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| answer(partition, Err(failure.condition)));
        OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
