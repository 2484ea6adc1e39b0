//! CreateTopics, key 19, v2–7.
//!
//! Behaviour:
//! - Any replication factor is accepted, stored and shown; replica assignments only give the number of partitions.
//! - Each topic for itself: one that is refused does not hold up the others.
//! - The topic exists when the answer comes, on every agent: an agent that does not know it asks the metastore.
//!
//! Versions:
//! - 4: −1 for defaults (KIP-464) · 5: configuration in the answer (KIP-525), flexible · 6: quota errors · 7: topic id

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};

use crate::api::error::{NONE, code, metastore_failure};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{cluster_configs, text};
use crate::api::services::Services;
use crate::api::topic::config_rows::topic_rows;
use crate::api::topic::creation::{Wish, check, create};
use crate::metastore::values::{CatalogSnapshot, Configs, NewTopic};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicId;

/// CreateTopics.
#[derive(Debug)]
pub struct CreateTopics;

impl Handler for CreateTopics {
    const SPEC: ApiSpec = ApiSpec { key: 19, name: "CreateTopics", min: 2, max: 7 };
    type Request = CreateTopicsRequest;
    type Response = CreateTopicsResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: CreateTopicsRequest,
    ) -> Reply<CreateTopicsResponse> {
        let snapshot = match services.catalog.refresh().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let failure = metastore_failure(&error);
                let failed = request.topics.iter().map(|topic| refused(topic, &failure, context.version));
                return Reply::Message(CreateTopicsResponse::default().with_topics(failed.collect()));
            }
        };
        let mut outcomes = check_all(&services, &snapshot, &request);
        if !request.validate_only {
            create_checked(&services, &mut outcomes, request.timeout_ms).await;
        }
        let answers = request.topics.iter().zip(outcomes).map(|(topic, outcome)| match outcome {
            Ok(new) => created(&new, &snapshot, request.validate_only, context.version),
            Err(failure) => refused(topic, &failure, context.version),
        });
        Reply::Message(CreateTopicsResponse::default().with_topics(answers.collect()))
    }
}

type Outcome = Result<NewTopic, Failure>;

fn check_all(services: &Services, snapshot: &CatalogSnapshot, request: &CreateTopicsRequest) -> Vec<Outcome> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.as_str()).or_default() += 1;
    }
    let checked = request.topics.iter().map(|topic| {
        if times.get(topic.name.as_str()).is_some_and(|count| *count > 1) {
            return Err(Failure::new(Condition::InvalidRequest, "Duplicate topic name."));
        }
        check(wish(topic)?, TopicId(services.rng.uuid()), snapshot, &services.defaults)
    });
    checked.collect()
}

fn wish(topic: &CreatableTopic) -> Result<Wish<'_>, Failure> {
    let mut configs = Configs::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let sentence = format!("Null value not supported for topic configs: {}", config.name);
            return Err(Failure::new(Condition::InvalidConfig, sentence));
        };
        configs.insert(config.name.to_string(), value.to_string());
    }
    let (partition_count, replication_factor) =
        if topic.assignments.is_empty() { (topic.num_partitions, topic.replication_factor) } else { assigned(topic)? };
    Ok(Wish { name: topic.name.as_str(), partition_count, replication_factor, configs })
}

/// Partitions and replication factor by a manual assignment, whose nodes are not kept.
fn assigned(topic: &CreatableTopic) -> Result<(i32, i16), Failure> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        return Err(Failure::new(
            Condition::InvalidRequest,
            "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.",
        ));
    }
    let refused = |sentence: &str| Failure::new(Condition::InvalidReplicaAssignment, sentence);
    let indexes: BTreeSet<i32> = topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
    let count = topic.assignments.len();
    if indexes.len() != count || indexes.iter().zip(0..).any(|(index, expected)| *index != expected) {
        return Err(refused("partitions should be a consecutive 0-based integer sequence"));
    }
    let factor = topic.assignments[0].broker_ids.len();
    if factor == 0 {
        return Err(refused("The manual partition assignment includes an empty replica list."));
    }
    if topic.assignments.iter().any(|assignment| assignment.broker_ids.len() != factor) {
        return Err(refused("The manual partition assignment includes replica lists of different lengths."));
    }
    for assignment in &topic.assignments {
        let nodes: BTreeSet<i32> = assignment.broker_ids.iter().map(|node| node.0).collect();
        if nodes.len() != factor {
            return Err(refused("The manual partition assignment includes a broker twice."));
        }
    }
    let too_many = |_| refused("The manual partition assignment is too long.");
    Ok((i32::try_from(count).map_err(too_many)?, i16::try_from(factor).map_err(too_many)?))
}

/// Creates what passed the check, and replaces the outcomes of what is refused now.
async fn create_checked(services: &Services, outcomes: &mut [Outcome], timeout_ms: i32) {
    let topics: Vec<NewTopic> = outcomes.iter().filter_map(|outcome| outcome.clone().ok()).collect();
    if topics.is_empty() {
        return;
    }
    let created = create(services, topics, timeout_ms).await;
    let passed = outcomes.iter_mut().filter(|outcome| outcome.is_ok());
    match created {
        Ok(created) => {
            for (slot, outcome) in passed.zip(created) {
                if let Err(failure) = outcome {
                    *slot = Err(failure);
                }
            }
        }
        Err(error) => passed.for_each(|slot| *slot = Err(metastore_failure(&error))),
    }
    // Only to save the next request the way to the metastore: failing here changes nothing.
    let _ = services.catalog.refresh().await;
}

fn created(new: &NewTopic, snapshot: &CatalogSnapshot, validate_only: bool, version: i16) -> CreatableTopicResult {
    let result = CreatableTopicResult::default()
        .with_name(text(new.name.as_str()).into())
        .with_topic_id(if validate_only { uuid::Uuid::nil() } else { new.topic_id.0 })
        .with_error_code(NONE)
        // Success has no message, as Kafka's; an empty one would be shown by tools.
        .with_error_message(None);
    if version < 5 {
        return result;
    }
    let rows = topic_rows(&new.configs, cluster_configs(snapshot)).into_iter().map(|row| {
        CreatableTopicConfigs::default()
            .with_name(text(row.definition.name))
            .with_value(row.value.map(text))
            .with_read_only(row.read_only)
            .with_config_source(row.source as i8)
            .with_is_sensitive(false)
    });
    result
        .with_num_partitions(new.partition_count)
        .with_replication_factor(new.replication_factor)
        .with_configs(Some(rows.collect()))
}

fn refused(topic: &CreatableTopic, failure: &Failure, version: i16) -> CreatableTopicResult {
    let result = CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_error_code(code(failure.condition))
        .with_error_message(Some(text(failure.message.clone())));
    if version < 5 { result } else { result.with_num_partitions(-1).with_replication_factor(-1) }
}

#[cfg(test)]
mod tests;
