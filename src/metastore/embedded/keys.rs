//! Keys. `docs/formats/metastore_keys.md` lists them; every number is big-endian and not negative, so that the
//! order of the bytes is the order of the values.

use std::ops::Range;

use crate::base::clock::Timestamp;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::values::{ConfigResource, DocumentKey, DocumentKind};
use crate::model::node::NodeId;
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::producer::ProducerId;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

/// The longest name that fits into a key with room to spare (the engine's limit is 65,535 bytes).
pub(super) const NAME_BYTES_MAX: usize = 60_000;

const META: u8 = 0x00;
const TOPIC: u8 = 0x10;
const CONFIG: u8 = 0x11;
const NODE: u8 = 0x12;
const DYING_TOPIC: u8 = 0x13;
const HEAD: u8 = 0x20;
const EXTENT: u8 = 0x21;
const PRODUCER: u8 = 0x22;
const OBJECT: u8 = 0x30;
const DEREFERENCED: u8 = 0x31;
const RECEIPT: u8 = 0x32;
const RECEIPT_AGE: u8 = 0x33;
const DOCUMENT: u8 = 0x40;

/// Records of which there is one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meta {
    Format,
    ClusterId,
    NextProducerId,
    CatalogVersion,
    FeedPosition,
}

pub(super) fn meta(which: Meta) -> Vec<u8> {
    let name: &[u8] = match which {
        Meta::Format => b"format",
        Meta::ClusterId => b"cluster",
        Meta::NextProducerId => b"producer-id",
        Meta::CatalogVersion => b"catalog-version",
        Meta::FeedPosition => b"feed-position",
    };
    key(META, &[name])
}

pub(super) fn topic(topic_id: TopicId) -> Vec<u8> {
    key(TOPIC, &[topic_id.0.as_bytes()])
}

pub(super) fn dying_topic(topic_id: TopicId) -> Vec<u8> {
    key(DYING_TOPIC, &[topic_id.0.as_bytes()])
}

pub(super) fn config(resource: &ConfigResource) -> Vec<u8> {
    match resource {
        ConfigResource::Topic(topic_id) => key(CONFIG, &[b"t", topic_id.0.as_bytes()]),
        ConfigResource::Broker(None) => key(CONFIG, &[b"b"]),
        ConfigResource::Broker(Some(node_id)) => key(CONFIG, &[b"b", &node_id.0.to_be_bytes()]),
        ConfigResource::Group(group_id) => key(CONFIG, &[b"g", group_id.as_str().as_bytes()]),
    }
}

pub(super) fn node(node_id: NodeId) -> Vec<u8> {
    key(NODE, &[&node_id.0.to_be_bytes()])
}

pub(super) fn head(partition: TopicIdPartition) -> Vec<u8> {
    of_partition(HEAD, partition, &[])
}

pub(super) fn extent(partition: TopicIdPartition, last_offset: Offset) -> Vec<u8> {
    of_partition(EXTENT, partition, &last_offset.0.to_be_bytes())
}

pub(super) fn producer(partition: TopicIdPartition, producer_id: ProducerId) -> Vec<u8> {
    of_partition(PRODUCER, partition, &producer_id.0.to_be_bytes())
}

pub(super) fn object(object: &ObjectKey) -> Vec<u8> {
    key(OBJECT, &[object.as_str().as_bytes()])
}

pub(super) fn dereferenced(since: Timestamp, object: &ObjectKey) -> Vec<u8> {
    timed(DEREFERENCED, since, object)
}

pub(super) fn receipt(object: &ObjectKey) -> Vec<u8> {
    key(RECEIPT, &[object.as_str().as_bytes()])
}

pub(super) fn receipt_age(committed_at: Timestamp, object: &ObjectKey) -> Vec<u8> {
    timed(RECEIPT_AGE, committed_at, object)
}

pub(super) fn document(document: &DocumentKey) -> Vec<u8> {
    key(DOCUMENT, &[&[document_kind(document.kind)], document.name.as_bytes()])
}

/// All topics.
pub(super) fn all_topics() -> Range<Vec<u8>> {
    prefixed(vec![TOPIC])
}

/// All topics whose deletion is not finished.
pub(super) fn all_dying_topics() -> Range<Vec<u8>> {
    prefixed(vec![DYING_TOPIC])
}

/// All configurations.
pub(super) fn all_configs() -> Range<Vec<u8>> {
    prefixed(vec![CONFIG])
}

/// All nodes.
pub(super) fn all_nodes() -> Range<Vec<u8>> {
    prefixed(vec![NODE])
}

/// All producers of all partitions, after a key.
pub(super) fn producers_after(after: &[u8]) -> Range<Vec<u8>> {
    behind(after, prefixed(vec![PRODUCER]))
}

/// A partition's extents from the one that holds `offset` on.
pub(super) fn extents_from(partition: TopicIdPartition, offset: Offset) -> Range<Vec<u8>> {
    let end = prefixed(of_partition(EXTENT, partition, &[])).end;
    extent(partition, Offset(offset.0.max(0)))..end
}

/// A partition's extents from the one that holds `from` on that lie wholly before `until`. Beginning where the
/// log begins keeps a scan from walking over what was deleted earlier.
pub(super) fn extents_between(partition: TopicIdPartition, from: Offset, until: Offset) -> Range<Vec<u8>> {
    extent(partition, Offset(from.0.max(0)))..extent(partition, Offset(until.0.max(0)))
}

/// A topic's heads, extents and producers after a key, in the order in which a deletion takes them away.
pub(super) fn of_topic(topic_id: TopicId, after: &[u8]) -> [Range<Vec<u8>>; 3] {
    [HEAD, EXTENT, PRODUCER].map(|tag| behind(after, prefixed(key(tag, &[topic_id.0.as_bytes()]))))
}

