//! Metadata, key 3, v0–13.
//!
//! Behaviour:
//! - Names as leader an agent of the client's zone (see `zone`); the leader epoch is 0 for ever, so that clients accept
//!   a different leader from every agent they ask. Replicas: see `replicas`.
//! - Creates missing topics when the setting and the request allow it, and answers with the created topic at once, where
//!   Kafka makes the client ask again.
//! - No topic is internal: offsets and transactions live in the metastore.
//! - Agents that are leaving are not named.
//!
//! Versions:
//! - 0: an empty list means all topics · 1: null means all, empty means none; controller, racks · 2: cluster id
//! - 4: `allow_auto_topic_creation` (before: always) · 5: offline replicas · 7: leader epoch · 8: authorised operations
//! - 9: flexible · 10: topic ids in answers · 11: no cluster operations · 12: look-up by id · 13: top-level error (KIP-1102)

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::TopicName as WireTopicName;
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use crate::api::cluster::operations::{NOT_ASKED, on_cluster, on_topic};
use crate::api::cluster::replicas::{Replicas, brokers, controller, replicas_of};
use crate::api::cluster::zone::zone_of;
use crate::api::error::{NONE, code, metastore_condition};
use crate::api::handler::{ApiSpec, Handler, Reply, RequestContext};
use crate::api::lookup::{TopicRef, text};
use crate::api::services::Services;
use crate::api::topic::creation::create_missing;
use crate::coordinator::placement::ClusterView;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{CatalogSnapshot, TopicRecord};
use crate::model::error::Condition;
use crate::model::node::Rack;
use crate::model::topic::{TopicId, TopicName};

/// Metadata.
#[derive(Debug)]
pub struct Metadata;

impl Handler for Metadata {
    const SPEC: ApiSpec = ApiSpec { key: 3, name: "Metadata", min: 0, max: 13 };
    type Request = MetadataRequest;
    type Response = MetadataResponse;

    async fn handle(
        context: RequestContext,
        services: Arc<Services>,
        request: MetadataRequest,
    ) -> Reply<MetadataResponse> {
        let view = services.membership.view();
        let zone = zone_of(context.client_id.as_deref(), &view);
        let seen =
            Seen { view: &view, zone: zone.as_ref(), operations: on_topic(asks_topic_operations(&context, &request)) };
        let topics = match asked_topics(&request, context.version) {
            None => match services.catalog.refresh().await {
                Ok(snapshot) => snapshot.topics.values().map(|topic| seen.topic(topic)).collect(),
                // Without topics to put the error at, an answer would claim that there are none.
                Err(error) => return Reply::Close(format!("metadata of all topics: {error}")),
            },
            Some(asked) => {
                let may_create =
                    services.defaults.auto_create_topics && (context.version < 4 || request.allow_auto_topic_creation);
                let found = look_up(&services, &asked, may_create).await;
                asked.iter().map(|topic| seen.asked(topic, &found)).collect()
            }
        };
        let asks_cluster = (8..=10).contains(&context.version) && request.include_cluster_authorized_operations;
        let response = MetadataResponse::default()
            .with_brokers(broker_answers(&view))
            .with_cluster_id(Some(text(services.cluster_id.to_string())))
            .with_controller_id(controller(&view).0.into())
            .with_cluster_authorized_operations(on_cluster(asks_cluster))
            .with_topics(topics);
        Reply::Message(response)
    }
}

fn asks_topic_operations(context: &RequestContext, request: &MetadataRequest) -> bool {
    context.version >= 8 && request.include_topic_authorized_operations
}

/// The topics asked for, each checked, or `None` for all.
fn asked_topics(request: &MetadataRequest, version: i16) -> Option<Vec<Asked>> {
    let topics = request.topics.as_ref()?;
    if version == 0 && topics.is_empty() {
        return None;
    }
    Some(topics.iter().map(|topic| Asked::of(topic, version)).collect())
}

/// One topic asked for.
struct Asked {
    name: Option<WireTopicName>,
    topic: Result<TopicRef, Condition>,
}

impl Asked {
    fn of(topic: &MetadataRequestTopic, version: i16) -> Self {
        let by_id = !topic.topic_id.is_nil();
        let wanted = match &topic.name {
            _ if by_id && version < 12 => Err(Condition::InvalidRequest),
            Some(name) if by_id && !name.is_empty() => Err(Condition::InvalidRequest),
            _ if by_id => Ok(TopicRef::Id(TopicId(topic.topic_id))),
            None => Err(Condition::InvalidRequest),
            Some(name) => match TopicName::new(name) {
                Ok(_) => Ok(TopicRef::Name(name.as_str().into())),
                Err(_) => Err(Condition::InvalidTopicException),
            },
        };
        // Null is a name only where answers may carry null.
        let name = if version < 12 { Some(topic.name.clone().unwrap_or_default()) } else { topic.name.clone() };
        Self { name, topic: wanted }
    }
}

