//! The decision at the heart of every backend: which batches get offsets, and which extents they become.
//!
//! Pure: no I/O, no clock. A backend loads a partition's [`PartitionHead`] and the states of the producers in
//! the commit, calls [`sequence_range`], and stores what it answers in the same atomic step.

use std::collections::{BTreeMap, VecDeque};

use crate::base::clock::Timestamp;
use crate::base::crc::combine;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{
    BatchCommit, BatchReceipt, BatchRefusal, Extent, PartitionBounds, ProducerBatch, RangeCommit, RangeReceipt,
};
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::TopicIdPartition;

/// How many batches of one producer a partition remembers: as many as a Kafka producer keeps in flight.
pub const REMEMBERED_BATCHES: usize = 5;

/// Half of the sequence space: a sequence at most this far behind the next one counts as past, not as future.
const PAST_RECORDS_MAX: u32 = 1 << 30;

/// What a receipt says of the bounds of a partition that does not exist.
pub const NO_BOUNDS: PartitionBounds = PartitionBounds {
    log_start_offset: Offset::NONE,
    high_watermark: Offset::NONE,
    last_stable_offset: Offset::NONE,
    byte_size: 0,
};

/// A partition's end, where the next batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartitionHead {
    /// The first offset that can be read.
    pub log_start_offset: Offset,
    /// The offset the next record gets.
    pub high_watermark: Offset,
    /// Bytes of all extents.
    pub byte_size: u64,
    /// When the last batch was appended; append times never go back.
    pub append_time: Timestamp,
}

impl Default for PartitionHead {
    fn default() -> Self {
        Self { log_start_offset: Offset(0), high_watermark: Offset(0), byte_size: 0, append_time: Timestamp::NONE }
    }
}

impl PartitionHead {
    /// The bounds that readers see.
    #[must_use]
    pub fn bounds(&self) -> PartitionBounds {
        PartitionBounds {
            log_start_offset: self.log_start_offset,
            high_watermark: self.high_watermark,
            last_stable_offset: self.high_watermark,
            byte_size: self.byte_size,
        }
    }
}

/// What a partition remembers of one idempotent producer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProducerState {
    /// The newest epoch that has written.
    pub producer_epoch: ProducerEpoch,
    /// The last batches of that epoch, oldest first; at least one, at most [`REMEMBERED_BATCHES`].
    pub batches: VecDeque<RememberedBatch>,
    /// How many records of that epoch came before the oldest remembered batch (saturating). Without it a
    /// sequence that was never written could be taken for a forgotten duplicate, and its records be lost.
    pub forgotten_records: u32,
    /// When it last wrote, for expiry.
    pub last_write: Timestamp,
}

/// One batch that a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RememberedBatch {
    /// Sequence of the first record.
    pub base_sequence: Sequence,
    /// Sequence of the last record.
    pub last_sequence: Sequence,
    /// Offset of the first record.
    pub base_offset: Offset,
    /// When it was appended.
    pub append_time: Timestamp,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets the next offsets.
    Accept,
    /// It was appended before.
    Duplicate {
        /// Offset of its first record, then.
        base_offset: Offset,
        /// When, then.
        append_time: Timestamp,
    },
    /// It gets no offsets.
    Refuse(BatchRefusal),
}

impl ProducerState {
    /// The sequence that continues what was written.
    #[must_use]
    pub fn expected(&self) -> Sequence {
        self.batches.back().map_or(Sequence(0), |newest| newest.last_sequence.plus(1))
    }

    /// Remembers a batch that was accepted.
    fn remember(&mut self, producer_epoch: ProducerEpoch, batch: RememberedBatch) {
        if producer_epoch != self.producer_epoch {
            self.producer_epoch = producer_epoch;
            self.batches.clear();
            self.forgotten_records = 0;
        }
        if self.batches.len() >= REMEMBERED_BATCHES
            && let Some(oldest) = self.batches.pop_front()
        {
            let records = distance(oldest.base_sequence, oldest.last_sequence).saturating_add(1);
            self.forgotten_records = self.forgotten_records.saturating_add(records).min(PAST_RECORDS_MAX);
        }
        self.batches.push_back(batch);
        self.last_write = batch.append_time;
    }
}

