//! Values. `docs/formats/metastore_keys.md` draws them; each begins with the version of its own format.

use std::collections::VecDeque;

use bytes::Bytes;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::embedded::codec::{Reader, Writer};
use crate::metastore::error::Result;
use crate::metastore::nodes::Registration;
use crate::metastore::sequencing::{PartitionHead, ProducerState, RememberedBatch};
use crate::metastore::values::{
    BatchReceipt, BatchRefusal, CommitReceipt, Configs, Extent, NodeRecord, PartitionBounds, RangeReceipt, TopicRecord,
};
use crate::model::node::{Endpoint, NodeEpoch, NodeId, NodeIdentity, Rack};
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, Sequence};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// The version of every record so far.
const VERSION: u8 = 1;

/// The layout of all keys, in the record `format`. A build that finds another one does not touch the store.
pub(super) const LAYOUT: u64 = 1;

/// A partition's end, and the largest record timestamp it ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredHead {
    pub(super) head: PartitionHead,
    pub(super) largest_timestamp: Timestamp,
}

impl Default for StoredHead {
    fn default() -> Self {
        Self { head: PartitionHead::default(), largest_timestamp: Timestamp::NONE }
    }
}

/// An extent, and the largest record timestamp of the partition up to and with it. That one only rises, so that
/// a time is found by halving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredExtent {
    pub(super) extent: Extent,
    pub(super) largest_timestamp: Timestamp,
}

/// What the ledger knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredObject {
    Tombstoned,
    Committed { extent_count: u32, byte_size: u64, committed_at: Timestamp, dereferenced_at: Option<Timestamp> },
}

/// A document, or the version that is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredDocument {
    pub(super) version: u64,
    pub(super) body: Option<Bytes>,
}

pub(super) fn number_bytes(number: u64) -> Vec<u8> {
    Writer::new(VERSION).u64(number).done()
}

pub(super) fn number(what: &'static str, bytes: &[u8]) -> Result<u64> {
    let mut reader = Reader::new(what, VERSION, bytes)?;
    let number = reader.u64()?;
    reader.end()?;
    Ok(number)
}

pub(super) fn uuid_bytes(uuid: Uuid) -> Vec<u8> {
    Writer::new(VERSION).uuid(uuid).done()
}

pub(super) fn uuid(what: &'static str, bytes: &[u8]) -> Result<Uuid> {
    let mut reader = Reader::new(what, VERSION, bytes)?;
    let uuid = reader.uuid()?;
    reader.end()?;
    Ok(uuid)
}

impl StoredHead {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let PartitionHead { log_start_offset, high_watermark, byte_size, append_time } = self.head;
        let writer = Writer::new(VERSION).i64(log_start_offset.0).i64(high_watermark.0).u64(byte_size);
        writer.i64(append_time.0).i64(self.largest_timestamp.0).done()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("a partition head", VERSION, bytes)?;
        let head = PartitionHead {
            log_start_offset: Offset(reader.i64()?),
            high_watermark: Offset(reader.i64()?),
            byte_size: reader.u64()?,
            append_time: Timestamp(reader.i64()?),
        };
        let largest_timestamp = Timestamp(reader.i64()?);
        reader.end()?;
        Ok(Self { head, largest_timestamp })
    }
}

impl StoredExtent {
    /// The value; the last offset is in the key.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        write_extent(Writer::new(VERSION).i64(self.largest_timestamp.0), &self.extent).done()
    }

    pub(super) fn from_bytes(last_offset: Offset, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("an extent", VERSION, bytes)?;
        let largest_timestamp = Timestamp(reader.i64()?);
        let extent = read_extent(&mut reader, last_offset)?;
        reader.end()?;
        Ok(Self { extent, largest_timestamp })
    }
}

fn write_extent(writer: Writer, extent: &Extent) -> Writer {
    let writer = writer.i64(extent.base_offset.0).u64(extent.bytes.position).u32(extent.bytes.length).u32(extent.crc);
    writer.i64(extent.max_timestamp.0).i64(extent.append_time.0).text(extent.object.as_str())
}

fn read_extent(reader: &mut Reader<'_>, last_offset: Offset) -> Result<Extent> {
    let base_offset = Offset(reader.i64()?);
    let bytes = ByteRange { position: reader.u64()?, length: reader.u32()? };
    let (crc, max_timestamp, append_time) = (reader.u32()?, Timestamp(reader.i64()?), Timestamp(reader.i64()?));
    let object = ObjectKey(reader.shared_text()?);
    Ok(Extent { base_offset, last_offset, object, bytes, crc, max_timestamp, append_time })
}