/// What looking topics up (and perhaps creating them) gave.
type Found = Result<(Arc<CatalogSnapshot>, BTreeMap<TopicName, Condition>), MetastoreError>;

async fn look_up(services: &Services, asked: &[Asked], may_create: bool) -> Found {
    let wanted: Vec<&TopicRef> = asked.iter().filter_map(|asked| asked.topic.as_ref().ok()).collect();
    let cached = services.catalog.snapshot();
    let snapshot = if wanted.iter().all(|topic| topic.find(&cached).is_some()) {
        cached
    } else {
        services.catalog.refresh().await?
    };
    let missing = wanted.iter().filter_map(|topic| match topic {
        TopicRef::Name(name) if topic.find(&snapshot).is_none() => TopicName::new(name).ok(),
        _ => None,
    });
    let missing: Vec<TopicName> = missing.collect();
    if missing.is_empty() || !may_create {
        return Ok((snapshot, BTreeMap::new()));
    }
    create_missing(services, &snapshot, missing).await
}

fn broker_answers(view: &ClusterView) -> Vec<MetadataResponseBroker> {
    let brokers = brokers(view).into_iter().map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(node.identity.node_id.0.into())
            .with_host(text(node.endpoint.host.clone()))
            .with_port(i32::from(node.endpoint.port))
            .with_rack(node.rack.as_ref().map(|rack| text(&*rack.0)))
    });
    brokers.collect()
}

/// The cluster as one client sees it.
struct Seen<'a> {
    view: &'a ClusterView,
    zone: Option<&'a Rack>,
    operations: i32,
}

impl Seen<'_> {
    fn asked(&self, asked: &Asked, found: &Found) -> MetadataResponseTopic {
        let outcome = asked.topic.clone().and_then(|topic| match found {
            Ok((snapshot, refused)) => topic.find(snapshot).ok_or_else(|| match &topic {
                TopicRef::Name(name) => {
                    let refusal = TopicName::new(name).ok().and_then(|name| refused.get(&name).copied());
                    refusal.unwrap_or_else(|| topic.missing())
                }
                TopicRef::Id(_) => topic.missing(),
            }),
            Err(error) => Err(match metastore_condition(error) {
                // Clients take this one for "ask again"; the others are not expected in this answer.
                Condition::KafkaStorageError | Condition::RequestTimedOut | Condition::NotLeaderOrFollower => {
                    Condition::LeaderNotAvailable
                }
                other => other,
            }),
        });
        match outcome {
            Ok(topic) => self.topic(topic),
            Err(condition) => {
                let id = asked.topic.as_ref().map_or(uuid::Uuid::nil(), TopicRef::wire_id);
                MetadataResponseTopic::default()
                    .with_error_code(code(condition))
                    .with_name(asked.name.clone())
                    .with_topic_id(id)
                    .with_topic_authorized_operations(NOT_ASKED)
            }
        }
    }

    fn topic(&self, topic: &TopicRecord) -> MetadataResponseTopic {
        let partitions = (0..topic.partition_count)
            .map(|index| partition_answer(&replicas_of(self.view, topic, index, self.zone)))
            .collect();
        MetadataResponseTopic::default()
            .with_error_code(NONE)
            .with_name(Some(text(topic.name.as_str()).into()))
            .with_topic_id(topic.topic_id.0)
            .with_is_internal(false)
            .with_partitions(partitions)
            .with_topic_authorized_operations(self.operations)
    }
}

fn partition_answer(replicas: &Replicas) -> MetadataResponsePartition {
    let nodes: Vec<_> = replicas.nodes.iter().map(|node| node.0.into()).collect();
    let error = if replicas.leader().is_some() { NONE } else { code(Condition::LeaderNotAvailable) };
    MetadataResponsePartition::default()
        .with_error_code(error)
        .with_partition_index(replicas.index)
        .with_leader_id(replicas.leader().map_or(-1, |node| node.0).into())
        .with_leader_epoch(0)
        .with_replica_nodes(nodes.clone())
        .with_isr_nodes(nodes)
}

#[cfg(test)]
mod tests;
