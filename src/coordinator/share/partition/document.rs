//! The stored document of a share partition; `docs/formats/share_documents.md` describes it.
//!
//! ```text
//! version: u8 = 1 | kind: u8 | start | holders | runs | signatures | CRC-32C: u32
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::clock::Timestamp;
use crate::base::crc::crc32c;
use crate::coordinator::share::partition::run::{Holder, HolderIndex, RecordState, Run};
use crate::coordinator::share::partition::signature::{Signature, Signatures};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::partition::unreadable::{UnreadableDocument, VERSION};
use crate::coordinator::share::partition::varint::{Input, Output};
use crate::metastore::values::{DocumentKey, DocumentKind};
use crate::model::group::{GroupId, MemberId};
use crate::model::node::{NodeEpoch, NodeId, NodeIdentity};
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

const CRC_BYTES: usize = 4;

const UNDECIDED: u8 = 0;
const DECIDED: u8 = 1;

/// The lowest two bits of a run's head.
const AVAILABLE: u64 = 0;
const ACQUIRED: u64 = 1;
const ACKNOWLEDGED: u64 = 2;
const ARCHIVED: u64 = 3;

/// No member takes fewer bytes: a length, the node's id and epoch, a time.
const HOLDER_BYTES_MIN: usize = 4;
/// No signature takes fewer bytes: the node's id and epoch, a number, a time.
const SIGNATURE_BYTES_MIN: usize = 4;

/// What the metastore knows of a share partition that somebody may fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredPartition {
    /// Nobody has fetched yet: `share.auto.offset.reset` decides at the first fetch where it starts.
    Undecided,
    /// Its window.
    Decided(SharePartitionState),
}

/// What the names of all share partitions of a group begin with.
#[must_use]
pub fn name_prefix(group_id: &GroupId) -> String {
    format!("{}:{group_id}:", group_id.as_str().len())
}

/// The key of a share partition's document.
#[must_use]
pub fn partition_key(group_id: &GroupId, partition: TopicIdPartition) -> DocumentKey {
    let name = format!("{}{}:{}", name_prefix(group_id), partition.topic_id, partition.partition);
    DocumentKey { kind: DocumentKind::SharePartition, name: name.into() }
}

/// The partition in a name that begins with `prefix`; `None` when it is nobody's.
#[must_use]
pub fn partition_of(name: &str, prefix: &str) -> Option<TopicIdPartition> {
    let (topic_id, partition) = name.strip_prefix(prefix)?.split_once(':')?;
    let topic_id = TopicId(uuid::Uuid::try_parse(topic_id).ok()?);
    Some(TopicIdPartition::new(topic_id, PartitionIndex(partition.parse().ok()?)))
}

/// The document of a share partition.
#[must_use]
pub fn encode(stored: &StoredPartition) -> Bytes {
    let mut output = Output::default();
    output.byte(VERSION);
    match stored {
        StoredPartition::Undecided => output.byte(UNDECIDED),
        StoredPartition::Decided(state) => {
            output.byte(DECIDED);
            encode_state(state, &mut output);
        }
    }
    let body = output.into_inner();
    let mut document = BytesMut::with_capacity(body.len() + CRC_BYTES);
    document.put_slice(&body);
    document.put_u32(crc32c(&body));
    document.freeze()
}

fn encode_state(state: &SharePartitionState, output: &mut Output) {
    output.reserve(32 + 64 * state.holders().len() + 8 * state.runs().len());
    output.number(state.start_offset().0.unsigned_abs());
    output.number(state.holders().len() as u64);
    let mut clock = 0;
    for holder in state.holders() {
        output.text(holder.member_id.as_str());
        encode_node(holder.node, output);
        encode_time(holder.acquired_at, &mut clock, output);
    }
    output.number(state.runs().len() as u64);
    for run in state.runs() {
        let head = |tag| (run.offset_count() - 1) << 2 | tag;
        let delivery_count = u64::from(run.delivery_count);
        match run.state {
            RecordState::Available { not_before: Timestamp(0) } => {
                output.number(head(AVAILABLE));
                output.number(delivery_count << 1);
            }
            RecordState::Available { not_before } => {
                output.number(head(AVAILABLE));
                output.number(delivery_count << 1 | 1);
                encode_time(not_before, &mut clock, output);
            }
            RecordState::Acquired { holder, deadline } => {
                output.number(head(ACQUIRED));
                output.number(delivery_count);
                output.number(u64::from(holder.0));
                encode_time(deadline, &mut clock, output);
            }
            RecordState::Acknowledged => output.number(head(ACKNOWLEDGED)),
            RecordState::Archived => output.number(head(ARCHIVED)),
        }
    }
    let signatures = state.signatures().as_slice();
    output.number(signatures.len() as u64);
    for signature in signatures {
        encode_node(signature.node, output);
        output.number(signature.number);
        encode_time(signature.at, &mut clock, output);
    }
}

