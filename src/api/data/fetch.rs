//! Fetch, key 1, v4–18.
//!
//! Behaviour:
//! - Any agent serves any partition; the leader epoch is 0 for ever, one that the client believes newer is unknown.
//! - Waits for `min_bytes` up to `max_wait_ms`; an error of any partition answers at once.
//! - Records leave as slices of what was stored, real offsets in their headers; batches may begin before the wanted offset.
//! - Sessions (KIP-227) belong to the connection; without room the answer carries session id 0.
//! - No preferred read replica: Metadata already names a leader of the client's zone.
//!
//! Versions:
//! - 4: isolation level (KIP-98) · 5: log start · 7: sessions (KIP-227) · 9: leader epoch (KIP-320) · 10: zstd (KIP-110)
//! - 11: rack (KIP-392) · 12: flexible · 13: topic ids (KIP-516) · 15: replica state · 16: endpoints (KIP-951, unused)
//! - 17, 18: followers' tags only

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::FetchRequest as WireRequest;
use kafka_protocol::messages::fetch_response::FetchResponse as WireResponse;
use tokio::time::Instant;

use crate::api::data::fetch_session::{Finding, Plan, SessionRequest, Slot, Told, Wanted};
use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where, topic_config};
use crate::api::services::Services;
use crate::log::fetch::values::{FetchOutcome, FetchRequest, PartitionFetch};
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::wire::fetch_response::{FetchResponse, FetchedPartition, FetchedTopic};

/// One answer holds at most this many bytes of records (plus one batch), whatever the client allows: Kafka's
/// `fetch.max.bytes` of brokers.
const ANSWER_BYTES_MAX: u32 = 55 * 1024 * 1024;

/// Fetch.
#[derive(Debug)]
pub struct Fetch;

impl Handler for Fetch {
    const SPEC: ApiSpec = ApiSpec { key: 1, name: "Fetch", min: 4, max: 18 };
    type Request = WireRequest;
    type Response = WireResponse;

    async fn handle(context: RequestContext, services: Arc<Services>, request: WireRequest) -> Reply<WireResponse> {
        let session = session_request(&request, context.version >= 13);
        let plan = match services.fetch_sessions.begin(context.connection_id, session, Instant::now()) {
            Ok(plan) => plan,
            Err(condition) => return Reply::Message(WireResponse::default().with_error_code(code(condition))),
        };
        let found = snapshot_where(&services.catalog, |snapshot| {
            plan.partitions.iter().all(|(slot, _)| slot.topic.find_partition(snapshot, slot.partition).is_ok())
        });
        let (fetch, mut outcomes) = match found.await {
            Ok(snapshot) => translate(&snapshot, &plan, &request),
            Err(error) => (None, vec![Some(Err(metastore_failure(&error))); plan.partitions.len()]),
        };
        if let Some(fetch) = fetch {
            let fetched = services.reader.fetch(fetch).await;
            for (slot, outcome) in outcomes.iter_mut().filter(|outcome| outcome.is_none()).zip(fetched) {
                *slot = Some(outcome);
            }
        }
        let lost = || Err(Failure::new(Condition::UnknownServerError, "the log gave no answer"));
        let outcomes: Vec<FetchOutcome> = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect();
        let findings: Vec<Finding> = outcomes.iter().map(finding).collect();
        let named = services.fetch_sessions.finish(context.connection_id, &plan, &findings);
        Reply::Encoded(response(&plan, outcomes, &named, request.isolation_level == 1).encode(context.version))
    }
}

fn session_request(request: &WireRequest, by_id: bool) -> SessionRequest {
    let mut partitions = Vec::new();
    for topic in &request.topics {
        let wanted_topic = TopicRef::of(&topic.topic, topic.topic_id, by_id);
        for asked in &topic.partitions {
            let slot = Slot { topic: wanted_topic.clone(), partition: asked.partition };
            let wanted = Wanted {
                offset: asked.fetch_offset,
                bytes_max: asked.partition_max_bytes,
                leader_epoch: asked.current_leader_epoch,
            };
            partitions.push((slot, wanted));
        }
    }
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let wanted_topic = TopicRef::of(&topic.topic, topic.topic_id, by_id);
        topic.partitions.iter().map(move |partition| Slot { topic: wanted_topic.clone(), partition: *partition })
    });
    let forgotten = forgotten.collect();
    SessionRequest { session_id: request.session_id, epoch: request.session_epoch, by_id, partitions, forgotten }
}