/// Judges one batch against what the partition remembers of its producer.
#[must_use]
pub fn decide(state: Option<&ProducerState>, batch: &BatchCommit) -> Verdict {
    let Some(producer) = batch.producer else { return Verdict::Accept };
    let Some(state) = state else { return begin(&producer) };
    if producer.producer_epoch < state.producer_epoch {
        return Verdict::Refuse(BatchRefusal::InvalidProducerEpoch { current: state.producer_epoch });
    }
    if producer.producer_epoch > state.producer_epoch {
        return if producer.base_sequence == Sequence(0) {
            Verdict::Accept
        } else {
            Verdict::Refuse(BatchRefusal::OutOfOrderSequence { expected: Sequence(0) })
        };
    }
    let last_sequence = last_sequence(&producer, batch.record_count);
    let same = |known: &&RememberedBatch| {
        known.base_sequence == producer.base_sequence && known.last_sequence == last_sequence
    };
    // From the newest: after a full round of the sequence space the newest of two equals is meant.
    if let Some(known) = state.batches.iter().rev().find(same) {
        return Verdict::Duplicate { base_offset: known.base_offset, append_time: known.append_time };
    }
    let expected = state.expected();
    if producer.base_sequence == expected {
        Verdict::Accept
    } else if is_forgotten(state, &producer, batch.record_count) {
        Verdict::Refuse(BatchRefusal::DuplicateSequence)
    } else {
        Verdict::Refuse(BatchRefusal::OutOfOrderSequence { expected })
    }
}

/// Judges the first batch that a partition sees of a producer.
fn begin(producer: &ProducerBatch) -> Verdict {
    if producer.base_sequence == Sequence(0) || producer.begins_anywhere {
        Verdict::Accept
    } else {
        Verdict::Refuse(BatchRefusal::OutOfOrderSequence { expected: Sequence(0) })
    }
}

/// What a commit does to one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequencedRange {
    /// The partition's end afterwards.
    pub head: PartitionHead,
    /// One receipt per batch.
    pub batches: Vec<BatchReceipt>,
    /// The extents to add.
    pub extents: Vec<Extent>,
}

/// Gives the batches of one range their offsets.
///
/// `producers` holds what the partition remembers of the producers in the range (a missing one is unknown) and
/// is brought up to date. Neighbours that are accepted become one extent; a refused or repeated batch splits.
#[must_use]
pub fn sequence_range(
    head: PartitionHead,
    producers: &mut BTreeMap<ProducerId, ProducerState>,
    object: &ObjectKey,
    range: &RangeCommit,
    now: Timestamp,
) -> SequencedRange {
    let mut sequenced = SequencedRange { head, batches: Vec::with_capacity(range.batches.len()), extents: Vec::new() };
    let append_time = now.max(head.append_time);
    let mut position = range.position;
    let mut open: Option<Extent> = None;
    for batch in &range.batches {
        let state = batch.producer.and_then(|producer| producers.get(&producer.producer_id));
        let receipt = match decide(state, batch) {
            Verdict::Accept => {
                let base_offset = sequenced.head.high_watermark;
                let next_offset = base_offset.plus(i64::from(batch.record_count));
                sequenced.head.high_watermark = next_offset;
                sequenced.head.byte_size = sequenced.head.byte_size.saturating_add(u64::from(batch.length));
                sequenced.head.append_time = append_time;
                if let Some(producer) = batch.producer {
                    apply(producers, &producer, batch.record_count, base_offset, append_time);
                }
                let fresh = Extent {
                    base_offset,
                    last_offset: next_offset.previous(),
                    object: object.clone(),
                    bytes: ByteRange { position, length: batch.length },
                    crc: batch.crc,
                    max_timestamp: batch.max_timestamp,
                    append_time,
                };
                if let Some(full) = extend(&mut open, fresh) {
                    sequenced.extents.push(full);
                }
                BatchReceipt::Appended { base_offset, append_time }
            }
            Verdict::Duplicate { base_offset, append_time } => {
                sequenced.extents.extend(open.take());
                BatchReceipt::Duplicate { base_offset, append_time }
            }
            Verdict::Refuse(refusal) => {
                sequenced.extents.extend(open.take());
                BatchReceipt::Refused(refusal)
            }
        };
        sequenced.batches.push(receipt);
        position = position.saturating_add(u64::from(batch.length));
    }
    sequenced.extents.extend(open);
    sequenced
}

