//! Collects admitted batches until they become an object. Shares the producers' bytes, never joins them.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::log::append::admit::BatchFacts;
use crate::log::append::pressure::Charge;
use crate::log::append::values::AppendOutcome;
use crate::model::producer::{ProducerId, Sequence};
use crate::model::topic::TopicIdPartition;

/// A batch on its way into the log.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub partition: TopicIdPartition,
    pub records: Bytes,
    pub facts: BatchFacts,
    /// Whoever waits is answered by then; the batch itself may still be on its way.
    pub deadline: Instant,
    /// Since when it waits for the batch before it, if it does.
    pub gap_since: Option<Instant>,
    pub answer: oneshot::Sender<AppendOutcome>,
    /// Gives the bytes back to the budget when the batch is done with.
    pub _charge: Charge,
}

impl Admitted {
    pub(crate) fn byte_size(&self) -> u64 {
        self.records.len() as u64
    }

    /// Tells whoever waits; nobody may.
    pub(crate) fn answer(self, outcome: AppendOutcome) {
        // The caller may have given up; the append stands all the same.
        let _ = self.answer.send(outcome);
    }

    /// Whether `self` continues the same producer's `other` (same epoch, a later sequence).
    pub(crate) fn follows(&self, other: &Self) -> bool {
        let (Some(mine), Some(theirs)) = (self.facts.producer, other.facts.producer) else { return false };
        mine.producer_id == theirs.producer_id
            && mine.producer_epoch == theirs.producer_epoch
            && is_later(mine.base_sequence, theirs.base_sequence)
    }

    pub(crate) fn producer_id(&self) -> Option<ProducerId> {
        self.facts.producer.map(|batch| batch.producer_id)
    }
}

/// Whether `sequence` comes after `other`, around the wrap: at most half of all sequences lie between them.
fn is_later(sequence: Sequence, other: Sequence) -> bool {
    let distance = (i64::from(sequence.0) - i64::from(other.0)) & i64::from(i32::MAX);
    distance != 0 && distance < (1 << 30)
}

/// A partition's batches, in order of admission.
pub(crate) type PartitionBatches = (TopicIdPartition, Vec<Admitted>);

/// The batches of the next object.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    partitions: BTreeMap<TopicIdPartition, Vec<Admitted>>,
    bytes: u64,
    since: Option<Instant>,
}

impl Buffer {
    /// Bytes in it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the first of them came.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Adds a batch behind the others of its partition, but before later ones of its own producer: a batch that had
    /// to wait for the one before it comes back in between.
    pub(crate) fn push(&mut self, batch: Admitted, now: Instant) {
        self.bytes += batch.byte_size();
        self.since.get_or_insert(now);
        let batches = self.partitions.entry(batch.partition).or_default();
        let place = if batch.facts.producer.is_some() {
            batches.iter().position(|other| other.follows(&batch)).unwrap_or(batches.len())
        } else {
            batches.len()
        };
        batches.insert(place, batch);
    }

    /// Takes everything, sorted by partition.
    pub(crate) fn take(&mut self) -> Vec<PartitionBatches> {
        let taken = std::mem::take(self);
        taken.partitions.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::log::append::pressure::Pressure;
    use crate::metastore::values::ProducerBatch;
    use crate::model::producer::ProducerEpoch;
    use crate::model::topic::{PartitionIndex, TopicId};
    use uuid::Uuid;

    fn batch(partition: i32, name: &'static str, sequence: Option<i32>) -> Admitted {
        let producer = sequence.map(|sequence| ProducerBatch {
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(sequence),
        });
        Admitted {
            partition: TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(partition)),
            records: Bytes::from_static(name.as_bytes()),
            facts: BatchFacts { record_count: 1, max_timestamp: Timestamp(0), producer, stamped: false },
            deadline: Instant::now(),
            gap_since: None,
            answer: oneshot::channel().0,
            _charge: Pressure::new(1).charge(0),
        }
    }

    fn check(batches: Vec<Admitted>, expected: &[(i32, &[&str])]) {
        let mut buffer = Buffer::default();
        let bytes: u64 = batches.iter().map(Admitted::byte_size).sum();
        let now = Instant::now();
        for batch in batches {
            buffer.push(batch, now);
        }
        assert_eq!((buffer.bytes(), buffer.since()), (bytes, Some(now)));
        let taken = buffer.take();
        let names: Vec<(i32, Vec<&str>)> = taken
            .iter()
            .map(|(partition, batches)| {
                let names = batches.iter().map(|batch| std::str::from_utf8(&batch.records).expect("text")).collect();
                (partition.partition.0, names)
            })
            .collect();
        let expected: Vec<(i32, Vec<&str>)> = expected.iter().map(|(index, names)| (*index, names.to_vec())).collect();
        assert_eq!(names, expected);
        assert_eq!((buffer.bytes(), buffer.since()), (0, None));
    }

    #[test]
    fn partitions_are_sorted_and_batches_keep_their_order() {
        let batches = vec![batch(2, "a", None), batch(1, "b", None), batch(2, "c", None)];
        check(batches, &[(1, &["b"]), (2, &["a", "c"])]);
    }

    #[test]
    fn a_batch_that_had_to_wait_goes_before_its_successors_only() {
        let batches = vec![batch(0, "other", None), batch(0, "eleven", Some(11)), batch(0, "ten", Some(10))];
        check(batches, &[(0, &["other", "ten", "eleven"])]);
        let wrapped = vec![batch(0, "zero", Some(0)), batch(0, "last", Some(i32::MAX))];
        check(wrapped, &[(0, &["last", "zero"])]);
        let repeated = vec![batch(0, "first", Some(5)), batch(0, "again", Some(5))];
        check(repeated, &[(0, &["first", "again"])]);
    }
}