/// The fetch to make, if any, and one outcome per partition of the plan; those that the reader decides are still open.
fn translate(
    snapshot: &CatalogSnapshot,
    plan: &Plan,
    request: &WireRequest,
) -> (Option<FetchRequest>, Vec<Option<FetchOutcome>>) {
    let mut partitions = Vec::new();
    let mut outcomes: Vec<Option<FetchOutcome>> = Vec::new();
    for (slot, wanted) in &plan.partitions {
        let found = slot.topic.find_partition(snapshot, slot.partition).and_then(|found| match wanted.leader_epoch {
            1.. => Err(Condition::UnknownLeaderEpoch),
            _ => Ok(found),
        });
        match found {
            Ok((record, partition)) => {
                partitions.push(PartitionFetch {
                    partition,
                    offset: Offset(wanted.offset),
                    bytes_max: at_least_zero(wanted.bytes_max),
                    timestamp_type: topic_config(snapshot, record).timestamp_type,
                });
                outcomes.push(None);
            }
            Err(condition) => outcomes.push(Some(Err(condition.into()))),
        }
    }
    // An error is news: it answers at once, with whatever is there.
    let in_vain = outcomes.iter().any(Option::is_some);
    let wait_max = if in_vain { 0 } else { at_least_zero(request.max_wait_ms) };
    let fetch = FetchRequest {
        partitions,
        bytes_min: at_least_zero(request.min_bytes),
        wait_max: Duration::from_millis(u64::from(wait_max)),
        bytes_max: at_least_zero(request.max_bytes).min(ANSWER_BYTES_MAX),
        read_committed: request.isolation_level == 1,
    };
    ((!fetch.partitions.is_empty()).then_some(fetch), outcomes)
}

fn at_least_zero(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn finding(outcome: &FetchOutcome) -> Finding {
    match outcome {
        Ok(fetched) => Finding {
            told: Some(Told {
                high_watermark: fetched.bounds.high_watermark.0,
                last_stable_offset: fetched.bounds.last_stable_offset.0,
                log_start_offset: fetched.bounds.log_start_offset.0,
            }),
            records: !fetched.records.is_empty(),
        },
        Err(_) => Finding { told: None, records: false },
    }
}

fn response(plan: &Plan, outcomes: Vec<FetchOutcome>, named: &[bool], read_committed: bool) -> FetchResponse {
    let mut topics: Vec<FetchedTopic> = Vec::new();
    let mut places: BTreeMap<&TopicRef, usize> = BTreeMap::new();
    let answers = plan.partitions.iter().zip(outcomes).zip(named).filter(|(_, named)| **named);
    for (((slot, _), outcome), _) in answers {
        let place = *places.entry(&slot.topic).or_insert_with(|| {
            topics.push(FetchedTopic {
                name: slot.topic.wire_name().0.into_bytes(),
                topic_id: slot.topic.wire_id(),
                partitions: Vec::new(),
            });
            topics.len() - 1
        });
        topics[place].partitions.push(fetched_partition(slot.partition, outcome, read_committed));
    }
    FetchResponse { session_id: plan.session_id, topics, ..FetchResponse::default() }
}

fn fetched_partition(index: i32, outcome: FetchOutcome, read_committed: bool) -> FetchedPartition {
    match outcome {
        Ok(fetched) => {
            let aborted = fetched.aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset.0));
            FetchedPartition {
                high_watermark: fetched.bounds.high_watermark.0,
                last_stable_offset: fetched.bounds.last_stable_offset.0,
                log_start_offset: fetched.bounds.log_start_offset.0,
                aborted: read_committed.then(|| aborted.collect()),
                records: fetched.records,
                ..FetchedPartition::empty(index, NONE)
            }
        }
        Err(failure) => {
            let aborted = read_committed.then(Vec::new);
            FetchedPartition { aborted, ..FetchedPartition::empty(index, code(failure.condition)) }
        }
    }
}

#[cfg(test)]
mod tests;
