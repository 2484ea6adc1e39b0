//! DeleteTopics, key 20, v1–6.
//!
//! Behaviour:
//! - The topic is gone when the answer comes; the bytes of its objects go when nothing refers to them any more.
//! - A deletion whose answer was lost is asked again: "not there" then means that it was done.
//!
//! Versions: 4: flexible · 5: error messages (KIP-599) · 6: by id (KIP-516)

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, snapshot_where, text};
use crate::api::services::Services;
use crate::api::topic::settle::settle;
use crate::metastore::values::{CatalogSnapshot, TopicRecord};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicId;

/// DeleteTopics.
#[derive(Debug)]
pub struct DeleteTopics;

impl Handler for DeleteTopics {
    const SPEC: ApiSpec = ApiSpec { key: 20, name: "DeleteTopics", min: 1, max: 6 };
    type Request = DeleteTopicsRequest;
    type Response = DeleteTopicsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: DeleteTopicsRequest,
    ) -> Reply<DeleteTopicsResponse> {
        let asked = asked(&request, context.version);
        let mut outcomes: Vec<Outcome> = if services.defaults.delete_topics {
            check(&services, &asked).await
        } else {
            let condition =
                if context.version < 3 { Condition::InvalidRequest } else { Condition::TopicDeletionDisabled };
            let failure = Failure::new(condition, "Topic deletion is disabled.");
            asked.iter().map(|_| Err(failure.clone())).collect()
        };
        delete_checked(&services, &mut outcomes, request.timeout_ms).await;
        let answers = asked.iter().zip(outcomes).map(|(topic, outcome)| answer(topic, outcome, context.version));
        Reply::Message(DeleteTopicsResponse::default().with_responses(answers.collect()))
    }
}

type Outcome = Result<Arc<TopicRecord>, Failure>;

/// The topics asked for; `Err` for an entry that names a topic twice, or not at all.
fn asked(request: &DeleteTopicsRequest, version: i16) -> Vec<Result<TopicRef, Failure>> {
    let topics: Vec<Result<TopicRef, Failure>> = if version < 6 {
        request.topic_names.iter().map(|name| Ok(TopicRef::Name(name.as_str().into()))).collect()
    } else {
        let states = request.topics.iter().map(|state| match (&state.name, state.topic_id.is_nil()) {
            (Some(name), true) => Ok(TopicRef::Name(name.as_str().into())),
            (None, false) => Ok(TopicRef::Id(TopicId(state.topic_id))),
            (Some(_), false) => Err("You may not specify both topic name and topic id."),
            (None, true) => Err("Neither topic name nor id were specified."),
        });
        states.map(|state| state.map_err(|sentence| Failure::new(Condition::InvalidRequest, sentence))).collect()
    };
    let mut times: BTreeMap<TopicRef, usize> = BTreeMap::new();
    for topic in topics.iter().flatten() {
        *times.entry(topic.clone()).or_default() += 1;
    }
    topics
        .into_iter()
        .map(|topic| {
            let topic = topic?;
            match (times.get(&topic), &topic) {
                (Some(1), _) => Ok(topic),
                (_, TopicRef::Name(_)) => Err(Failure::new(Condition::InvalidRequest, "Duplicate topic name.")),
                (_, TopicRef::Id(_)) => Err(Failure::new(Condition::InvalidRequest, "Duplicate topic id.")),
            }
        })
        .collect()
}

async fn check(services: &Services, asked: &[Result<TopicRef, Failure>]) -> Vec<Outcome> {
    let all_known = |snapshot: &CatalogSnapshot| asked.iter().flatten().all(|topic| topic.find(snapshot).is_some());
    let found = snapshot_where(&services.catalog, all_known).await;
    asked
        .iter()
        .map(|topic| {
            let topic = topic.as_ref().map_err(Clone::clone)?;
            match &found {
                Ok(snapshot) => topic.find(snapshot).cloned().ok_or_else(|| missing(topic)),
                Err(error) => Err(metastore_failure(error)),
            }
        })
        .collect()
}

fn missing(topic: &TopicRef) -> Failure {
    let sentence = match topic {
        TopicRef::Name(_) => "This server does not host this topic-partition.",
        TopicRef::Id(_) => "This server does not host this topic ID.",
    };
    Failure::new(topic.missing(), sentence)
}

