//! Names of groups, members and topics, between the wire and the house.

use std::sync::Arc;

use kafka_protocol::messages::{GroupId as WireGroupId, TopicName as WireTopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::metastore::cached::CatalogCache;
use crate::metastore::error::Result;
use crate::metastore::values::TopicRecord;
use crate::model::error::Condition;
use crate::model::group::{GroupId, GroupInstanceId, MemberId};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// A text as the wire has it.
#[must_use]
pub fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A text that may be missing, as the wire has it.
#[must_use]
pub fn wire_option(text: Option<&str>) -> Option<StrBytes> {
    text.map(wire)
}

/// A text from the wire.
#[must_use]
pub fn text(wire: &StrBytes) -> Arc<str> {
    wire.as_str().into()
}

/// A group's id from the wire.
#[must_use]
pub fn group_id(wire: &WireGroupId) -> GroupId {
    GroupId(text(&wire.0))
}

/// A member's id from the wire.
#[must_use]
pub fn member_id(wire: &StrBytes) -> MemberId {
    MemberId(text(wire))
}

/// A static member's id from the wire.
#[must_use]
pub fn instance_id(wire: Option<&StrBytes>) -> Option<GroupInstanceId> {
    wire.map(|wire| GroupInstanceId(text(wire)))
}

/// The topic of this name, if there is one. No name that is not legal has one.
///
/// # Errors
/// When the catalog has to be asked and can not be.
pub async fn topic(catalog: &CatalogCache, name: &WireTopicName) -> Result<Option<Arc<TopicRecord>>> {
    match TopicName::new(name.as_str()) {
        Ok(name) => catalog.topic(&name).await,
        Err(_) => Ok(None),
    }
}

/// The topic that a request means: by id where it names one, else by name. An id comes with the condition that says
/// that no topic has it.
///
/// # Errors
/// When the catalog has to be asked and can not be.
pub async fn topic_meant(
    catalog: &CatalogCache,
    name: &WireTopicName,
    topic_id: Option<Uuid>,
) -> Result<std::result::Result<Arc<TopicRecord>, Condition>> {
    match topic_id {
        None => Ok(topic(catalog, name).await?.ok_or(Condition::UnknownTopicOrPartition)),
        Some(topic_id) => Ok(catalog.topic_by_id(TopicId(topic_id)).await?.ok_or(Condition::UnknownTopicId)),
    }
}

/// The partition of this number, if the topic has it.
#[must_use]
pub fn partition(topic: &TopicRecord, index: i32) -> Option<TopicIdPartition> {
    let exists = (0..topic.partition_count).contains(&index);
    exists.then(|| TopicIdPartition::new(topic.topic_id, PartitionIndex(index)))
}