/// The refusal of a commit that is all or nothing, if one of `batches` is refused.
#[must_use]
pub fn refusal_of(partition: TopicIdPartition, batches: &[BatchReceipt]) -> Option<MetastoreError> {
    batches.iter().find_map(|batch| match batch {
        BatchReceipt::Refused(refusal) => Some(MetastoreError::Refused { partition, refusal: *refusal }),
        BatchReceipt::Appended { .. } | BatchReceipt::Duplicate { .. } => None,
    })
}

/// The receipt of a range whose partition does not exist.
#[must_use]
pub fn unknown_partition_receipt(range: &RangeCommit) -> RangeReceipt {
    RangeReceipt {
        partition: range.partition,
        bounds: NO_BOUNDS,
        batches: vec![BatchReceipt::Refused(BatchRefusal::UnknownPartition); range.batches.len()],
        extents: Vec::new(),
    }
}

/// Remembers an accepted batch in its producer's state.
fn apply(
    producers: &mut BTreeMap<ProducerId, ProducerState>,
    producer: &ProducerBatch,
    record_count: u32,
    base_offset: Offset,
    append_time: Timestamp,
) {
    let batch = RememberedBatch {
        base_sequence: producer.base_sequence,
        last_sequence: last_sequence(producer, record_count),
        base_offset,
        append_time,
    };
    producers
        .entry(producer.producer_id)
        .or_insert_with(|| ProducerState {
            producer_epoch: producer.producer_epoch,
            batches: VecDeque::new(),
            forgotten_records: 0,
            last_write: append_time,
        })
        .remember(producer.producer_epoch, batch);
}

/// Joins `fresh` to the open extent, or opens a new one and hands back the old (when the length is exhausted).
fn extend(open: &mut Option<Extent>, fresh: Extent) -> Option<Extent> {
    let Some(extent) = open.as_mut() else {
        *open = Some(fresh);
        return None;
    };
    let Some(length) = extent.bytes.length.checked_add(fresh.bytes.length) else { return open.replace(fresh) };
    extent.last_offset = fresh.last_offset;
    extent.crc = combine_crc(extent.crc, fresh.crc, fresh.bytes.length);
    extent.bytes.length = length;
    extent.max_timestamp = extent.max_timestamp.max(fresh.max_timestamp);
    None
}

/// CRC-32C of two runs of bytes that lie back to back, from the CRC-32C of each.
fn combine_crc(first: u32, second: u32, second_length: u32) -> u32 {
    combine(first, second, u64::from(second_length))
}

fn last_sequence(producer: &ProducerBatch, record_count: u32) -> Sequence {
    producer.base_sequence.plus(record_count.saturating_sub(1))
}

/// How many steps lead from `from` on to `to`, around the wrap.
fn distance(from: Sequence, to: Sequence) -> u32 {
    let steps = (i64::from(to.0) - i64::from(from.0)) & i64::from(i32::MAX);
    // The mask keeps 31 bits, so the value always fits.
    u32::try_from(steps).unwrap_or(0)
}

/// Whether the whole batch lies among the records that were written and are no longer remembered.
fn is_forgotten(state: &ProducerState, producer: &ProducerBatch, record_count: u32) -> bool {
    let Some(oldest) = state.batches.front() else { return false };
    let back = distance(producer.base_sequence, oldest.base_sequence);
    back >= record_count.max(1) && back <= state.forgotten_records
}

#[cfg(test)]
mod tests;
