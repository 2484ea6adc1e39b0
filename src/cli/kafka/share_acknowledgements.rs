//! What a member says of the records it got, gathered until a request carries it.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::share::values::AcknowledgeType;
use crate::wire::share::acknowledgements::AcknowledgedBatch;

/// A partition as share requests name it: the topic's id and the partition's number.
pub type PartitionKey = (Uuid, i32);

/// Acknowledgements of some partitions that no request has carried yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgements(BTreeMap<PartitionKey, BTreeMap<i64, AcknowledgeType>>);

impl Acknowledgements {
    /// Says what becomes of one offset; the last word counts.
    pub fn add(&mut self, partition: PartitionKey, offset: i64, kind: AcknowledgeType) {
        self.0.entry(partition).or_default().insert(offset, kind);
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Partitions with something to say.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionKey> + '_ {
        self.0.keys().copied()
    }

    /// The offsets of a partition in order.
    #[must_use]
    pub fn offsets(&self, partition: PartitionKey) -> Vec<i64> {
        self.0.get(&partition).map(|offsets| offsets.keys().copied().collect()).unwrap_or_default()
    }

    /// A partition's acknowledgements as a request carries them: ascending ranges, each with one type.
    #[must_use]
    pub fn batches(&self, partition: PartitionKey) -> Vec<AcknowledgedBatch> {
        let mut runs: Vec<(i64, i64, AcknowledgeType)> = Vec::new();
        for (offset, kind) in self.0.get(&partition).into_iter().flatten() {
            match runs.last_mut() {
                Some((_, last, of)) if *last + 1 == *offset && of == kind => *last = *offset,
                _ => runs.push((*offset, *offset, *kind)),
            }
        }
        let batch = |(first_offset, last_offset, kind)| AcknowledgedBatch {
            first_offset,
            last_offset,
            types: Bytes::copy_from_slice(&[code(kind)]),
        };
        runs.into_iter().map(batch).collect()
    }
}

/// Kafka's number of a type.
fn code(kind: AcknowledgeType) -> u8 {
    match kind {
        AcknowledgeType::Gap => 0,
        AcknowledgeType::Accept => 1,
        AcknowledgeType::Release => 2,
        AcknowledgeType::Reject => 3,
        AcknowledgeType::Renew => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_type_are_one_range() {
        let partition = (Uuid::from_u128(1), 3);
        let mut acknowledgements = Acknowledgements::default();
        for offset in [7, 5, 6, 9, 10] {
            acknowledgements.add(partition, offset, AcknowledgeType::Accept);
        }
        acknowledgements.add(partition, 10, AcknowledgeType::Reject);
        let found: Vec<_> = acknowledgements
            .batches(partition)
            .into_iter()
            .map(|batch| (batch.first_offset, batch.last_offset, batch.types.to_vec()))
            .collect();
        assert_eq!(found, [(5, 7, vec![1]), (9, 9, vec![1]), (10, 10, vec![3])]);
        assert_eq!(acknowledgements.offsets(partition), [5, 6, 7, 9, 10]);
        assert!(acknowledgements.batches((Uuid::nil(), 0)).is_empty());
    }
}
