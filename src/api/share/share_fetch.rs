//! ShareFetch, key 78, v1–2.
//!
//! Behaviour:
//! - Any agent serves any partition; `NOT_LEADER_OR_FOLLOWER` and leaders are never named. Whether the member is in the
//!   group, or was assigned the partition, is not looked at, as in Kafka.
//! - Acknowledgements are applied before anything is acquired, in the same step. What went wrong with them and with the
//!   fetch stands at each partition; the whole answer fails only for its session or its form.
//! - Epoch 0 opens a session, −1 closes it: then nothing is fetched, and what the member still holds is given back
//!   after the answer. Without room for a session, the answer waits as long as the client allows, so that clients do
//!   not storm.
//! - Renewing fetches nothing.
//! - Records leave as slices of what was stored; they may hold more than was acquired, clients skip the rest.
//!
//! Versions:
//! - v1 the first one for good (KIP-932)
//! - v2 acquire mode (KIP-1206), renewal (KIP-1222)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ShareFetchResponse as NeverSent;
use uuid::Uuid;

use crate::api::error::{code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{snapshot_where, text};
use crate::api::services::Services;
use crate::api::share::acknowledgements::{Named, TypesAllowed, checked, existing, merged};
use crate::api::share::caller::session_key;
use crate::api::share::closing::Closing;
use crate::api::share::share_session::{Finding, Plan, SessionKey, SessionRequest};
use crate::coordinator::share::values::{
    AcquireMode, PartitionAcknowledgement, ShareFetchAnswer, ShareFetchRequest, SharedRecords,
};
use crate::model::error::{Condition, Failure};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use crate::wire::share::fetch_request::ShareFetchRequest as WireRequest;
use crate::wire::share::fetch_response::{
    AcquiredRecords, ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic,
};

/// One answer holds at most this many bytes of records (plus one batch), whatever the client allows: Kafka's
/// `fetch.max.bytes` of brokers.
const ANSWER_BYTES_MAX: u32 = 55 * 1024 * 1024;

/// ShareFetch.
#[derive(Debug)]
pub struct ShareFetch;

impl Handler for ShareFetch {
    const SPEC: ApiSpec = ApiSpec { key: 78, name: "ShareFetch", min: 1, max: 2 };
    type Request = WireRequest;
    type Response = NeverSent;

    async fn handle(context: RequestContext, services: Arc<Services>, request: WireRequest) -> Reply<NeverSent> {
        let response = answer(&context, &services, request).await.unwrap_or_else(|failure| ShareFetchResponse {
            error_code: code(failure.condition),
            error_message: Some(text(failure.message)),
            ..ShareFetchResponse::default()
        });
        Reply::Encoded(response.encode())
    }
}

async fn answer(
    context: &RequestContext,
    services: &Services,
    request: WireRequest,
) -> Result<ShareFetchResponse, Failure> {
    let key = session_key(request.group_id.as_ref(), request.member_id.as_ref())?;
    let mode = acquire_mode(&request)?;
    let named = merged(&request.topics);
    let session = session_request(&request, &named);
    let plan = match services.share_sessions.begin(context.connection_id, &key, session) {
        Err(full) if full.condition == Condition::ShareSessionLimitReached => {
            tokio::time::sleep(Duration::from_millis(u64::from(at_least_zero(request.wait_max_ms)))).await;
            return Err(full);
        }
        begun => begun?,
    };
    let closing = plan.closing.clone().map(|partitions| Closing::new(&services.share_delivery, &key, partitions));
    let allowed = TypesAllowed { knows_renew: context.version >= 2, is_renew: request.is_renew };
    let mut parts = Parts::look_up(services, &plan, &named, allowed).await;
    let fetch = ShareFetchRequest {
        group_id: key.group_id.clone(),
        member_id: key.member_id.clone(),
        acknowledgements: parts.acknowledgements(),
        partitions: parts.partitions(),
        records_max: at_least_zero(request.records_max),
        batch_size: at_least_zero(request.batch_size),
        mode,
        bytes_min: at_least_zero(request.bytes_min),
        wait_max: wait_max(&request, &parts),
        bytes_max: at_least_zero(request.bytes_max).min(ANSWER_BYTES_MAX),
    };
    let lock_duration = parts.take(services.share_delivery.fetch(fetch).await);
    let response = response(services, &key, &plan, parts, lock_duration);
    // Only now: what is given back must not be what this request has yet to acknowledge.
    drop(closing);
    Ok(response)
}

fn acquire_mode(request: &WireRequest) -> Result<AcquireMode, Failure> {
    let invalid = |sentence: String| Failure::new(Condition::InvalidRequest, sentence);
    let limits = [request.bytes_max, request.bytes_min, request.records_max, request.wait_max_ms];
    if request.is_renew && limits.iter().any(|limit| *limit != 0) {
        let sentence = "a request that renews fetches nothing: its limits of bytes, records and time must be 0";
        return Err(invalid(sentence.to_owned()));
    }
    match request.acquire_mode {
        0 => Ok(AcquireMode::BatchOptimized),
        1 => Ok(AcquireMode::RecordLimit),
        other => Err(invalid(format!("there is no acquire mode {other}"))),
    }
}

fn session_request(request: &WireRequest, named: &[Named]) -> SessionRequest {
    let forgotten = request.forgotten.iter().flat_map(|topic| {
        let of_topic = |index: &i32| TopicIdPartition::new(TopicId(topic.topic_id), PartitionIndex(*index));
        topic.partitions.iter().map(of_topic)
    });
    SessionRequest {
        epoch: request.session_epoch,
        partitions: named.iter().map(|(partition, _)| *partition).collect(),
        forgotten: forgotten.collect(),
        acknowledges: named.iter().any(|(_, batches)| !batches.is_empty()),
    }
}

fn wait_max(request: &WireRequest, parts: &Parts) -> Duration {
    let in_vain = request.records_max <= 0 || request.bytes_max <= 0 || parts.fetched.values().all(Result::is_err);
    Duration::from_millis(if in_vain { 0 } else { u64::from(at_least_zero(request.wait_max_ms)) })
}

fn at_least_zero(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// What a request asks of each partition, and then what became of it.
struct Parts {
    /// Partitions to fetch from, in order of priority.
    order: Vec<TopicIdPartition>,
    /// Each of them, failed or not.
    fetched: BTreeMap<TopicIdPartition, Result<SharedRecords, Failure>>,
    /// Acknowledged partitions in order, each with what is said of it, or why that can not be.
    acknowledged: Vec<(TopicIdPartition, Result<PartitionAcknowledgement, Failure>)>,
}

impl Parts {
    async fn look_up(services: &Services, plan: &Plan, named: &[Named], allowed: TypesAllowed) -> Self {
        let acknowledged = || named.iter().filter(|(_, batches)| !batches.is_empty());
        let partitions = || plan.partitions.iter().chain(acknowledged().map(|(partition, _)| partition));
        let found = snapshot_where(&services.catalog, |snapshot| {
            partitions().all(|partition| {
                let topic = snapshot.topics_by_id.get(&partition.topic_id);
                topic.is_some_and(|topic| (0..topic.partition_count).contains(&partition.partition.0))
            })
        })
        .await;
        let exists = |partition: TopicIdPartition| match &found {
            Ok(snapshot) => existing(snapshot, partition),
            Err(error) => Err(metastore_failure(error)),
        };
        let judged = acknowledged().map(|(partition, batches)| {
            let judged = checked(*partition, batches, allowed);
            (*partition, judged.and_then(|judged| exists(*partition).map(|_| judged)))
        });
        let empty = |partition: &TopicIdPartition| (*partition, exists(*partition).map(|_| SharedRecords::default()));
        Self {
            order: plan.partitions.clone(),
            fetched: plan.partitions.iter().map(empty).collect(),
            acknowledged: judged.collect(),
        }
    }

    fn partitions(&self) -> Vec<TopicIdPartition> {
        let sound = |partition: &&TopicIdPartition| self.fetched.get(partition).is_some_and(Result::is_ok);
        self.order.iter().filter(sound).copied().collect()
    }

    fn acknowledgements(&self) -> Vec<PartitionAcknowledgement> {
        self.acknowledged.iter().filter_map(|(_, judged)| judged.as_ref().ok().cloned()).collect()
    }

    /// Takes the outcomes, which are in the order of what was asked, and gives the lock's duration.
    fn take(&mut self, answer: ShareFetchAnswer) -> Duration {
        for (partition, outcome) in self.partitions().into_iter().zip(answer.fetched) {
            self.fetched.insert(partition, outcome);
        }
        let asked = self.acknowledged.iter_mut().filter(|(_, judged)| judged.is_ok());
        for ((_, judged), outcome) in asked.zip(answer.acknowledged) {
            if let Err(failure) = outcome {
                *judged = Err(failure);
            }
        }
        answer.lock_duration
    }
}

fn response(
    services: &Services,
    key: &SessionKey,
    plan: &Plan,
    parts: Parts,
    lock_duration: Duration,
) -> ShareFetchResponse {
    let Parts { order, mut fetched, acknowledged } = parts;
    let mut acknowledged: BTreeMap<TopicIdPartition, Result<(), Failure>> =
        acknowledged.into_iter().map(|(partition, judged)| (partition, judged.map(|_| ()))).collect();
    let finding = |partition: &TopicIdPartition| match fetched.get(partition) {
        Some(Err(_)) => Finding::Failed,
        Some(Ok(shared)) if !shared.acquired.is_empty() => Finding::News,
        _ if acknowledged.contains_key(partition) => Finding::News,
        _ => Finding::Nothing,
    };
    let findings: Vec<Finding> = order.iter().map(finding).collect();
    let is_named = services.share_sessions.finish(key, plan, &findings);
    let mut answered = Answered::default();
    for (partition, _) in order.iter().zip(is_named).filter(|(_, is_named)| *is_named) {
        let outcome = fetched.remove(partition).unwrap_or_else(|| Ok(SharedRecords::default()));
        answered.add(*partition, outcome, acknowledged.remove(partition));
    }
    // What was acknowledged without being fetched: the session is over, or the partition forgotten.
    for (partition, outcome) in acknowledged {
        answered.add(partition, Ok(SharedRecords::default()), Some(outcome));
    }
    ShareFetchResponse {
        lock_timeout_ms: i32::try_from(lock_duration.as_millis()).unwrap_or(i32::MAX),
        topics: answered.topics,
        ..ShareFetchResponse::default()
    }
}

#[derive(Default)]
struct Answered {
    topics: Vec<ShareFetchedTopic>,
    places: BTreeMap<Uuid, usize>,
}

impl Answered {
    fn add(
        &mut self,
        partition: TopicIdPartition,
        fetched: Result<SharedRecords, Failure>,
        acknowledged: Option<Result<(), Failure>>,
    ) {
        let topic_id = partition.topic_id.0;
        let place = *self.places.entry(topic_id).or_insert_with(|| {
            self.topics.push(ShareFetchedTopic { topic_id, partitions: Vec::new() });
            self.topics.len() - 1
        });
        let mut answer = ShareFetchedPartition { partition: partition.partition.0, ..ShareFetchedPartition::default() };
        match fetched {
            Ok(shared) => {
                answer.records = shared.records;
                answer.acquired = shared.acquired.iter().map(acquired).collect();
            }
            Err(failure) => {
                answer.error_code = code(failure.condition);
                answer.error_message = Some(text(failure.message));
            }
        }
        if let Some(Err(failure)) = acknowledged {
            answer.acknowledge_error_code = code(failure.condition);
            answer.acknowledge_error_message = Some(text(failure.message));
        }
        self.topics[place].partitions.push(answer);
    }
}

fn acquired(range: &crate::coordinator::share::values::AcquiredRange) -> AcquiredRecords {
    AcquiredRecords {
        first_offset: range.first.0,
        last_offset: range.last.0,
        delivery_count: i16::try_from(range.delivery_count).unwrap_or(i16::MAX),
    }
}

#[cfg(test)]
mod tests;
