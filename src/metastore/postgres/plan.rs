//! A commit as columns: what is written if it goes through, and what must hold for that.
//!
//! Pure. The same columns serve both ways of committing: at once, where the outcome is assumed and the database
//! checks the assumption, and decided, where it follows from what was read under locks.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::postgres::convert::{place, signed};
use crate::metastore::postgres::step::{StepRange, encode};
use crate::metastore::sequencing::{
    PartitionHead, REMEMBERED_BATCHES, SequencedRange, sequence_range, unknown_partition_receipt,
};
use crate::metastore::values::{
    BatchReceipt, CommitObject, DocumentChange, DocumentWrite, Expect, ProducerBatch, RangeCommit,
};
use crate::model::offset::Offset;
use crate::model::producer::ProducerId;

/// A commit as columns. Offsets are relative to the partition's high watermark before the commit.
#[derive(Debug, Default)]
pub(super) struct CommitPlan {
    /// What the receipt will say, all ranges in the request's order.
    pub(super) ranges: Vec<StepRange>,
    pub(super) body: Vec<u8>,
    // One element per existing partition.
    pub(super) topic_ids: Vec<Uuid>,
    pub(super) partitions: Vec<i32>,
    pub(super) records: Vec<i64>,
    pub(super) bytes: Vec<i64>,
    pub(super) maxima: Vec<i64>,
    pub(super) extents: ExtentColumns,
    pub(super) claims: ClaimColumns,
}

/// Extents to add.
#[derive(Debug, Default)]
pub(super) struct ExtentColumns {
    /// Place of the partition, from 1.
    pub(super) range: Vec<i32>,
    pub(super) base: Vec<i64>,
    pub(super) last: Vec<i64>,
    pub(super) position: Vec<i64>,
    pub(super) length: Vec<i64>,
    pub(super) crc: Vec<i64>,
    pub(super) max_timestamp: Vec<i64>,
    /// The largest timestamp of the partition's extents in this commit so far.
    pub(super) running: Vec<i64>,
}

/// Per partition and producer: what must hold, and what will.
#[derive(Debug, Default)]
pub(super) struct ClaimColumns {
    /// Place of the partition, from 1.
    pub(super) range: Vec<i32>,
    pub(super) producer: Vec<i64>,
    /// Of the first batch: it must continue what is known.
    pub(super) first_epoch: Vec<i16>,
    pub(super) first_sequence: Vec<i32>,
    /// Of the last batch.
    pub(super) epoch: Vec<i16>,
    pub(super) next_sequence: Vec<i32>,
    /// Records of the last epoch.
    pub(super) records: Vec<i64>,
    /// Batches of the last epoch, as `producers.batches` holds them but for the first 16 bytes.
    pub(super) batches: Vec<Vec<u8>>,
}

/// Documents to change.
#[derive(Debug, Default)]
pub(super) struct DocumentColumns<'a> {
    pub(super) kinds: Vec<&'static str>,
    pub(super) names: Vec<&'a [u8]>,
    pub(super) expects: Vec<i64>,
    pub(super) changes: Vec<i16>,
    pub(super) bodies: Vec<&'a [u8]>,
}

/// One range and what becomes of it; `None`: the partition does not exist.
pub(super) type Decided<'a> = (&'a RangeCommit, Option<SequencedRange>);

/// The plan if every batch is accepted, or `None` when the batches alone show that some will not be.
pub(super) fn assume_accepted(commit: &CommitObject) -> Option<CommitPlan> {
    let mut decided = Vec::with_capacity(commit.ranges.len());
    for range in &commit.ranges {
        // An empty partition that lets every producer begin anywhere accepts whatever is in order within itself.
        let open = begins_anywhere(range);
        let sequenced =
            sequence_range(PartitionHead::default(), &mut BTreeMap::new(), &commit.object, &open, Timestamp(0));
        if !sequenced.batches.iter().all(|batch| matches!(batch, BatchReceipt::Appended { .. })) {
            return None;
        }
        decided.push((range, Some((sequenced, Offset(0)))));
    }
    Some(plan(decided))
}

fn begins_anywhere(range: &RangeCommit) -> RangeCommit {
    let mut open = range.clone();
    open.batches.iter_mut().filter_map(|batch| batch.producer.as_mut()).for_each(|p| p.begins_anywhere = true);
    open
}

