//! Acknowledgements as requests carry them: merged by partition, and judged as far as that takes no state.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::api::lookup::TopicRef;
use crate::coordinator::share::values::{AcknowledgeType, AcknowledgementBatch, PartitionAcknowledgement};
use crate::metastore::values::CatalogSnapshot;
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use crate::wire::share::acknowledgements::{AcknowledgedBatch, ShareTopic};

/// Which types a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypesAllowed {
    /// Whether the version knows `Renew` (v2, KIP-1222).
    pub knows_renew: bool,
    /// Whether the request says that it renews.
    pub is_renew: bool,
}

/// A partition that a request names, with all that it says of it. Exists or not: that is judged later.
pub type Named = (TopicIdPartition, Vec<AcknowledgedBatch>);

/// Partitions in the order in which they are named first; what is said of one in several places is joined.
#[must_use]
pub fn merged(topics: &[ShareTopic]) -> Vec<Named> {
    let mut named: Vec<Named> = Vec::new();
    let mut places: BTreeMap<(Uuid, i32), usize> = BTreeMap::new();
    for topic in topics {
        for partition in &topic.partitions {
            let place = *places.entry((topic.topic_id, partition.partition)).or_insert_with(|| {
                let index = PartitionIndex(partition.partition);
                named.push((TopicIdPartition::new(TopicId(topic.topic_id), index), Vec::new()));
                named.len() - 1
            });
            named[place].1.extend(partition.batches.iter().cloned());
        }
    }
    named
}

/// The partition as the catalog has it.
///
/// # Errors
/// `UNKNOWN_TOPIC_ID` or `UNKNOWN_TOPIC_OR_PARTITION`.
pub fn existing(snapshot: &Arc<CatalogSnapshot>, partition: TopicIdPartition) -> Result<TopicIdPartition, Failure> {
    let found = TopicRef::Id(partition.topic_id).find_partition(snapshot, partition.partition.0);
    found.map(|(_, partition)| partition).map_err(|condition| {
        let sentence = match condition {
            Condition::UnknownTopicId => format!("there is no topic with the id {}", partition.topic_id),
            _ => format!("topic {} has no partition {}", partition.topic_id, partition.partition),
        };
        Failure::new(condition, sentence)
    })
}

/// What is said of a partition, judged by itself.
///
/// # Errors
/// `INVALID_REQUEST` when ranges are turned round or out of order, or types are missing, too many or not allowed;
/// `INVALID_RECORD_STATE` when one range begins with the record that the range before it ends with: by then that
/// record is not with the member any more.
pub fn checked(
    partition: TopicIdPartition,
    batches: &[AcknowledgedBatch],
    allowed: TypesAllowed,
) -> Result<PartitionAcknowledgement, Failure> {
    let invalid = |sentence: String| Failure::new(Condition::InvalidRequest, sentence);
    let mut previous_last = None;
    let mut named_twice = None;
    let mut checked = Vec::with_capacity(batches.len());
    for AcknowledgedBatch { first_offset, last_offset, types } in batches {
        let (first, last) = (*first_offset, *last_offset);
        if first > last {
            return Err(invalid(format!("the range {first} to {last} ends before it begins")));
        }
        if first < 0 {
            return Err(invalid(format!("the range {first} to {last} begins before the first offset")));
        }
        if let Some(previous) = previous_last.filter(|previous| first < *previous) {
            return Err(invalid(format!("the range {first} to {last} does not come after {previous}")));
        }
        if previous_last == Some(first) {
            named_twice = Some(first);
        }
        previous_last = Some(last);
        let offset_count = u64::try_from(last.saturating_sub(first)).unwrap_or(u64::MAX).saturating_add(1);
        if types.is_empty() {
            return Err(invalid(format!("the range {first} to {last} says nothing of its records")));
        }
        if types.len() > 1 && types.len() as u64 != offset_count {
            let sentence = format!("the range {first} to {last} says something of {} records", types.len());
            return Err(invalid(sentence));
        }
        let types: Result<Vec<AcknowledgeType>, Failure> =
            types.iter().map(|code| acknowledge_type(code.cast_signed(), allowed)).collect();
        checked.push(AcknowledgementBatch { first: Offset(first), last: Offset(last), types: types? });
    }
    if let Some(offset) = named_twice {
        let sentence = format!("the request acknowledges offset {offset} twice");
        return Err(Failure::new(Condition::InvalidRecordState, sentence));
    }
    Ok(PartitionAcknowledgement { partition, batches: checked })
}

