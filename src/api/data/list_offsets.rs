//! ListOffsets, key 2, v1–10.
//!
//! Behaviour:
//! - Answers come from the metastore itself, so the end never goes back for a client that moves between agents.
//! - −1 latest, −2 earliest, −3 largest timestamp (v7), −4 earliest local (v8: the same as earliest, there is no local log);
//!   −5 latest tiered (v9) and −6 (v10) find nothing: there is no second tier.
//! - The leader epoch is always 0; one that the client believes newer is unknown.
//!
//! Versions:
//! - 1: one offset per partition · 2: isolation level (KIP-98) · 4: leader epoch (KIP-320) · 6: flexible
//! - 7: max timestamp (KIP-734) · 8: local log (KIP-405) · 9: tiered (KIP-1005) · 10: timeout (KIP-1075, unused)

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where, topic_config};
use crate::api::services::Services;
use crate::base::clock::Timestamp;
use crate::log::offsets::{FoundOffset, OffsetQuery, OffsetSpec};
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;

/// ListOffsets.
#[derive(Debug)]
pub struct ListOffsets;

impl Handler for ListOffsets {
    const SPEC: ApiSpec = ApiSpec { key: 2, name: "ListOffsets", min: 1, max: 10 };
    type Request = ListOffsetsRequest;
    type Response = ListOffsetsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: ListOffsetsRequest,
    ) -> Reply<ListOffsetsResponse> {
        let slots = match snapshot_where(&services.catalog, |snapshot| all_known(snapshot, &request)).await {
            Ok(snapshot) => slots(&snapshot, &request, context.version),
            Err(error) => {
                let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
                vec![Slot::Done(Err(metastore_failure(&error))); count]
            }
        };
        let queries: Vec<OffsetQuery> = slots.iter().filter_map(Slot::query).collect();
        let found = if queries.is_empty() { Vec::new() } else { services.offsets.find(queries).await };
        Reply::Message(response(&request, slots, found, context.version))
    }
}

fn all_known(snapshot: &CatalogSnapshot, request: &ListOffsetsRequest) -> bool {
    request.topics.iter().all(|topic| {
        let wanted = TopicRef::Name(topic.name.as_str().into());
        topic.partitions.iter().all(|partition| wanted.find_partition(snapshot, partition.partition_index).is_ok())
    })
}

/// One partition of the request: decided already, or a query.
#[derive(Clone, Debug)]
enum Slot {
    Done(Result<FoundOffset, Failure>),
    Query(OffsetQuery),
}

impl Slot {
    fn query(&self) -> Option<OffsetQuery> {
        match self {
            Self::Query(query) => Some(*query),
            Self::Done(_) => None,
        }
    }
}

/// What a special or real timestamp asks for; `None` finds nothing, for want of a second tier.
fn spec_of(timestamp: i64, version: i16) -> Result<Option<OffsetSpec>, Condition> {
    match timestamp {
        0.. => Ok(Some(OffsetSpec::AtOrAfter(Timestamp(timestamp)))),
        -1 => Ok(Some(OffsetSpec::Latest)),
        -2 => Ok(Some(OffsetSpec::Earliest)),
        -3 if version >= 7 => Ok(Some(OffsetSpec::MaxTimestamp)),
        -4 if version >= 8 => Ok(Some(OffsetSpec::Earliest)),
        -5 if version >= 9 => Ok(None),
        -6 if version >= 10 => Ok(None),
        _ => Err(Condition::UnsupportedVersion),
    }
}

fn slots(snapshot: &CatalogSnapshot, request: &ListOffsetsRequest, version: i16) -> Vec<Slot> {
    let read_committed = request.isolation_level == 1;
    let mut seen = BTreeSet::new();
    let mut slots = Vec::new();
    for topic in &request.topics {
        let wanted = TopicRef::Name(topic.name.as_str().into());
        let timestamp_type = wanted.find(snapshot).map(|record| topic_config(snapshot, record).timestamp_type);
        for partition in &topic.partitions {
            let twice = !seen.insert((wanted.clone(), partition.partition_index));
            let checked = wanted.find_partition(snapshot, partition.partition_index).and_then(|(_, found)| {
                check(partition, twice)?;
                Ok((found, spec_of(partition.timestamp, version)?))
            });
            slots.push(match checked {
                Err(condition) => Slot::Done(Err(condition.into())),
                Ok((_, None)) => Slot::Done(Ok(FoundOffset { offset: Offset::NONE, timestamp: Timestamp::NONE })),
                Ok((partition, Some(spec))) => {
                    let timestamp_type = timestamp_type.unwrap_or_default();
                    Slot::Query(OffsetQuery { partition, spec, timestamp_type, read_committed })
                }
            });
        }
    }
    slots
}

fn check(partition: &ListOffsetsPartition, twice: bool) -> Result<(), Condition> {
    match partition.current_leader_epoch {
        _ if twice => Err(Condition::InvalidRequest),
        1.. => Err(Condition::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

fn response(
    request: &ListOffsetsRequest,
    slots: Vec<Slot>,
    found: Vec<Result<FoundOffset, Failure>>,
    version: i16,
) -> ListOffsetsResponse {
    let mut found = found.into_iter();
    let lost = || Err(Failure::new(Condition::UnknownServerError, "the log gave no answer"));
    let mut outcomes = slots.into_iter().map(|slot| match slot {
        Slot::Done(outcome) => outcome,
        Slot::Query(_) => found.next().unwrap_or_else(lost),
    });
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut outcomes);
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(
            partitions
                .map(|(partition, outcome)| partition_response(partition.partition_index, &outcome, version))
                .collect(),
        )
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn partition_response(
    index: i32,
    outcome: &Result<FoundOffset, Failure>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match outcome {
        Ok(found) => response
            .with_error_code(NONE)
            .with_offset(found.offset.0)
            .with_timestamp(found.timestamp.0)
            .with_leader_epoch(if version < 4 || found.offset == Offset::NONE { -1 } else { 0 }),
        Err(failure) => {
            response.with_error_code(code(failure.condition)).with_offset(-1).with_timestamp(-1).with_leader_epoch(-1)
        }
    }
}

#[cfg(test)]
mod tests;
