//! DeleteShareGroupOffsets, key 92, v0.
//!
//! Behaviour:
//! - Answered by the group's home agent; the group must exist and have no members.
//! - The group forgets the topics: when somebody subscribes to one again, `share.auto.offset.reset` decides anew.
//!
//! Versions:
//! - v0 the only one (KIP-932)

use std::sync::Arc;

use kafka_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic as AnsweredTopic;
use kafka_protocol::messages::{ApiKey, DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse};

use crate::api::error::code;
use crate::api::group::names;
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::text;
use crate::api::services::Services;
use crate::coordinator::share::values::DeletedTopicOffsets;
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicName;

/// Letting share groups forget topics.
#[derive(Debug)]
pub struct DeleteShareGroupOffsets;

impl Handler for DeleteShareGroupOffsets {
    const SPEC: ApiSpec =
        ApiSpec { key: ApiKey::DeleteShareGroupOffsets as i16, name: "DeleteShareGroupOffsets", min: 0, max: 0 };
    type Request = DeleteShareGroupOffsetsRequest;
    type Response = DeleteShareGroupOffsetsResponse;

    async fn handle(
        _context: RequestContext,
        services: Arc<Services>,
        request: DeleteShareGroupOffsetsRequest,
    ) -> Reply<DeleteShareGroupOffsetsResponse> {
        let group_id = names::group_id(&request.group_id);
        let names = || request.topics.iter().map(|topic| (topic, TopicName::new(topic.topic_name.as_str())));
        let wanted = names().filter_map(|(_, name)| name.ok()).collect();
        let response = DeleteShareGroupOffsetsResponse::default();
        Reply::Message(match services.share_groups.delete_offsets(&group_id, wanted).await {
            Ok(deleted) => {
                let illegal = names().filter(|(_, name)| name.is_err()).map(|(topic, _)| {
                    let unknown = Failure::new(Condition::UnknownTopicOrPartition, "there is no topic of that name");
                    answered(AnsweredTopic::default().with_topic_name(topic.topic_name.clone()), Err(unknown))
                });
                response.with_responses(deleted.into_iter().map(answered_topic).chain(illegal).collect())
            }
            Err(failure) => {
                response.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message)))
            }
        })
    }
}

fn answered_topic(topic: DeletedTopicOffsets) -> AnsweredTopic {
    let answer = AnsweredTopic::default()
        .with_topic_name(names::wire(topic.topic.as_str()).into())
        .with_topic_id(topic.topic_id.map_or(uuid::Uuid::nil(), |topic_id| topic_id.0));
    answered(answer, topic.outcome)
}

fn answered(answer: AnsweredTopic, outcome: Result<(), Failure>) -> AnsweredTopic {
    match outcome {
        Ok(()) => answer,
        Err(failure) => answer.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message))),
    }
}