/// The plan for ranges that were decided against the heads they have.
pub(super) fn from_decided(decided: Vec<(Decided<'_>, Offset)>) -> CommitPlan {
    plan(decided.into_iter().map(|((range, sequenced), base)| (range, sequenced.map(|s| (s, base)))).collect())
}

fn plan(decided: Vec<(&RangeCommit, Option<(SequencedRange, Offset)>)>) -> CommitPlan {
    let mut ordered: Vec<usize> = (0..decided.len()).filter(|index| decided[*index].1.is_some()).collect();
    ordered.sort_by_key(|index| decided[*index].0.partition);
    let ranges: Vec<_> = decided.into_iter().map(|(range, sequenced)| (range, relative(range, sequenced))).collect();
    let mut plan = CommitPlan::default();
    for index in ordered {
        let (commit, range) = &ranges[index];
        plan.push_partition(range);
        let place = place(plan.topic_ids.len() - 1);
        plan.extents.push(place, range);
        plan.claims.push(place, commit, range);
    }
    plan.ranges = ranges.into_iter().map(|(_, range)| range).collect();
    plan.body = encode(&plan.ranges);
    plan
}

/// What becomes of a range, with offsets counted from `base`.
fn relative(range: &RangeCommit, sequenced: Option<(SequencedRange, Offset)>) -> StepRange {
    let partition = range.partition;
    let Some((SequencedRange { mut batches, mut extents, .. }, base)) = sequenced else {
        let batches = unknown_partition_receipt(range).batches;
        return StepRange { partition, known: false, batches, extents: Vec::new() };
    };
    for batch in &mut batches {
        if let BatchReceipt::Appended { base_offset, .. } = batch {
            base_offset.0 -= base.0;
        }
    }
    for extent in &mut extents {
        extent.base_offset.0 -= base.0;
        extent.last_offset.0 -= base.0;
    }
    StepRange { partition, known: true, batches, extents }
}

impl CommitPlan {
    fn push_partition(&mut self, range: &StepRange) {
        self.topic_ids.push(range.partition.topic_id.0);
        self.partitions.push(range.partition.partition.0);
        self.records.push(range.extents.last().map_or(0, |extent| extent.last_offset.0 + 1));
        self.bytes.push(range.extents.iter().map(|extent| i64::from(extent.bytes.length)).sum());
        self.maxima.push(range.extents.iter().map(|extent| extent.max_timestamp.0).max().unwrap_or(i64::MIN));
    }
}

impl ExtentColumns {
    fn push(&mut self, place: i32, range: &StepRange) {
        let mut running = i64::MIN;
        for extent in &range.extents {
            running = running.max(extent.max_timestamp.0);
            self.range.push(place);
            self.base.push(extent.base_offset.0);
            self.last.push(extent.last_offset.0);
            self.position.push(signed(extent.bytes.position));
            self.length.push(i64::from(extent.bytes.length));
            self.crc.push(i64::from(extent.crc));
            self.max_timestamp.push(extent.max_timestamp.0);
            self.running.push(running);
        }
    }
}

/// What one producer adds to a partition.
struct Claim {
    first: ProducerBatch,
    last: ProducerBatch,
    next_sequence: i32,
    records: i64,
    /// Batches of the last epoch.
    batches: Vec<[u8; 16]>,
}

impl Claim {
    fn add(&mut self, batch: ProducerBatch, record_count: u32, offset: Offset) {
        if batch.producer_epoch != self.last.producer_epoch {
            self.batches.clear();
            self.records = 0;
        }
        let last_sequence = batch.base_sequence.plus(record_count.saturating_sub(1));
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&batch.base_sequence.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&last_sequence.0.to_be_bytes());
        bytes[8..].copy_from_slice(&offset.0.to_be_bytes());
        self.batches.push(bytes);
        self.records += i64::from(record_count.max(1));
        self.next_sequence = last_sequence.plus(1).0;
        self.last = batch;
    }
}

impl ClaimColumns {
    fn push(&mut self, place: i32, commit: &RangeCommit, range: &StepRange) {
        let mut claims: BTreeMap<ProducerId, Claim> = BTreeMap::new();
        for (batch, receipt) in commit.batches.iter().zip(&range.batches) {
            let (Some(producer), BatchReceipt::Appended { base_offset, .. }) = (batch.producer, receipt) else {
                continue;
            };
            let claim = claims.entry(producer.producer_id).or_insert_with(|| Claim {
                first: producer,
                last: producer,
                next_sequence: 0,
                records: 0,
                batches: Vec::new(),
            });
            claim.add(producer, batch.record_count, *base_offset);
        }
        for (producer_id, claim) in claims {
            self.range.push(place);
            self.producer.push(producer_id.0);
            self.first_epoch.push(claim.first.producer_epoch.0);
            self.first_sequence.push(claim.first.base_sequence.0);
            self.epoch.push(claim.last.producer_epoch.0);
            self.next_sequence.push(claim.next_sequence);
            self.records.push(claim.records);
            let remembered = claim.batches.len().saturating_sub(REMEMBERED_BATCHES);
            self.batches.push(claim.batches[remembered..].concat());
        }
    }
}

impl<'a> DocumentColumns<'a> {
    /// The columns of a write.
    pub(super) fn new(write: &'a DocumentWrite) -> Self {
        let mut columns = Self::default();
        for put in &write.puts {
            columns.kinds.push(put.key.kind.as_str());
            columns.names.push(put.key.name.as_bytes());
            columns.expects.push(match put.expect {
                Expect::Any => -1,
                Expect::Absent => 0,
                // No document has a version that does not fit, nor 0: neither can be met.
                Expect::Version(version) => i64::try_from(version.0).ok().filter(|v| *v > 0).unwrap_or(-2),
            });
            let (change, body): (i16, &[u8]) = match &put.change {
                DocumentChange::Check => (0, &[]),
                DocumentChange::Put(body) => (1, body),
                DocumentChange::Delete => (2, &[]),
            };
            columns.changes.push(change);
            columns.bodies.push(body);
        }
        columns
    }
}