impl StoredObject {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Tombstoned => Writer::new(VERSION).u8(0).done(),
            Self::Committed { extent_count, byte_size, committed_at, dereferenced_at } => Writer::new(VERSION)
                .u8(1)
                .u32(extent_count)
                .u64(byte_size)
                .i64(committed_at.0)
                .u8(u8::from(dereferenced_at.is_some()))
                .i64(dereferenced_at.unwrap_or(Timestamp::NONE).0)
                .done(),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("an object", VERSION, bytes)?;
        let object = match reader.u8()? {
            0 => Self::Tombstoned,
            1 => {
                let (extent_count, byte_size) = (reader.u32()?, reader.u64()?);
                let (committed_at, is_left, since) =
                    (Timestamp(reader.i64()?), reader.u8()? != 0, Timestamp(reader.i64()?));
                Self::Committed { extent_count, byte_size, committed_at, dereferenced_at: is_left.then_some(since) }
            }
            _ => return reader.refuse("its state is not known"),
        };
        reader.end()?;
        Ok(object)
    }
}

impl StoredDocument {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let writer = Writer::new(VERSION).u64(self.version).u8(u8::from(self.body.is_some()));
        writer.tail(self.body.as_deref().unwrap_or_default()).done()
    }

    /// Shares the body with `bytes`.
    pub(super) fn from_bytes(bytes: &Bytes) -> Result<Self> {
        let mut reader = Reader::new("a document", VERSION, bytes)?;
        let (version, exists) = (reader.u64()?, reader.u8()? != 0);
        let body = exists.then(|| bytes.slice(bytes.len() - reader.remaining()..));
        Ok(Self { version, body })
    }
}

pub(super) fn producer_bytes(state: &ProducerState) -> Vec<u8> {
    let writer = Writer::new(VERSION).i16(state.producer_epoch.0).u32(state.forgotten_records);
    let mut writer = writer.i64(state.last_write.0).count(state.batches.len());
    for batch in &state.batches {
        writer = writer.i32(batch.base_sequence.0).i32(batch.last_sequence.0);
        writer = writer.i64(batch.base_offset.0).i64(batch.append_time.0);
    }
    writer.done()
}

pub(super) fn producer(bytes: &[u8]) -> Result<ProducerState> {
    let mut reader = Reader::new("a producer", VERSION, bytes)?;
    let (producer_epoch, forgotten_records) = (ProducerEpoch(reader.i16()?), reader.u32()?);
    let last_write = Timestamp(reader.i64()?);
    let mut batches = VecDeque::new();
    for _ in 0..reader.count(24)? {
        batches.push_back(RememberedBatch {
            base_sequence: Sequence(reader.i32()?),
            last_sequence: Sequence(reader.i32()?),
            base_offset: Offset(reader.i64()?),
            append_time: Timestamp(reader.i64()?),
        });
    }
    reader.end()?;
    Ok(ProducerState { producer_epoch, batches, forgotten_records, last_write })
}

pub(super) fn topic_bytes(topic: &TopicRecord) -> Vec<u8> {
    let writer = Writer::new(VERSION).uuid(topic.topic_id.0).text(topic.name.as_str()).i32(topic.partition_count);
    write_configs(writer.i16(topic.replication_factor).i64(topic.created_at.0), &topic.configs).done()
}

pub(super) fn topic(bytes: &[u8]) -> Result<TopicRecord> {
    let mut reader = Reader::new("a topic", VERSION, bytes)?;
    let topic_id = TopicId(reader.uuid()?);
    let Ok(name) = TopicName::new(reader.text()?) else { return reader.refuse("its name is not legal") };
    let (partition_count, replication_factor) = (reader.i32()?, reader.i16()?);
    let created_at = Timestamp(reader.i64()?);
    let configs = read_configs(&mut reader)?;
    reader.end()?;
    Ok(TopicRecord { topic_id, name, partition_count, replication_factor, created_at, configs })
}

pub(super) fn configs_bytes(configs: &Configs) -> Vec<u8> {
    write_configs(Writer::new(VERSION), configs).done()
}

pub(super) fn configs(bytes: &[u8]) -> Result<Configs> {
    let mut reader = Reader::new("a configuration", VERSION, bytes)?;
    let configs = read_configs(&mut reader)?;
    reader.end()?;
    Ok(configs)
}

fn write_configs(writer: Writer, configs: &Configs) -> Writer {
    let writer = writer.count(configs.len());
    configs.iter().fold(writer, |writer, (name, value)| writer.text(name).text(value))
}

fn read_configs(reader: &mut Reader<'_>) -> Result<Configs> {
    let mut configs = Configs::new();
    for _ in 0..reader.count(8)? {
        configs.insert(reader.text()?.to_owned(), reader.text()?.to_owned());
    }
    Ok(configs)
}

/// A node; its life is not stored.
pub(super) fn node_bytes(node: &Registration) -> Vec<u8> {
    let NodeRecord { identity, incarnation, endpoint, rack, .. } = &node.record;
    let writer = Writer::new(VERSION).i32(identity.node_id.0).i64(identity.node_epoch.0).uuid(*incarnation);
    let writer = writer.text(&endpoint.host).u16(endpoint.port).u32(node.session_ms).u8(u8::from(node.ended));
    writer.u8(u8::from(rack.is_some())).text(rack.as_ref().map_or("", |rack| &rack.0)).done()
}