fn acknowledge_type(code: i8, allowed: TypesAllowed) -> Result<AcknowledgeType, Failure> {
    match code {
        0 => Ok(AcknowledgeType::Gap),
        1 => Ok(AcknowledgeType::Accept),
        2 => Ok(AcknowledgeType::Release),
        3 => Ok(AcknowledgeType::Reject),
        4 if allowed.knows_renew && allowed.is_renew => Ok(AcknowledgeType::Renew),
        4 if allowed.knows_renew => {
            Err(Failure::new(Condition::InvalidRequest, "records are renewed, but the request does not say so"))
        }
        other => Err(Failure::new(Condition::InvalidRequest, format!("there is no acknowledge type {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::share::acknowledgements::SharePartition;
    use bytes::Bytes;

    const NEWEST: TypesAllowed = TypesAllowed { knows_renew: true, is_renew: false };

    fn batch(first_offset: i64, last_offset: i64, types: &'static [u8]) -> AcknowledgedBatch {
        AcknowledgedBatch { first_offset, last_offset, types: Bytes::from_static(types) }
    }

    fn partition(index: i32) -> TopicIdPartition {
        TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index))
    }

    #[test]
    fn a_topic_that_comes_twice_is_one() {
        let topic = |id, partitions: Vec<(i32, AcknowledgedBatch)>| ShareTopic {
            topic_id: Uuid::from_u128(id),
            partitions: partitions
                .into_iter()
                .map(|(partition, batch)| SharePartition { partition, batches: vec![batch] })
                .collect(),
        };
        let topics = [
            topic(1, vec![(0, batch(0, 0, &[1]))]),
            topic(2, vec![(0, batch(5, 5, &[1]))]),
            topic(1, vec![(1, batch(7, 7, &[1])), (0, batch(1, 1, &[2]))]),
        ];
        let merged = merged(&topics);
        let named: Vec<(u128, i32, Vec<i64>)> = merged
            .iter()
            .map(|(partition, batches)| {
                let firsts = batches.iter().map(|batch| batch.first_offset).collect();
                (partition.topic_id.0.as_u128(), partition.partition.0, firsts)
            })
            .collect();
        assert_eq!(named, [(1, 0, vec![0, 1]), (2, 0, vec![5]), (1, 1, vec![7])]);
    }

    #[test]
    fn legal_acknowledgements_are_taken_as_they_are() {
        let batches = [batch(0, 4, &[1]), batch(5, 7, &[0, 2, 3]), batch(9, 9, &[1])];
        let found = checked(partition(0), &batches, NEWEST).expect("legal");
        let types: Vec<_> = found.batches.iter().map(|batch| batch.types.clone()).collect();
        use AcknowledgeType::{Accept, Gap, Reject, Release};
        assert_eq!(types, [vec![Accept], vec![Gap, Release, Reject], vec![Accept]]);
        assert_eq!((found.batches[1].first, found.batches[1].last), (Offset(5), Offset(7)));
        assert!(checked(partition(0), &[], NEWEST).expect("legal").batches.is_empty());
    }

    #[test]
    fn a_record_that_is_named_twice_is_not_with_the_member_the_second_time() {
        let twice = checked(partition(0), &[batch(0, 4, &[1]), batch(4, 6, &[2])], NEWEST).expect_err("twice");
        assert_eq!(twice.condition, Condition::InvalidRecordState);
        let worse = checked(partition(0), &[batch(0, 4, &[1]), batch(4, 6, &[2]), batch(9, 9, &[9])], NEWEST);
        assert_eq!(worse.expect_err("no such type").condition, Condition::InvalidRequest);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |batches: &[AcknowledgedBatch], allowed, words: &str| {
            let failure = checked(partition(0), batches, allowed).expect_err(words);
            assert_eq!(failure.condition, Condition::InvalidRequest);
            assert!(failure.message.contains(words), "{failure}");
        };
        check(&[batch(5, 4, &[1])], NEWEST, "ends before it begins");
        check(&[batch(0, 4, &[1]), batch(3, 6, &[1])], NEWEST, "does not come after 4");
        check(&[batch(5, 6, &[1]), batch(0, 4, &[1])], NEWEST, "does not come after 6");
        check(&[batch(-1, 4, &[1])], NEWEST, "before the first offset");
        check(&[batch(0, 4, &[])], NEWEST, "says nothing");
        check(&[batch(0, 4, &[1, 1])], NEWEST, "of 2 records");
        check(&[batch(0, i64::MAX, &[1, 1])], NEWEST, "of 2 records");
        check(&[batch(0, 0, &[5])], NEWEST, "no acknowledge type 5");
        check(&[batch(0, 0, &[0xff])], NEWEST, "no acknowledge type -1");
        check(&[batch(0, 0, &[4])], NEWEST, "does not say so");
        check(&[batch(0, 0, &[4])], TypesAllowed { knows_renew: false, is_renew: false }, "no acknowledge type 4");
        let renewing = TypesAllowed { knows_renew: true, is_renew: true };
        let renewed = checked(partition(0), &[batch(0, 1, &[4, 1])], renewing).expect("legal");
        assert_eq!(renewed.batches[0].types, [AcknowledgeType::Renew, AcknowledgeType::Accept]);
    }
}
