//! ShareGroupHeartbeat, key 76, v1.
//!
//! Behaviour:
//! - Answered by the group's home agent, others say `NOT_COORDINATOR`. Epoch 0 joins, −1 leaves.
//! - The assignment is in the first answer already; it comes again when it changed, or when the member says anew what
//!   it subscribes to.
//! - Names of topics that can not be any topic's are passed over.
//!
//! Versions:
//! - v1 the first one for good (KIP-932)

use std::sync::Arc;

use kafka_protocol::messages::share_group_heartbeat_response::{Assignment as WireAssignment, TopicPartitions};
use kafka_protocol::messages::{ApiKey, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use crate::api::error::code;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::api::share::caller::MEMBER_ID_CHARS_MAX;
use crate::coordinator::share::values::{Assignment, ShareHeartbeat};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicName;

/// Being a member of a share group.
#[derive(Debug)]
pub struct ShareGroupHeartbeat;

impl Handler for ShareGroupHeartbeat {
    const SPEC: ApiSpec =
        ApiSpec { key: ApiKey::ShareGroupHeartbeat as i16, name: "ShareGroupHeartbeat", min: 1, max: 1 };
    type Request = ShareGroupHeartbeatRequest;
    type Response = ShareGroupHeartbeatResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: ShareGroupHeartbeatRequest,
    ) -> Reply<ShareGroupHeartbeatResponse> {
        let member_id = request.member_id.clone();
        let outcome = match values_from(&context, &request) {
            Ok(heartbeat) => services.share_groups.heartbeat(heartbeat).await,
            Err(failure) => Err(failure),
        };
        let response = ShareGroupHeartbeatResponse::default();
        Reply::Message(match outcome {
            Ok(answer) => response
                .with_member_id(Some(member_id))
                .with_member_epoch(answer.member_epoch)
                .with_heartbeat_interval_ms(i32::try_from(answer.heartbeat_interval.as_millis()).unwrap_or(i32::MAX))
                .with_assignment(answer.assignment.map(wire_assignment)),
            Err(failure) => {
                response.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message)))
            }
        })
    }
}

fn values_from(context: &RequestContext, request: &ShareGroupHeartbeatRequest) -> Result<ShareHeartbeat, Failure> {
    let invalid = |sentence: &str| Err(Failure::new(Condition::InvalidRequest, sentence));
    if request.group_id.is_empty() {
        return invalid("the group id is empty");
    }
    if request.member_id.is_empty() {
        return invalid("the member id is empty");
    }
    if request.member_id.chars().count() > MEMBER_ID_CHARS_MAX {
        return invalid("the member id is longer than 36 characters");
    }
    if request.rack_id.as_ref().is_some_and(|rack| rack.is_empty()) {
        return invalid("the rack id is empty");
    }
    if request.member_epoch < -1 {
        return invalid("the member epoch is less than -1");
    }
    if request.member_epoch == 0 && request.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) {
        return invalid("a member that joins must say which topics it subscribes to");
    }
    let legal = |names: &Vec<kafka_protocol::messages::TopicName>| {
        names.iter().filter_map(|name| TopicName::new(name.as_str()).ok()).collect()
    };
    Ok(ShareHeartbeat {
        group_id: names::group_id(&request.group_id),
        member_id: names::member_id(&request.member_id),
        member_epoch: request.member_epoch,
        rack: request.rack_id.as_ref().map(names::text),
        subscribed: request.subscribed_topic_names.as_ref().map(legal),
        client_id: context.client_id.clone().unwrap_or_else(|| "".into()),
        // Kafka writes Java's form of an address, with an empty host name before the slash.
        client_host: format!("/{}", context.client_host).into(),
    })
}

fn wire_assignment(assignment: Assignment) -> WireAssignment {
    let topics = assignment.into_iter().map(|(topic_id, partitions)| {
        TopicPartitions::default()
            .with_topic_id(topic_id.0)
            .with_partitions(partitions.into_iter().map(|partition| partition.0).collect())
    });
    WireAssignment::default().with_topic_partitions(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::protocol::StrBytes;

    fn context() -> RequestContext {
        RequestContext {
            connection_id: 1,
            version: 1,
            client_id: Some("c".into()),
            client_host: [192, 0, 2, 1].into(),
            apis: &[],
        }
    }

    fn request() -> ShareGroupHeartbeatRequest {
        ShareGroupHeartbeatRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_member_id(StrBytes::from_static_str("m"))
            .with_subscribed_topic_names(Some(vec![
                StrBytes::from_static_str("t").into(),
                StrBytes::from_static_str("a b").into(),
            ]))
    }

    #[test]
    fn a_legal_request_is_taken_as_it_is() {
        let values = values_from(&context(), &request()).expect("legal");
        assert_eq!(values.subscribed, Some(vec![TopicName::new("t").expect("legal")]));
        assert_eq!((values.client_id.as_ref(), values.client_host.as_ref()), ("c", "/192.0.2.1"));
        let unchanged = request().with_member_epoch(3).with_subscribed_topic_names(None);
        assert_eq!(values_from(&context(), &unchanged).expect("legal").subscribed, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |request: ShareGroupHeartbeatRequest, words: &str| {
            let failure = values_from(&context(), &request).expect_err(words);
            assert_eq!(failure.condition, Condition::InvalidRequest);
            assert!(failure.message.contains(words), "{failure}");
        };
        check(request().with_group_id(StrBytes::new().into()), "group id");
        check(request().with_member_id(StrBytes::new()), "member id is empty");
        check(request().with_member_id(StrBytes::from_string("m".repeat(37))), "36");
        check(request().with_rack_id(Some(StrBytes::new())), "rack");
        check(request().with_member_epoch(-2), "epoch");
        check(request().with_subscribed_topic_names(None), "subscribes");
        check(request().with_subscribed_topic_names(Some(vec![])), "subscribes");
    }
}