async fn delete_checked(services: &Services, outcomes: &mut [Outcome], timeout_ms: i32) {
    let topics: Vec<TopicId> = outcomes.iter().flatten().map(|topic| topic.topic_id).collect();
    if topics.is_empty() {
        return;
    }
    let settled = settle(&services.rng, timeout_ms, || services.metastore.delete_topics(topics.clone())).await;
    let passed = outcomes.iter_mut().filter(|outcome| outcome.is_ok());
    match settled.outcome {
        Ok(deleted) => {
            for (slot, outcome) in passed.zip(deleted) {
                if let Err(refusal) = outcome
                    && !settled.tried_before
                {
                    *slot = Err(Failure::new(Condition::UnknownTopicOrPartition, refusal.to_string()));
                }
            }
        }
        Err(error) => passed.for_each(|slot| *slot = Err(metastore_failure(&error))),
    }
    // Only to save the next request the way to the metastore: failing here changes nothing.
    let _ = services.catalog.refresh().await;
}

fn answer(topic: &Result<TopicRef, Failure>, outcome: Outcome, version: i16) -> DeletableTopicResult {
    let mut result = DeletableTopicResult::default();
    match topic {
        Ok(TopicRef::Id(topic_id)) => result.topic_id = topic_id.0,
        Ok(name @ TopicRef::Name(_)) => result.name = Some(name.wire_name()),
        // Null is a name only where answers may carry null.
        Err(_) if version < 6 => result.name = Some(text("").into()),
        Err(_) => {}
    }
    match outcome {
        Ok(record) => result
            .with_name(Some(text(record.name.as_str()).into()))
            .with_topic_id(record.topic_id.0)
            .with_error_code(NONE),
        Err(failure) => {
            let sentence = (version >= 5).then(|| text(failure.message));
            result.with_error_code(code(failure.condition)).with_error_message(sentence)
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

    use super::*;
    use crate::api::cluster::metadata::Metadata;
    use crate::api::kit::Kit;
    use crate::config::broker::BrokerDefaults;
    use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

    /// Has Metadata create the topic.
    async fn create(kit: &Kit, name: &str) -> uuid::Uuid {
        let topic = MetadataRequestTopic::default().with_name(Some(text(name).into()));
        let answer = kit.ask::<Metadata>(12, MetadataRequest::default().with_topics(Some(vec![topic]))).await;
        assert_eq!(answer.topics[0].error_code, 0);
        answer.topics[0].topic_id
    }

    fn by_name(name: &str) -> DeleteTopicState {
        DeleteTopicState::default().with_name(Some(text(name).into()))
    }

    fn by_id(topic_id: uuid::Uuid) -> DeleteTopicState {
        DeleteTopicState::default().with_name(None).with_topic_id(topic_id)
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_deletes_by_name() {
        let kit = Kit::start().await;
        for version in 1..=6 {
            create(&kit, "t").await;
            let request = if version < 6 {
                DeleteTopicsRequest::default().with_topic_names(vec![text("t").into()])
            } else {
                DeleteTopicsRequest::default().with_topics(vec![by_name("t")])
            };
            let answer = kit.ask::<DeleteTopics>(version, request.clone()).await;
            assert_eq!(answer.responses[0].error_code, 0, "version {version}");
            assert!(kit.services.catalog.snapshot().topics.is_empty());
            let again = kit.ask::<DeleteTopics>(version, request).await;
            assert_eq!(again.responses[0].error_code, 3, "version {version}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn identities_are_found_and_senseless_entries_are_not() {
        let kit = Kit::start().await;
        let topic_id = create(&kit, "t").await;
        let nobody = uuid::Uuid::from_u128(99);
        let both = by_name("t").with_topic_id(topic_id);
        let asked = vec![by_id(topic_id), by_id(nobody), both, by_name("u"), by_name("u"), by_id(uuid::Uuid::nil())];
        let answer = kit.ask::<DeleteTopics>(6, DeleteTopicsRequest::default().with_topics(asked)).await;
        let codes: Vec<i16> = answer.responses.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [0, 100, 42, 42, 42, 42]);
        assert_eq!(answer.responses[0].name.as_ref().map(|name| name.as_str()), Some("t"));
        assert_eq!(answer.responses[1].topic_id, nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn deletion_can_be_switched_off() {
        let kit = Kit::with(BrokerDefaults { delete_topics: false, ..BrokerDefaults::default() }).await;
        create(&kit, "t").await;
        let request = DeleteTopicsRequest::default().with_topic_names(vec![text("t").into()]);
        for (version, code) in [(2, 42), (3, 73)] {
            assert_eq!(kit.ask::<DeleteTopics>(version, request.clone()).await.responses[0].error_code, code);
        }
    }
}
