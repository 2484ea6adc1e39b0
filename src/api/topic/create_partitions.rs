//! CreatePartitions, key 37, v0–3.
//!
//! Behaviour:
//! - The number only grows. Assignments must be as many as the new partitions; their nodes are not kept.
//! - A step whose answer was lost is asked again: "has so many already" then means that it was done.
//!
//! Versions: 2: flexible · 3: quota errors

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_protocol::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, text};
use crate::api::services::Services;
use crate::api::topic::creation::check_partition_count;
use crate::api::topic::settle::settle;
use crate::config::broker::BrokerDefaults;
use crate::metastore::values::{CatalogRefusal, CatalogSnapshot};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicId;

/// CreatePartitions.
#[derive(Debug)]
pub struct CreatePartitions;

impl Handler for CreatePartitions {
    const SPEC: ApiSpec = ApiSpec { key: 37, name: "CreatePartitions", min: 0, max: 3 };
    type Request = CreatePartitionsRequest;
    type Response = CreatePartitionsResponse;

    async fn handle(
        _: RequestContext,
        services: Arc<Services>,
        request: CreatePartitionsRequest,
    ) -> Reply<CreatePartitionsResponse> {
        let snapshot = services.catalog.refresh().await;
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *times.entry(topic.name.as_str()).or_default() += 1;
        }
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let once = times.get(topic.name.as_str()) == Some(&1);
            let outcome = match &snapshot {
                Ok(snapshot) => match check(topic, once, snapshot, &services.defaults) {
                    Ok(topic_id) if !request.validate_only => grow(&services, topic_id, topic.count, &request).await,
                    checked => checked.map(|_| ()),
                },
                Err(error) => Err(metastore_failure(error)),
            };
            results.push(result(topic, outcome));
        }
        // Only to save the next request the way to the metastore: failing here changes nothing.
        let _ = services.catalog.refresh().await;
        Reply::Message(CreatePartitionsResponse::default().with_results(results))
    }
}

fn check(
    topic: &CreatePartitionsTopic,
    once: bool,
    snapshot: &CatalogSnapshot,
    defaults: &BrokerDefaults,
) -> Result<TopicId, Failure> {
    if !once {
        return Err(Failure::new(Condition::InvalidRequest, "Duplicate topic name."));
    }
    let wanted = TopicRef::Name(topic.name.as_str().into());
    let Some(record) = wanted.find(snapshot) else {
        return Err(Failure::new(wanted.missing(), "This server does not host this topic-partition."));
    };
    let current = record.partition_count;
    check_growth(current, topic.count)?;
    check_partition_count(topic.count, defaults)?;
    if let Some(assignments) = &topic.assignments {
        let added = topic.count.saturating_sub(current);
        if i32::try_from(assignments.len()) != Ok(added) {
            let given = assignments.len();
            let sentence = format!(
                "Attempted to add {added} additional partition(s), but only {given} assignment(s) were specified."
            );
            return Err(Failure::new(Condition::InvalidReplicaAssignment, sentence));
        }
    }
    Ok(record.topic_id)
}

fn check_growth(current: i32, asked: i32) -> Result<(), Failure> {
    let sentence = match asked.cmp(&current) {
        std::cmp::Ordering::Greater => return Ok(()),
        std::cmp::Ordering::Equal => format!("Topic already has {current} partition(s)."),
        std::cmp::Ordering::Less => {
            format!("The topic currently has {current} partition(s); {asked} would not be an increase.")
        }
    };
    Err(Failure::new(Condition::InvalidPartitions, sentence))
}

async fn grow(
    services: &Services,
    topic_id: TopicId,
    count: i32,
    request: &CreatePartitionsRequest,
) -> Result<(), Failure> {
    let step = || services.metastore.create_partitions(topic_id, count);
    let settled = settle(&services.rng, request.timeout_ms, step).await;
    match settled.outcome.map_err(|error| metastore_failure(&error))? {
        Ok(()) => Ok(()),
        Err(CatalogRefusal::PartitionCount { current, asked }) if settled.tried_before && current == asked => Ok(()),
        Err(CatalogRefusal::PartitionCount { current, asked }) => check_growth(current, asked),
        Err(refusal @ (CatalogRefusal::UnknownTopic(_) | CatalogRefusal::TopicExists(_))) => {
            Err(Failure::new(Condition::UnknownTopicOrPartition, refusal.to_string()))
        }
    }
}

fn result(topic: &CreatePartitionsTopic, outcome: Result<(), Failure>) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
    match outcome {
        Ok(()) => result.with_error_code(NONE),
        Err(failure) => result.with_error_code(code(failure.condition)).with_error_message(Some(text(failure.message))),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsAssignment;
    use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};

    use super::*;
    use crate::api::kit::Kit;
    use crate::api::topic::create_topics::CreateTopics;

    async fn kit_with_topic(name: &'static str, partitions: i32) -> Kit {
        let kit = Kit::start().await;
        let topic = CreatableTopic::default().with_name(text(name).into()).with_num_partitions(partitions);
        let request = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
        assert_eq!(kit.ask::<CreateTopics>(5, request).await.topics[0].error_code, 0);
        kit
    }

    fn grow_to(count: i32) -> CreatePartitionsTopic {
        CreatePartitionsTopic::default().with_name(text("t").into()).with_count(count).with_assignments(None)
    }

    async fn check(kit: &Kit, version: i16, topic: CreatePartitionsTopic, code: i16, sentence: &str) {
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
        let answer = kit.ask::<CreatePartitions>(version, request).await;
        let result = &answer.results[0];
        let message = result.error_message.as_deref().unwrap_or_default();
        assert_eq!(result.error_code, code, "{message}");
        assert!(message.contains(sentence), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_only_grow() {
        let kit = kit_with_topic("t", 3).await;
        for version in 0..=3 {
            check(&kit, version, grow_to(3 + i32::from(version) + 1), 0, "").await;
        }
        check(&kit, 3, grow_to(7), 37, "already has 7 partition(s)").await;
        check(&kit, 3, grow_to(2), 37, "currently has 7").await;
        check(&kit, 3, grow_to(20_000), 37, "more than the 10000").await;
        check(&kit, 3, grow_to(9).with_name(text("u").into()), 3, "does not host").await;
        let one = vec![CreatePartitionsAssignment::default().with_broker_ids(vec![1.into()])];
        check(&kit, 3, grow_to(9).with_assignments(Some(one.clone())), 39, "2 additional partition(s), but only 1")
            .await;
        check(&kit, 3, grow_to(8).with_assignments(Some(one)), 0, "").await;
        let count = kit.services.catalog.snapshot().topics.values().next().map(|topic| topic.partition_count);
        assert_eq!(count, Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn validating_grows_nothing_and_twice_is_refused() {
        let kit = kit_with_topic("t", 1).await;
        let validate = CreatePartitionsRequest::default().with_topics(vec![grow_to(2)]).with_validate_only(true);
        assert_eq!(kit.ask::<CreatePartitions>(3, validate).await.results[0].error_code, 0);
        let twice = CreatePartitionsRequest::default().with_topics(vec![grow_to(2), grow_to(3)]);
        let answer = kit.ask::<CreatePartitions>(3, twice).await;
        assert_eq!(answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>(), [42, 42]);
        let count = kit.services.catalog.snapshot().topics.values().next().map(|topic| topic.partition_count);
        assert_eq!(count, Some(1));
    }
}