/// A node that is dead until it beats.
pub(super) fn node(bytes: &[u8]) -> Result<Registration> {
    let mut reader = Reader::new("a node", VERSION, bytes)?;
    let identity = NodeIdentity { node_id: NodeId(reader.i32()?), node_epoch: NodeEpoch(reader.i64()?) };
    let incarnation = reader.uuid()?;
    let endpoint = Endpoint { host: reader.text()?.to_owned(), port: reader.u16()? };
    let (session_ms, ended) = (reader.u32()?, reader.u8()? != 0);
    let (has_rack, rack) = (reader.u8()? != 0, reader.shared_text()?);
    reader.end()?;
    let rack = has_rack.then_some(Rack(rack));
    let record = NodeRecord { identity, incarnation, endpoint, rack, draining: false, expires_at: Timestamp(i64::MIN) };
    Ok(Registration { record, session_ms, ended })
}

pub(super) fn receipt_bytes(receipt: &CommitReceipt) -> Vec<u8> {
    let mut writer = Writer::new(VERSION).i64(receipt.committed_at.0).count(receipt.ranges.len());
    for range in &receipt.ranges {
        let bounds = &range.bounds;
        writer = writer.uuid(range.partition.topic_id.0).i32(range.partition.partition.0);
        writer = writer.i64(bounds.log_start_offset.0).i64(bounds.high_watermark.0);
        writer = writer.i64(bounds.last_stable_offset.0).u64(bounds.byte_size).count(range.batches.len());
        writer = range.batches.iter().fold(writer, |writer, batch| write_batch(writer, *batch));
        writer = writer.count(range.extents.len());
        for extent in &range.extents {
            writer = write_extent(writer.i64(extent.last_offset.0), extent);
        }
    }
    writer.done()
}

pub(super) fn receipt(bytes: &[u8]) -> Result<CommitReceipt> {
    let mut reader = Reader::new("a receipt", VERSION, bytes)?;
    let committed_at = Timestamp(reader.i64()?);
    let mut ranges = Vec::new();
    for _ in 0..reader.count(60)? {
        ranges.push(read_range(&mut reader)?);
    }
    reader.end()?;
    Ok(CommitReceipt { committed_at, ranges })
}

fn read_range(reader: &mut Reader<'_>) -> Result<RangeReceipt> {
    let partition = TopicIdPartition::new(TopicId(reader.uuid()?), PartitionIndex(reader.i32()?));
    let bounds = PartitionBounds {
        log_start_offset: Offset(reader.i64()?),
        high_watermark: Offset(reader.i64()?),
        last_stable_offset: Offset(reader.i64()?),
        byte_size: reader.u64()?,
    };
    let (mut batches, mut extents) = (Vec::new(), Vec::new());
    for _ in 0..reader.count(17)? {
        batches.push(read_batch(reader)?);
    }
    for _ in 0..reader.count(52)? {
        let last_offset = Offset(reader.i64()?);
        extents.push(read_extent(reader, last_offset)?);
    }
    Ok(RangeReceipt { partition, bounds, batches, extents })
}

fn write_batch(writer: Writer, batch: BatchReceipt) -> Writer {
    let (kind, first, second) = match batch {
        BatchReceipt::Appended { base_offset, append_time } => (0, base_offset.0, append_time.0),
        BatchReceipt::Duplicate { base_offset, append_time } => (1, base_offset.0, append_time.0),
        BatchReceipt::Refused(BatchRefusal::UnknownPartition) => (2, 0, 0),
        BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence { expected }) => (3, i64::from(expected.0), 0),
        BatchReceipt::Refused(BatchRefusal::DuplicateSequence) => (4, 0, 0),
        BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch { current }) => (5, i64::from(current.0), 0),
    };
    writer.u8(kind).i64(first).i64(second)
}

fn read_batch(reader: &mut Reader<'_>) -> Result<BatchReceipt> {
    let (kind, first, second) = (reader.u8()?, reader.i64()?, reader.i64()?);
    let (base_offset, append_time) = (Offset(first), Timestamp(second));
    let refusal = match kind {
        0 => return Ok(BatchReceipt::Appended { base_offset, append_time }),
        1 => return Ok(BatchReceipt::Duplicate { base_offset, append_time }),
        2 => BatchRefusal::UnknownPartition,
        3 => match i32::try_from(first) {
            Ok(expected) => BatchRefusal::OutOfOrderSequence { expected: Sequence(expected) },
            Err(_) => return reader.refuse("a sequence is too large"),
        },
        4 => BatchRefusal::DuplicateSequence,
        5 => match i16::try_from(first) {
            Ok(current) => BatchRefusal::InvalidProducerEpoch { current: ProducerEpoch(current) },
            Err(_) => return reader.refuse("an epoch is too large"),
        },
        _ => return reader.refuse("a batch's fate is not known"),
    };
    Ok(BatchReceipt::Refused(refusal))
}

#[cfg(test)]
mod tests;
