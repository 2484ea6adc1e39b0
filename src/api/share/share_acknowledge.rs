//! ShareAcknowledge, key 79, v1–2.
//!
//! Behaviour:
//! - Any agent takes any acknowledgement of the sessions that it has; what went wrong stands at each partition.
//! - An answer without error means that the acknowledgement is stored: the record is never delivered again.
//! - Epoch 0 is refused: a session is opened by fetching. −1 closes it, and what the member still holds is given back
//!   after the answer.
//!
//! Versions:
//! - v1 the first one for good (KIP-932)
//! - v2 renewal and the lock's duration (KIP-1222)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ShareAcknowledgeResponse as NeverSent;
use uuid::Uuid;

use crate::api::error::{code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{snapshot_where, text};
use crate::api::services::Services;
use crate::api::share::acknowledgements::{Named, TypesAllowed, checked, existing, merged};
use crate::api::share::caller::session_key;
use crate::api::share::closing::Closing;
use crate::coordinator::share::values::{PartitionAcknowledgement, ShareAcknowledgeRequest};
use crate::model::error::Failure;
use crate::model::topic::TopicIdPartition;
use crate::wire::share::acknowledge_request::ShareAcknowledgeRequest as WireRequest;
use crate::wire::share::acknowledge_response::{AcknowledgedPartition, AcknowledgedTopic, ShareAcknowledgeResponse};

/// ShareAcknowledge.
#[derive(Debug)]
pub struct ShareAcknowledge;

impl Handler for ShareAcknowledge {
    const SPEC: ApiSpec = ApiSpec { key: 79, name: "ShareAcknowledge", min: 1, max: 2 };
    type Request = WireRequest;
    type Response = NeverSent;

    async fn handle(context: RequestContext, services: Arc<Services>, request: WireRequest) -> Reply<NeverSent> {
        let answered = answer(&context, &services, request).await;
        let response = answered.unwrap_or_else(|failure| ShareAcknowledgeResponse {
            error_code: code(failure.condition),
            error_message: Some(text(failure.message)),
            ..ShareAcknowledgeResponse::default()
        });
        Reply::Encoded(response.encode(context.version))
    }
}

type Judged = (TopicIdPartition, Result<PartitionAcknowledgement, Failure>);

async fn answer(
    context: &RequestContext,
    services: &Services,
    request: WireRequest,
) -> Result<ShareAcknowledgeResponse, Failure> {
    let key = session_key(request.group_id.as_ref(), request.member_id.as_ref())?;
    let closing = services.share_sessions.acknowledge(&key, request.session_epoch)?;
    let closing = closing.map(|partitions| Closing::new(&services.share_delivery, &key, partitions));
    let allowed = TypesAllowed { knows_renew: context.version >= 2, is_renew: request.is_renew };
    let mut judged = judge(services, &merged(&request.topics), allowed).await;
    let wanted = |acknowledgement: &&PartitionAcknowledgement| !acknowledgement.batches.is_empty();
    let acknowledgements = judged.iter().filter_map(|(_, judged)| judged.as_ref().ok()).filter(wanted).cloned();
    let answer = services
        .share_delivery
        .acknowledge(ShareAcknowledgeRequest {
            group_id: key.group_id.clone(),
            member_id: key.member_id.clone(),
            acknowledgements: acknowledgements.collect(),
        })
        .await;
    let asked = judged.iter_mut().filter(|(_, judged)| judged.as_ref().is_ok_and(|asked| !asked.batches.is_empty()));
    for ((_, judged), outcome) in asked.zip(answer.acknowledged) {
        if let Err(failure) = outcome {
            *judged = Err(failure);
        }
    }
    // Only now: what is given back must not be what this request has yet to acknowledge.
    drop(closing);
    Ok(response(judged, answer.lock_duration))
}

async fn judge(services: &Services, named: &[Named], allowed: TypesAllowed) -> Vec<Judged> {
    let found = snapshot_where(&services.catalog, |snapshot| {
        named.iter().all(|(partition, _)| {
            let topic = snapshot.topics_by_id.get(&partition.topic_id);
            topic.is_some_and(|topic| (0..topic.partition_count).contains(&partition.partition.0))
        })
    })
    .await;
    let judge = |(partition, batches): &Named| {
        let judged = checked(*partition, batches, allowed).and_then(|judged| match &found {
            Ok(snapshot) => existing(snapshot, *partition).map(|_| judged),
            Err(error) => Err(metastore_failure(error)),
        });
        (*partition, judged)
    };
    named.iter().map(judge).collect()
}

fn response(judged: Vec<Judged>, lock_duration: Duration) -> ShareAcknowledgeResponse {
    let mut topics: Vec<AcknowledgedTopic> = Vec::new();
    let mut places: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (partition, outcome) in judged {
        let topic_id = partition.topic_id.0;
        let place = *places.entry(topic_id).or_insert_with(|| {
            topics.push(AcknowledgedTopic { topic_id, partitions: Vec::new() });
            topics.len() - 1
        });
        let mut answer = AcknowledgedPartition { partition: partition.partition.0, ..AcknowledgedPartition::default() };
        if let Err(failure) = outcome {
            answer.error_code = code(failure.condition);
            answer.error_message = Some(text(failure.message));
        }
        topics[place].partitions.push(answer);
    }
    ShareAcknowledgeResponse {
        lock_timeout_ms: i32::try_from(lock_duration.as_millis()).unwrap_or(i32::MAX),
        topics,
        ..ShareAcknowledgeResponse::default()
    }
}