fn encode_node(node: NodeIdentity, output: &mut Output) {
    output.signed(i64::from(node.node_id.0));
    output.signed(node.node_epoch.0);
}

/// Times lie close together: each is stored as its distance from the one before it.
fn encode_time(time: Timestamp, clock: &mut i64, output: &mut Output) {
    output.signed(time.0.wrapping_sub(*clock));
    *clock = time.0;
}

/// The share partition that a document holds.
///
/// # Errors
/// When the document is of another version, damaged, or describes something that can not be. Counts are held against
/// the bytes that remain before anything is allocated.
pub fn decode(document: Bytes) -> Result<StoredPartition, UnreadableDocument> {
    let version = *document.first().ok_or(UnreadableDocument::Short)?;
    if version != VERSION {
        return Err(UnreadableDocument::Version(version));
    }
    let end = document.len().checked_sub(CRC_BYTES).filter(|end| *end > 1).ok_or(UnreadableDocument::Short)?;
    let (body, checksum) = document.split_at(end);
    if checksum != crc32c(body).to_be_bytes() {
        return Err(UnreadableDocument::Checksum);
    }
    let mut input = Input::new(&body[1..]);
    let stored = match input.byte()? {
        UNDECIDED => StoredPartition::Undecided,
        DECIDED => StoredPartition::Decided(decode_state(&mut input)?),
        _ => return Err(UnreadableDocument::Content("an unknown kind")),
    };
    if input.remaining() > 0 {
        return Err(UnreadableDocument::Content("something after its end"));
    }
    Ok(stored)
}

fn decode_state(input: &mut Input<'_>) -> Result<SharePartitionState, UnreadableDocument> {
    let start_offset = offset(input.number()?)?;
    let mut clock = 0;
    let count = input.count(HOLDER_BYTES_MIN)?;
    let mut holders = Vec::with_capacity(count);
    for _ in 0..count {
        let member_id = MemberId::from(input.text()?);
        let node = decode_node(input)?;
        holders.push(Holder { member_id, node, acquired_at: decode_time(input, &mut clock)? });
    }
    let count = input.count(1)?;
    let mut runs = Vec::with_capacity(count);
    let mut first = start_offset;
    for _ in 0..count {
        let run = decode_run(first, &mut clock, input)?;
        first = offset(run.last.0.unsigned_abs() + 1)?;
        runs.push(run);
    }
    let count = input.count(SIGNATURE_BYTES_MIN)?;
    let mut signatures = Vec::with_capacity(count);
    for _ in 0..count {
        let (node, number) = (decode_node(input)?, input.number()?);
        signatures.push(Signature { node, number, at: decode_time(input, &mut clock)? });
    }
    let state = SharePartitionState::from_parts(start_offset, runs, holders)?;
    Ok(state.signed(Signatures::from_parts(signatures)))
}

fn decode_node(input: &mut Input<'_>) -> Result<NodeIdentity, UnreadableDocument> {
    let node_id =
        i32::try_from(input.signed()?).map_err(|_| UnreadableDocument::Content("a node id that is too large"))?;
    Ok(NodeIdentity { node_id: NodeId(node_id), node_epoch: NodeEpoch(input.signed()?) })
}

fn decode_run(first: Offset, clock: &mut i64, input: &mut Input<'_>) -> Result<Run, UnreadableDocument> {
    let head = input.number()?;
    let last = offset(first.0.unsigned_abs() + (head >> 2))?;
    let (state, delivery_count) = match head & 3 {
        AVAILABLE => {
            let number = input.number()?;
            let not_before = if number & 1 == 1 { decode_time(input, clock)? } else { Timestamp(0) };
            (RecordState::Available { not_before }, number >> 1)
        }
        ACQUIRED => {
            let delivery_count = input.number()?;
            let holder = u32::try_from(input.number()?)
                .map_err(|_| UnreadableDocument::Content("a holder's number that is too large"))?;
            let deadline = decode_time(input, clock)?;
            (RecordState::Acquired { holder: HolderIndex(holder), deadline }, delivery_count)
        }
        ACKNOWLEDGED => (RecordState::Acknowledged, 0),
        _ => (RecordState::Archived, 0),
    };
    let delivery_count =
        u16::try_from(delivery_count).map_err(|_| UnreadableDocument::Content("a delivery count that is too large"))?;
    Ok(Run { first, last, state, delivery_count })
}

fn decode_time(input: &mut Input<'_>, clock: &mut i64) -> Result<Timestamp, UnreadableDocument> {
    *clock = clock.wrapping_add(input.signed()?);
    Ok(Timestamp(*clock))
}

/// A number as an offset; both terms of a sum are below 2^63, so it can not wrap.
fn offset(number: u64) -> Result<Offset, UnreadableDocument> {
    i64::try_from(number).map(Offset).map_err(|_| UnreadableDocument::Content("an offset that is too large"))
}

#[cfg(test)]
mod tests;
