//! What a configuration belongs to, as requests name it.

use std::sync::Arc;

use crate::api::handler::ApiSpec;
use crate::config::broker_table::{BROKER_CONFIGS, is_dynamic};
use crate::config::definition::{Definition, find, unknown};
use crate::config::group_table::GROUP_CONFIGS;
use crate::config::topic_table::TOPIC_CONFIGS;
use crate::coordinator::placement::ClusterView;
use crate::metastore::values::{CatalogSnapshot, ConfigResource, Configs, NodeRecord, TopicRecord};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::node::NodeId;
use crate::model::topic::TopicName;

/// Kafka's code of topics.
pub const TOPIC: i8 = 2;
/// Kafka's code of brokers.
pub const BROKER: i8 = 4;
/// Kafka's code of brokers' loggers.
pub const BROKER_LOGGER: i8 = 8;
/// Kafka's code of client metrics subscriptions.
pub const CLIENT_METRICS: i8 = 16;
/// Kafka's code of groups.
pub const GROUP: i8 = 32;

const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
const SHARE_GROUP_HEARTBEAT: i16 = 76;
const STREAMS_GROUP_HEARTBEAT: i16 = 88;

/// A resource that exists.
#[derive(Clone, Debug)]
pub enum Resource {
    /// A topic.
    Topic(Arc<TopicRecord>),
    /// All brokers: what holds where a topic says nothing.
    Cluster,
    /// A live agent.
    Broker(NodeRecord),
    /// A group, which need not have members.
    Group(GroupId),
}

impl Resource {
    /// The resource that a request names.
    ///
    /// # Errors
    /// When it does not exist or is of a kind without configuration.
    pub fn of(kind: i8, name: &str, snapshot: &CatalogSnapshot, view: &ClusterView) -> Result<Self, Failure> {
        let invalid = |sentence: String| Failure::new(Condition::InvalidRequest, sentence);
        match kind {
            TOPIC => {
                let name = TopicName::new(name)
                    .map_err(|illegal| Failure::new(Condition::InvalidTopicException, illegal.to_string()))?;
                let topic = snapshot.topics.get(&name).cloned().map(Self::Topic);
                topic.ok_or_else(|| {
                    Failure::new(Condition::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
                })
            }
            BROKER if name.is_empty() => Ok(Self::Cluster),
            BROKER => {
                let node = name.parse().ok().and_then(|id| view.node(NodeId(id))).cloned().map(Self::Broker);
                node.ok_or_else(|| invalid(format!("Broker id must be that of a live agent, but it is: {name}")))
            }
            GROUP if name.is_empty() => Err(invalid("Default group resources are not allowed.".to_owned())),
            GROUP => Ok(Self::Group(name.into())),
            BROKER_LOGGER => Err(invalid("Loggers are not changed through the Kafka API.".to_owned())),
            CLIENT_METRICS => Err(invalid("Client metrics are not collected.".to_owned())),
            other => Err(invalid(format!("Unsupported resource type: {other}"))),
        }
    }

    /// The resource as the catalog names it, if entries can be set on it.
    #[must_use]
    pub fn stored_as(&self) -> Option<ConfigResource> {
        match self {
            Self::Topic(topic) => Some(ConfigResource::Topic(topic.topic_id)),
            Self::Cluster => Some(ConfigResource::Broker(None)),
            Self::Broker(_) => None,
            Self::Group(group) => Some(ConfigResource::Group(group.clone())),
        }
    }

    /// Entries that are set on the resource itself.
    #[must_use]
    pub fn own_entries(&self, snapshot: &CatalogSnapshot) -> Configs {
        match self {
            Self::Topic(topic) => topic.configs.clone(),
            Self::Cluster | Self::Broker(_) | Self::Group(_) => {
                self.stored_as().and_then(|resource| snapshot.configs.get(&resource).cloned()).unwrap_or_default()
            }
        }
    }

    /// The definition of an entry that may be set on the resource.
    ///
    /// # Errors
    /// When the name is not known, can not be changed, or belongs to groups of a kind that is not served.
    pub fn definition(&self, name: &str, apis: &[ApiSpec]) -> Result<&'static Definition, Failure> {
        let invalid = |sentence: String| Failure::new(Condition::InvalidConfig, sentence);
        match self {
            Self::Topic(_) => find(TOPIC_CONFIGS, name).ok_or_else(|| invalid(unknown("topic", TOPIC_CONFIGS, name))),
            Self::Cluster => match find(BROKER_CONFIGS, name) {
                None => Err(invalid(unknown("broker", BROKER_CONFIGS, name))),
                Some(definition) if is_dynamic(name) => Ok(definition),
                Some(_) => Err(invalid(format!(
                    "Cannot update these configs dynamically: {name}; it comes from the agent's settings"
                ))),
            },
            Self::Broker(_) => Err(invalid(format!(
                "{name} can not be set on one broker, any agent serves any partition: \
                 set it on the cluster's default (--entity-default)"
            ))),
            Self::Group(_) => {
                let definition =
                    find(GROUP_CONFIGS, name).ok_or_else(|| invalid(unknown("group", GROUP_CONFIGS, name)))?;
                if is_served(definition, apis) {
                    Ok(definition)
                } else {
                    Err(invalid(format!("{name} would have no effect: groups of that type are not served yet")))
                }
            }
        }
    }
}

/// Whether groups of the kind that a group configuration is for are served.
#[must_use]
pub fn is_served(definition: &Definition, apis: &[ApiSpec]) -> bool {
    let key = match definition.name.split('.').next() {
        Some("consumer") => CONSUMER_GROUP_HEARTBEAT,
        Some("streams") => STREAMS_GROUP_HEARTBEAT,
        _ => SHARE_GROUP_HEARTBEAT,
    };
    apis.iter().any(|api| api.key == key)
}
