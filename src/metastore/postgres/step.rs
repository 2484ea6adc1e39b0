//! A step as it is stored in a row of `steps`: at once an entry of the feed and the receipt of a commit.
//!
//! What only the database knows (bounds, append times) lies in columns of their own; the rest, which the agent
//! knew before it asked, lies in `body`, with offsets relative to the partition's high watermark before the step:
//!
//! ```text
//! body      format 1 | ranges | CRC-32C of all before (4 bytes, big-endian)
//! ranges    count, then per range: flags (1 known, 2 topic as before) | topic id (16, unless as before) |
//!           partition | batches | extents
//! batches   count, then per batch: 0 appended (offset) · 1 duplicate (absolute offset, append time) ·
//!           2 unknown partition · 3 out of order (expected) · 4 duplicate sequence · 5 invalid epoch (current)
//! extents   count, then per extent: base offset, last offset, position, length, CRC (4 bytes), max timestamp
//! ```
//!
//! Numbers are varints (7 bits a byte, low first), signed ones zigzag. Arrays have one element per *known* range,
//! ordered by partition.

use bytes::{Buf, BufMut};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::convert::unsigned;
use crate::metastore::sequencing::NO_BOUNDS;
use crate::metastore::values::{
    BatchReceipt, BatchRefusal, CommitReceipt, Extent, FeedEntry, PartitionBounds, RangeReceipt,
};
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, Sequence};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

/// The only format there is.
const FORMAT: u8 = 1;
const KNOWN: u8 = 1;
const SAME_TOPIC: u8 = 2;

/// What an agent knows of a step before it asks for it. In the batches and extents offsets are relative, and
/// append times and keys are not filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StepRange {
    /// The partition.
    pub(super) partition: TopicIdPartition,
    /// Whether it exists.
    pub(super) known: bool,
    /// What happens to each batch.
    pub(super) batches: Vec<BatchReceipt>,
    /// The extents to add.
    pub(super) extents: Vec<Extent>,
}

/// What only the database knows of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct StepColumns {
    pub(super) committed_at: i64,
    pub(super) log_starts: Vec<i64>,
    pub(super) high_watermarks: Vec<i64>,
    pub(super) byte_sizes: Vec<i64>,
    pub(super) append_times: Vec<i64>,
}

/// Joins both into the receipt of a commit.
pub(super) fn receipt(object: &ObjectKey, ranges: Vec<StepRange>, columns: &StepColumns) -> Result<CommitReceipt> {
    let ranks = ranks(&ranges);
    let ranges = ranges.into_iter().zip(ranks);
    let ranges = ranges.map(|(range, rank)| absolute(object, range, rank, columns)).collect::<Result<_>>()?;
    Ok(CommitReceipt { committed_at: Timestamp(columns.committed_at), ranges })
}

/// Joins both into entries of the feed; `object` is `None` when only bounds moved.
pub(super) fn entries(
    object: Option<&ObjectKey>,
    ranges: Vec<StepRange>,
    columns: &StepColumns,
) -> Result<Vec<FeedEntry>> {
    let ranks = ranks(&ranges);
    let key = object.cloned().unwrap_or_else(|| ObjectKey::from(""));
    let mut entries = Vec::with_capacity(ranges.len());
    for (range, rank) in ranges.into_iter().zip(ranks) {
        if !range.known || (object.is_some() && range.extents.is_empty()) {
            continue;
        }
        let RangeReceipt { partition, bounds, extents, .. } = absolute(&key, range, rank, columns)?;
        entries.push(FeedEntry { partition, bounds, extents });
    }
    Ok(entries)
}

/// Where in the columns each range stands: known ranges are there in order of their partitions.
fn ranks(ranges: &[StepRange]) -> Vec<usize> {
    let mut known: Vec<usize> = (0..ranges.len()).filter(|index| ranges[*index].known).collect();
    known.sort_by_key(|index| ranges[*index].partition);
    let mut ranks = vec![usize::MAX; ranges.len()];
    for (rank, index) in known.into_iter().enumerate() {
        ranks[index] = rank;
    }
    ranks
}

