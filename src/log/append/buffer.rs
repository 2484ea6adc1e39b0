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

    /// Whether a partition that knows nothing of the producer would let it begin with this batch.
    pub(crate) fn begins_anywhere(&self) -> bool {
        self.facts.producer.is_none_or(|producer| producer.begins_anywhere)
    }

    /// It has waited for its predecessors: a partition that knows nothing of the producer lets it begin here.
    pub(crate) fn let_begin(&mut self) {
        if let Some(producer) = &mut self.facts.producer {
            producer.begins_anywhere = true;
        }
    }

    pub(crate) fn producer_id(&self) -> Option<ProducerId> {
        self.facts.producer.map(|batch| batch.producer_id)
    }

    pub(crate) fn producer_key(&self) -> Option<ProducerKey> {
        self.producer_id().map(|producer_id| (self.partition, producer_id))
    }
}

/// Puts a batch before the first one that follows it. Lists are short: a producer has few batches in flight.
pub(crate) fn insert_in_sequence(batches: &mut Vec<Admitted>, batch: Admitted) {
    let place = batches.iter().position(|other| other.follows(&batch)).unwrap_or(batches.len());
    batches.insert(place, batch);
}

/// Whether `sequence` comes after `other`, around the wrap: at most half of all sequences lie between them.
fn is_later(sequence: Sequence, other: Sequence) -> bool {
    let distance = (i64::from(sequence.0) - i64::from(other.0)) & i64::from(i32::MAX);
    distance != 0 && distance < (1 << 30)
}

/// One producer in one partition.
pub(crate) type ProducerKey = (TopicIdPartition, ProducerId);

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

    /// Adds a batch behind the others of its partition.
    pub(crate) fn push(&mut self, batch: Admitted, now: Instant) {
        self.bytes += batch.byte_size();
        self.since.get_or_insert(now);
        self.partitions.entry(batch.partition).or_default().push(batch);
    }

    /// Adds a producer's batches that had to wait, in order of sequence with those of its batches that came meanwhile.
    pub(crate) fn rejoin(&mut self, (partition, producer_id): ProducerKey, waited: Vec<Admitted>, now: Instant) {
        let batches = self.partitions.entry(partition).or_default();
        let (later, others) =
            std::mem::take(batches).into_iter().partition(|batch| batch.producer_id() == Some(producer_id));
        *batches = others;
        let later: Vec<Admitted> = later;
        self.bytes -= later.iter().map(Admitted::byte_size).sum::<u64>();
        let mut ordered = waited;
        for batch in later {
            insert_in_sequence(&mut ordered, batch);
        }
        for batch in ordered {
            self.push(batch, now);
        }
        self.partitions.retain(|_, batches| !batches.is_empty());
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
            begins_anywhere: false,
        });
        Admitted {
            partition: TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(partition)),
            records: Bytes::from_static(name.as_bytes()),
            facts: BatchFacts { crc: 0, record_count: 1, max_timestamp: Timestamp(0), producer, stamped: false },
            deadline: Instant::now(),
            gap_since: None,
            answer: oneshot::channel().0,
            _charge: Pressure::new(1).charge(0),
        }
    }

    /// What the buffer gives, by partition.
    fn taken(buffer: &mut Buffer) -> Vec<(i32, Vec<String>)> {
        let name = |batch: &Admitted| String::from_utf8_lossy(&batch.records).into_owned();
        let taken = buffer.take();
        assert_eq!((buffer.bytes(), buffer.since()), (0, None));
        taken.iter().map(|(at, batches)| (at.partition.0, batches.iter().map(name).collect())).collect()
    }

    #[test]
    fn partitions_are_sorted_and_batches_keep_their_order() {
        let (mut buffer, now) = (Buffer::default(), Instant::now());
        for batch in [batch(2, "a", None), batch(1, "b", None), batch(2, "c", None)] {
            buffer.push(batch, now);
        }
        assert_eq!((buffer.bytes(), buffer.since()), (3, Some(now)));
        let expected = [(1, vec!["b".to_owned()]), (2, vec!["a".to_owned(), "c".to_owned()])];
        assert_eq!(taken(&mut buffer), expected);
    }

    #[test]
    fn batches_that_had_to_wait_go_before_their_successors() {
        fn check(came: Vec<Admitted>, waited: Vec<Admitted>, expected: &[&str]) {
            let (mut buffer, now) = (Buffer::default(), Instant::now());
            let bytes: u64 = came.iter().chain(&waited).map(Admitted::byte_size).sum();
            let key = (waited[0].partition, ProducerId(1));
            for batch in came {
                buffer.push(batch, now);
            }
            buffer.rejoin(key, waited, now);
            assert_eq!(buffer.bytes(), bytes);
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(taken(&mut buffer), [(0, expected)]);
        }
        let twelve = || batch(0, "twelve", Some(12));
        let waited = || vec![batch(0, "ten", Some(10)), batch(0, "eleven", Some(11))];
        check(vec![], waited(), &["ten", "eleven"]);
        check(vec![batch(0, "other", None), twelve()], waited(), &["other", "ten", "eleven", "twelve"]);
        check(vec![batch(0, "nine", Some(9))], waited(), &["nine", "ten", "eleven"]);
        check(vec![batch(0, "again", Some(10))], waited(), &["ten", "again", "eleven"]);
        check(vec![batch(0, "zero", Some(0))], vec![batch(0, "last", Some(i32::MAX))], &["last", "zero"]);
    }
}
