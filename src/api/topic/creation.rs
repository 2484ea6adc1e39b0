//! What a new topic must be like, and how it comes to exist; shared by CreateTopics and Metadata's automatic creation.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::services::Services;
use crate::api::topic::settle::settle;
use crate::config::broker::BrokerDefaults;
use crate::config::topic_table;
use crate::metastore::error::Result;
use crate::metastore::values::{CatalogRefusal, CatalogSnapshot, Configs, NewTopic};
use crate::model::error::{Condition, Failure};
use crate::model::topic::{TopicId, TopicName};

/// How long automatic creation may take: a client asks again anyway.
const AUTO_CREATE_TIMEOUT_MS: i32 = 5000;

/// A topic as somebody wants it; −1 where the default shall hold.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// Name, not checked yet.
    pub name: &'a str,
    /// Number of partitions.
    pub partition_count: i32,
    /// Replication factor.
    pub replication_factor: i16,
    /// Entries, not checked yet.
    pub configs: Configs,
}

/// The topic to create, or what is wrong with it, in Kafka's words where it has some.
///
/// # Errors
/// Name, collision, existence, number of partitions, replication factor or configuration.
pub fn check(
    wish: Wish<'_>,
    topic_id: TopicId,
    snapshot: &CatalogSnapshot,
    defaults: &BrokerDefaults,
) -> std::result::Result<NewTopic, Failure> {
    let name = TopicName::new(wish.name)
        .map_err(|illegal| Failure::new(Condition::InvalidTopicException, illegal.to_string()))?;
    if snapshot.topics.contains_key(&name) {
        return Err(exists(&name));
    }
    if let Some(other) = colliding(snapshot, &name) {
        let sentence = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Failure::new(Condition::InvalidTopicException, sentence));
    }
    let partition_count = if wish.partition_count == -1 { defaults.partition_count } else { wish.partition_count };
    check_partition_count(partition_count, defaults)?;
    let replication_factor =
        if wish.replication_factor == -1 { defaults.replication_factor } else { wish.replication_factor };
    if replication_factor < 1 {
        return Err(Failure::new(
            Condition::InvalidReplicationFactor,
            "Replication factor was set to an invalid non-positive value.",
        ));
    }
    topic_table::check_entries(&wish.configs).map_err(|sentence| Failure::new(Condition::InvalidConfig, sentence))?;
    Ok(NewTopic { topic_id, name, partition_count, replication_factor, configs: wish.configs })
}

/// Whether a topic may have so many partitions.
///
/// # Errors
/// Below one, or above the setting.
pub fn check_partition_count(count: i32, defaults: &BrokerDefaults) -> std::result::Result<(), Failure> {
    if count < 1 {
        let sentence = "Number of partitions was set to an invalid non-positive value.";
        return Err(Failure::new(Condition::InvalidPartitions, sentence));
    }
    if count > defaults.topic_partitions_max {
        let most = defaults.topic_partitions_max;
        let sentence =
            format!("{count} partitions are more than the {most} that a topic may have (topic_partitions_max)");
        return Err(Failure::new(Condition::InvalidPartitions, sentence));
    }
    Ok(())
}

fn exists(name: &TopicName) -> Failure {
    Failure::new(Condition::TopicAlreadyExists, format!("Topic '{name}' already exists."))
}

/// A topic whose metrics would have the same name in Kafka, where '.' and '_' are one.
fn colliding<'a>(snapshot: &'a CatalogSnapshot, name: &TopicName) -> Option<&'a TopicName> {
    if !name.as_str().contains(['.', '_']) {
        return None;
    }
    let unified = name.as_str().replace('.', "_");
    snapshot.topics.keys().find(|other| *other != name && other.as_str().replace('.', "_") == unified)
}

/// Creates checked topics; one outcome each, in order.
pub async fn create(
    services: &Services,
    topics: Vec<NewTopic>,
    timeout_ms: i32,
) -> Result<Vec<std::result::Result<(), Failure>>> {
    let settled = settle(&services.rng, timeout_ms, || services.metastore.create_topics(topics.clone())).await;
    let outcomes = settled.outcome?;
    let failure = |(outcome, topic): (std::result::Result<(), CatalogRefusal>, &NewTopic)| {
        outcome.map_err(|refusal| match refusal {
            CatalogRefusal::TopicExists(_) => exists(&topic.name),
            CatalogRefusal::UnknownTopic(_) | CatalogRefusal::PartitionCount { .. } => {
                Failure::new(Condition::UnknownServerError, refusal.to_string())
            }
        })
    };
    Ok(outcomes.into_iter().zip(&topics).map(failure).collect())
}

/// Creates missing topics with the defaults, and answers the newest snapshot with what was refused.
///
/// # Errors
/// When the metastore can not be asked.
pub async fn create_missing(
    services: &Services,
    snapshot: &CatalogSnapshot,
    names: Vec<TopicName>,
) -> Result<(Arc<CatalogSnapshot>, BTreeMap<TopicName, Condition>)> {
    let mut refused = BTreeMap::new();
    let mut topics: Vec<NewTopic> = Vec::new();
    for name in names {
        let wish = Wish { name: name.as_str(), partition_count: -1, replication_factor: -1, configs: BTreeMap::new() };
        match check(wish, TopicId(services.rng.uuid()), snapshot, &services.defaults) {
            Ok(topic) if topics.iter().all(|other| other.name != topic.name) => topics.push(topic),
            Ok(_) => {}
            Err(failure) => {
                refused.insert(name, failure.condition);
            }
        }
    }
    if !topics.is_empty() {
        let asked: Vec<TopicName> = topics.iter().map(|topic| topic.name.clone()).collect();
        let outcomes = create(services, topics, AUTO_CREATE_TIMEOUT_MS).await?;
        for (name, outcome) in asked.into_iter().zip(outcomes) {
            match outcome {
                // Another client was faster, which is as good.
                Ok(()) | Err(Failure { condition: Condition::TopicAlreadyExists, .. }) => {}
                Err(failure) => {
                    refused.insert(name, failure.condition);
                }
            }
        }
    }
    Ok((services.catalog.refresh().await?, refused))
}