/// Whether the key is an extent's.
pub(super) fn is_extent(key: &[u8]) -> bool {
    key.first() == Some(&EXTENT)
}

/// Objects without extents since `until` or before, oldest first.
pub(super) fn dereferenced_until(until: Timestamp) -> Range<Vec<u8>> {
    timed_until(DEREFERENCED, until)
}

/// Receipts of `until` or before that come after a key, oldest first.
pub(super) fn receipts_until(until: Timestamp, after: &[u8]) -> Range<Vec<u8>> {
    behind(after, timed_until(RECEIPT_AGE, until))
}

/// Documents of a kind whose names begin with `prefix`, strictly after `after`.
pub(super) fn documents(kind: DocumentKind, prefix: &str, after: Option<&str>) -> Range<Vec<u8>> {
    let within = prefixed(key(DOCUMENT, &[&[document_kind(kind)], prefix.as_bytes()]));
    match after {
        // The smallest key after a name is the name with a zero byte.
        Some(after) => key(DOCUMENT, &[&[document_kind(kind)], after.as_bytes(), &[0]]).max(within.start)..within.end,
        None => within,
    }
}

/// The topic in a dying topic's key.
pub(super) fn dying_topic_id(key: &[u8]) -> Result<TopicId> {
    let bytes = tail(key)?.try_into().map_err(|_| unreadable("a dying topic"))?;
    Ok(TopicId(uuid::Uuid::from_bytes(bytes)))
}

/// The partition and producer in a producer's key.
pub(super) fn producer_of(key: &[u8]) -> Result<(TopicIdPartition, ProducerId)> {
    let (partition, number) = partition_and_number(key)?;
    Ok((partition, ProducerId(number)))
}

/// The partition and last offset in an extent's key.
pub(super) fn extent_of(key: &[u8]) -> Result<(TopicIdPartition, Offset)> {
    let (partition, number) = partition_and_number(key)?;
    Ok((partition, Offset(number)))
}

/// The object in a key that begins with a time.
pub(super) fn timed_object(key: &[u8]) -> Result<ObjectKey> {
    let name = tail(key)?.get(8..).ok_or_else(|| unreadable("an object by time"))?;
    Ok(ObjectKey::from(text(name)?))
}

/// The name in a document's key.
pub(super) fn document_name(key: &[u8]) -> Result<&str> {
    text(tail(key)?.get(1..).ok_or_else(|| unreadable("a document"))?)
}

/// The resource in a configuration's key.
pub(super) fn config_resource(key: &[u8]) -> Result<ConfigResource> {
    let unknown = || unreadable("a configuration");
    match tail(key)?.split_first().ok_or_else(unknown)? {
        (b'b', []) => Ok(ConfigResource::Broker(None)),
        (b'b', id) => {
            Ok(ConfigResource::Broker(Some(NodeId(i32::from_be_bytes(id.try_into().map_err(|_| unknown())?)))))
        }
        (b'g', name) => Ok(ConfigResource::Group(text(name)?.into())),
        _ => Err(unknown()),
    }
}

fn partition_and_number(key: &[u8]) -> Result<(TopicIdPartition, i64)> {
    let unknown = || unreadable("a key of a partition");
    let (topic_id, rest) = tail(key)?.split_first_chunk::<16>().ok_or_else(unknown)?;
    let (index, rest) = rest.split_first_chunk::<4>().ok_or_else(unknown)?;
    let number = i64::from_be_bytes(rest.try_into().map_err(|_| unknown())?);
    let topic_id = TopicId(uuid::Uuid::from_bytes(*topic_id));
    Ok((TopicIdPartition::new(topic_id, PartitionIndex(i32::from_be_bytes(*index))), number))
}

fn document_kind(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Group => 1,
        DocumentKind::CommittedOffset => 2,
        DocumentKind::ShareGroup => 3,
        DocumentKind::SharePartition => 4,
        DocumentKind::Transaction => 5,
    }
}

fn key(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![tag];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

fn of_partition(tag: u8, partition: TopicIdPartition, rest: &[u8]) -> Vec<u8> {
    key(tag, &[partition.topic_id.0.as_bytes(), &partition.partition.0.to_be_bytes(), rest])
}

fn timed(tag: u8, time: Timestamp, object: &ObjectKey) -> Vec<u8> {
    key(tag, &[&time.0.max(0).to_be_bytes(), object.as_str().as_bytes()])
}

fn timed_until(tag: u8, until: Timestamp) -> Range<Vec<u8>> {
    vec![tag]..key(tag, &[&until.0.saturating_add(1).max(0).to_be_bytes()])
}

/// What of a range comes after a key; nothing, perhaps (the start then lies behind the end).
fn behind(after: &[u8], range: Range<Vec<u8>>) -> Range<Vec<u8>> {
    // The smallest key after a key is the key with a zero byte.
    [after, &[0]].concat().max(range.start)..range.end
}

/// Every key that begins with `prefix`.
fn prefixed(prefix: Vec<u8>) -> Range<Vec<u8>> {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        // A byte of 255 has no successor: the one before it counts on.
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    prefix..end
}

fn tail(key: &[u8]) -> Result<&[u8]> {
    key.get(1..).ok_or_else(|| unreadable("an empty key"))
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| unreadable("a name that is not UTF-8"))
}

fn unreadable(what: &str) -> MetastoreError {
    MetastoreError::Unreadable(format!("{what} has a key of another format"))
}

#[cfg(test)]
mod tests;
