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

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ShareFetchResponse as NeverSent;

use crate::api::error::code;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::api::share::acknowledgements::{Named, TypesAllowed, merged};
use crate::api::share::caller::session_key;
use crate::api::share::closing::Closing;
use crate::api::share::fetch_parts::Parts;
use crate::api::share::share_session::SessionRequest;
use crate::coordinator::share::values::{AcquireMode, ShareFetchRequest};
use crate::model::error::{Condition, Failure};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use crate::wire::share::fetch_request::ShareFetchRequest as WireRequest;
use crate::wire::share::fetch_response::ShareFetchResponse;

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
        Reply::Encoded(response.encode(context.version))
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
    let response = ShareFetchResponse {
        lock_timeout_ms: i32::try_from(lock_duration.as_millis()).unwrap_or(i32::MAX),
        topics: parts.into_topics(&services.share_sessions, &key, &plan),
        ..ShareFetchResponse::default()
    };
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
    let in_vain = request.records_max <= 0 || request.bytes_max <= 0 || parts.partitions().is_empty();
    Duration::from_millis(if in_vain { 0 } else { u64::from(at_least_zero(request.wait_max_ms)) })
}

fn at_least_zero(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
