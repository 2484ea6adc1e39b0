//! What a commit's receipt means for each batch, and for the readers. Pure.

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::log::append::buffer::{Admitted, PartitionBatches};
use crate::log::append::upload::Uploaded;
use crate::log::append::values::{AppendOutcome, Appended};
use crate::metastore::values::{BatchReceipt, BatchRefusal, CommitReceipt, Extent, PartitionBounds, RangeReceipt};
use crate::model::error::{Condition, Failure};
use crate::model::object::ByteRange;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// What is to be done after a commit.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Bytes of new extents, for the cache: one slice per batch.
    pub cached: Vec<(ByteRange, Vec<Bytes>)>,
    /// News for the tail.
    pub news: Vec<(TopicIdPartition, PartitionBounds, Vec<Extent>)>,
    /// Outcomes for those who wait.
    pub answers: Vec<(Admitted, AppendOutcome)>,
    /// Batches with a gap before them.
    pub gaps: Vec<Gap>,
    /// Batches that the receipt says nothing of, which a metastore never should do.
    pub unanswered: usize,
}

/// A batch that the metastore refused for the gap before it.
#[derive(Debug)]
pub(crate) struct Gap {
    pub batch: Admitted,
    /// Where its partition ended then.
    pub beyond: Offset,
    /// The answer, should the gap stay.
    pub refusal: Failure,
}

/// Matches a receipt with the batches it is about.
pub(crate) fn settle(uploaded: &Uploaded, batches: Vec<PartitionBatches>, receipt: CommitReceipt) -> Settled {
    let mut settled = Settled::default();
    let mut ranges = receipt.ranges.into_iter();
    for (index, (partition, batches)) in batches.into_iter().enumerate() {
        let position = uploaded.ranges.get(index).map(|bytes| bytes.position);
        let range = ranges.next().filter(|range| range.partition == partition);
        match (range, position) {
            (Some(range), Some(position)) => settle_range(&mut settled, position, batches, range),
            _ => settled.unanswered += batches.len(),
        }
    }
    settled
}

fn settle_range(settled: &mut Settled, position: u64, batches: Vec<Admitted>, range: RangeReceipt) {
    let RangeReceipt { partition, bounds, batches: receipts, extents } = range;
    settled.cached.extend(slices_of(&extents, position, batches.iter().map(|batch| &batch.records)));
    settled.unanswered += batches.len().saturating_sub(receipts.len());
    // Where the partition ended when a batch was refused: where the next one that was taken begins.
    let mut ended_at = bounds.high_watermark;
    let mut ends: Vec<Offset> = receipts.iter().rev().map(|receipt| end_before(receipt, &mut ended_at)).collect();
    ends.reverse();
    for ((batch, receipt), beyond) in batches.into_iter().zip(receipts).zip(ends) {
        match receipt {
            BatchReceipt::Appended { base_offset, append_time }
            | BatchReceipt::Duplicate { base_offset, append_time } => {
                let log_append_time = if batch.facts.stamped { append_time } else { Timestamp::NONE };
                let log_start_offset = bounds.log_start_offset;
                settled.answers.push((batch, Ok(Appended { base_offset, log_append_time, log_start_offset })));
            }
            BatchReceipt::Refused(refusal @ BatchRefusal::OutOfOrderSequence { .. }) => {
                let refusal = failure_of(&batch, refusal);
                settled.gaps.push(Gap { batch, beyond, refusal });
            }
            BatchReceipt::Refused(refusal) => {
                let failure = failure_of(&batch, refusal);
                settled.answers.push((batch, Err(failure.into())));
            }
        }
    }
    let exists = bounds.high_watermark >= Offset(0);
    if exists {
        settled.news.push((partition, bounds, extents));
    }
}

/// The partition's end just before a batch, from its end after it; walks backwards.
fn end_before(receipt: &BatchReceipt, ended_at: &mut Offset) -> Offset {
    if let BatchReceipt::Appended { base_offset, .. } = receipt {
        *ended_at = *base_offset;
    }
    *ended_at
}

/// The batches of a range that begins at `position`, by the extents that they became; both are in order.
pub(crate) fn slices_of<'a>(
    extents: &[Extent],
    mut position: u64,
    batches: impl Iterator<Item = &'a Bytes>,
) -> Vec<(ByteRange, Vec<Bytes>)> {
    let mut found: Vec<(ByteRange, Vec<Bytes>)> = Vec::with_capacity(extents.len());
    let mut batches = batches.peekable();
    for extent in extents {
        let mut slices = Vec::new();
        while let Some(batch) = batches.next_if(|_| position < extent.bytes.end()) {
            if position >= extent.bytes.position {
                slices.push(batch.clone());
            }
            position += batch.len() as u64;
        }
        found.push((extent.bytes, slices));
    }
    found
}

fn failure_of(batch: &Admitted, refusal: BatchRefusal) -> Failure {
    let (producer, epoch, sequence) = batch
        .facts
        .producer
        .map_or((-1, -1, -1), |producer| (producer.producer_id.0, producer.producer_epoch.0, producer.base_sequence.0));
    match refusal {
        BatchRefusal::UnknownPartition => {
            Failure::new(Condition::UnknownTopicOrPartition, "the topic was deleted or has no such partition")
        }
        BatchRefusal::OutOfOrderSequence { expected } => Failure::new(
            Condition::OutOfOrderSequenceNumber,
            format!("producer {producer} sends sequence {sequence} where {} is next", expected.0),
        ),
        BatchRefusal::DuplicateSequence => Failure::new(
            Condition::DuplicateSequenceNumber,
            format!("sequence {sequence} of producer {producer} was appended long ago; its offset is forgotten"),
        ),
        BatchRefusal::InvalidProducerEpoch { current } => Failure::new(
            Condition::InvalidProducerEpoch,
            format!("producer {producer} writes with epoch {epoch}, its newest is {}", current.0),
        ),
    }
}