fn absolute(object: &ObjectKey, range: StepRange, rank: usize, columns: &StepColumns) -> Result<RangeReceipt> {
    let StepRange { partition, known, mut batches, mut extents } = range;
    if !known {
        return Ok(RangeReceipt { partition, bounds: NO_BOUNDS, batches, extents });
    }
    let at = |column: &[i64]| column.get(rank).copied().ok_or_else(|| unreadable("has too few columns"));
    let (high_watermark, append_time) = (Offset(at(&columns.high_watermarks)?), Timestamp(at(&columns.append_times)?));
    let bounds = PartitionBounds {
        log_start_offset: Offset(at(&columns.log_starts)?),
        high_watermark,
        last_stable_offset: high_watermark,
        byte_size: unsigned(at(&columns.byte_sizes)?)?,
    };
    // Everything appended lies in the extents, back to back, and ends at the high watermark.
    let records = extents.last().map_or(0, |extent| extent.last_offset.0.saturating_add(1));
    let base = high_watermark.0.saturating_sub(records);
    for batch in &mut batches {
        if let BatchReceipt::Appended { base_offset, append_time: time } = batch {
            base_offset.0 = base_offset.0.saturating_add(base);
            *time = append_time;
        }
    }
    for extent in &mut extents {
        extent.base_offset.0 = extent.base_offset.0.saturating_add(base);
        extent.last_offset.0 = extent.last_offset.0.saturating_add(base);
        extent.append_time = append_time;
        extent.object = object.clone();
    }
    Ok(RangeReceipt { partition, bounds, batches, extents })
}

// ---------------------------------------------------------------- encoding

/// The body of a step.
pub(super) fn encode(ranges: &[StepRange]) -> Vec<u8> {
    let mut body = vec![FORMAT];
    put_unsigned(&mut body, ranges.len() as u64);
    let mut topic_before = None;
    for range in ranges {
        let topic_id = range.partition.topic_id;
        let same = topic_before.replace(topic_id) == Some(topic_id);
        body.put_u8(u8::from(range.known) * KNOWN + u8::from(same) * SAME_TOPIC);
        if !same {
            body.put_slice(topic_id.0.as_bytes());
        }
        put_signed(&mut body, i64::from(range.partition.partition.0));
        put_unsigned(&mut body, range.batches.len() as u64);
        range.batches.iter().for_each(|batch| put_batch(&mut body, batch));
        put_unsigned(&mut body, range.extents.len() as u64);
        range.extents.iter().for_each(|extent| put_extent(&mut body, extent));
    }
    let checksum = crc(&body);
    body.put_u32(checksum);
    body
}

fn put_batch(body: &mut Vec<u8>, batch: &BatchReceipt) {
    match batch {
        BatchReceipt::Appended { base_offset, .. } => {
            body.put_u8(0);
            put_signed(body, base_offset.0);
        }
        BatchReceipt::Duplicate { base_offset, append_time } => {
            body.put_u8(1);
            put_signed(body, base_offset.0);
            put_signed(body, append_time.0);
        }
        BatchReceipt::Refused(BatchRefusal::UnknownPartition) => body.put_u8(2),
        BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence { expected }) => {
            body.put_u8(3);
            put_signed(body, i64::from(expected.0));
        }
        BatchReceipt::Refused(BatchRefusal::DuplicateSequence) => body.put_u8(4),
        BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch { current }) => {
            body.put_u8(5);
            put_signed(body, i64::from(current.0));
        }
    }
}

fn put_extent(body: &mut Vec<u8>, extent: &Extent) {
    put_signed(body, extent.base_offset.0);
    put_signed(body, extent.last_offset.0);
    put_unsigned(body, extent.bytes.position);
    put_unsigned(body, u64::from(extent.bytes.length));
    body.put_u32(extent.crc);
    put_signed(body, extent.max_timestamp.0);
}

fn put_unsigned(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The mask keeps seven bits.
        body.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    body.put_u8(number as u8);
}

fn put_signed(body: &mut Vec<u8>, number: i64) {
    put_unsigned(body, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn crc(bytes: &[u8]) -> u32 {
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    // A 32-bit checksum in a 64-bit answer: the upper half is zero.
    u32::try_from(checksum & u64::from(u32::MAX)).unwrap_or(0)
}

// ---------------------------------------------------------------- decoding

/// Reads a body back; a body of a catalog's change is empty and has no ranges.
pub(super) fn decode(body: &[u8]) -> Result<Vec<StepRange>> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let (mut body, mut checksum) = body.split_at_checked(body.len().wrapping_sub(4)).ok_or_else(short)?;
    if crc(body) != checksum.get_u32() {
        return Err(unreadable("fails its checksum"));
    }
    let reader = &mut body;
    let format = reader.try_get_u8().map_err(|_| short())?;
    if format != FORMAT {
        return Err(unreadable(&format!("has format {format}, known is {FORMAT}")));
    }
    let mut topic_id = TopicId(Uuid::nil());
    let mut ranges = Vec::new();
    for _ in 0..get_count(reader)? {
        let flags = reader.try_get_u8().map_err(|_| short())?;
        if flags & SAME_TOPIC == 0 {
            let mut id = [0; 16];
            reader.try_copy_to_slice(&mut id).map_err(|_| short())?;
            topic_id = TopicId(Uuid::from_bytes(id));
        }
        let partition = TopicIdPartition::new(topic_id, PartitionIndex(get_narrow(reader)?));
        let batches = (0..get_count(reader)?).map(|_| get_batch(reader)).collect::<Result<_>>()?;
        let extents = (0..get_count(reader)?).map(|_| get_extent(reader)).collect::<Result<_>>()?;
        ranges.push(StepRange { partition, known: flags & KNOWN != 0, batches, extents });
    }
    Ok(ranges)
}

fn get_batch(reader: &mut &[u8]) -> Result<BatchReceipt> {
    Ok(match reader.try_get_u8().map_err(|_| short())? {
        0 => BatchReceipt::Appended { base_offset: Offset(get_signed(reader)?), append_time: Timestamp::NONE },
        1 => BatchReceipt::Duplicate {
            base_offset: Offset(get_signed(reader)?),
            append_time: Timestamp(get_signed(reader)?),
        },
        2 => BatchReceipt::Refused(BatchRefusal::UnknownPartition),
        3 => BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence { expected: Sequence(get_narrow(reader)?) }),
        4 => BatchReceipt::Refused(BatchRefusal::DuplicateSequence),
        5 => BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch { current: ProducerEpoch(get_narrow(reader)?) }),
        kind => return Err(unreadable(&format!("has a batch of unknown kind {kind}"))),
    })
}

fn get_extent(reader: &mut &[u8]) -> Result<Extent> {
    Ok(Extent {
        base_offset: Offset(get_signed(reader)?),
        last_offset: Offset(get_signed(reader)?),
        object: ObjectKey::from(""),
        bytes: ByteRange {
            position: get_unsigned(reader)?,
            length: u32::try_from(get_unsigned(reader)?).map_err(|_| unreadable("has a number out of range"))?,
        },
        crc: reader.try_get_u32().map_err(|_| short())?,
        max_timestamp: Timestamp(get_signed(reader)?),
        append_time: Timestamp::NONE,
    })
}

/// A count of things that take at least a byte each.
fn get_count(reader: &mut &[u8]) -> Result<usize> {
    let count = usize::try_from(get_unsigned(reader)?).unwrap_or(usize::MAX);
    if count > reader.len() { Err(short()) } else { Ok(count) }
}

fn get_unsigned(reader: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = reader.try_get_u8().map_err(|_| short())?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(unreadable("has a number out of range"))
}

fn get_signed(reader: &mut &[u8]) -> Result<i64> {
    let zigzag = get_unsigned(reader)?;
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

fn get_narrow<T: TryFrom<i64>>(reader: &mut &[u8]) -> Result<T> {
    T::try_from(get_signed(reader)?).map_err(|_| unreadable("has a number out of range"))
}

fn short() -> MetastoreError {
    unreadable("is too short")
}

fn unreadable(what: &str) -> MetastoreError {
    MetastoreError::Unreadable(format!("the stored step {what}"))
}

#[cfg(test)]
mod tests;
