use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition};

const PRODUCER: ProducerId = ProducerId(7);

fn batch(producer_epoch: i16, base_sequence: i32, record_count: u32) -> BatchCommit {
    BatchCommit {
        length: 100,
        crc: 1,
        record_count,
        max_timestamp: Timestamp(5),
        producer: Some(ProducerBatch {
            producer_id: PRODUCER,
            producer_epoch: ProducerEpoch(producer_epoch),
            base_sequence: Sequence(base_sequence),
            begins_anywhere: false,
        }),
    }
}

/// A batch that waited for what might come before it.
fn waited(producer_epoch: i16, base_sequence: i32, record_count: u32) -> BatchCommit {
    let mut batch = batch(producer_epoch, base_sequence, record_count);
    batch.producer.as_mut().unwrap().begins_anywhere = true;
    batch
}

fn range(batches: Vec<BatchCommit>) -> RangeCommit {
    let partition = TopicIdPartition::new(TopicId(Uuid::nil()), PartitionIndex(0));
    RangeCommit { partition, position: 50, batches }
}

/// Writes each batch alone and answers what became of the last.
fn after(batches: &[BatchCommit]) -> BatchReceipt {
    let mut producers = BTreeMap::new();
    let mut head = PartitionHead::default();
    let mut last = BatchReceipt::Refused(BatchRefusal::UnknownPartition);
    for batch in batches {
        let sequenced = sequence_range(
            head,
            &mut producers,
            &"object".into(),
            &range(vec![*batch]),
            Timestamp(head.high_watermark.0),
        );
        head = sequenced.head;
        last = sequenced.batches[0];
    }
    last
}

fn appended(base_offset: i64, append_time: i64) -> BatchReceipt {
    BatchReceipt::Appended { base_offset: Offset(base_offset), append_time: Timestamp(append_time) }
}

fn out_of_order(expected: i32) -> BatchReceipt {
    BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence { expected: Sequence(expected) })
}

#[test]
fn unknown_producer_begins_at_zero_or_after_a_wait_and_goes_on_without_gaps() {
    assert_eq!(after(&[batch(3, 0, 2)]), appended(0, 0));
    assert_eq!(after(&[batch(0, 42, 2)]), out_of_order(0));
    assert_eq!(after(&[batch(0, 1, 1), batch(0, 0, 1), batch(0, 1, 1)]), appended(1, 1));
    assert_eq!(after(&[waited(0, 42, 2)]), appended(0, 0));
    assert_eq!(after(&[waited(0, 42, 2), batch(0, 44, 1)]), appended(2, 2));
    assert_eq!(after(&[waited(0, 42, 2), batch(0, 45, 1)]), out_of_order(44));
    assert_eq!(after(&[waited(0, 42, 2), batch(0, 41, 1)]), out_of_order(44));
}

#[test]
fn a_known_producer_gains_nothing_by_waiting() {
    assert_eq!(after(&[batch(0, 0, 2), waited(0, 3, 1)]), out_of_order(2));
    assert_eq!(after(&[batch(3, 0, 2), waited(4, 2, 1)]), out_of_order(0));
}

#[test]
fn a_duplicate_among_the_last_five_gets_its_offset_again() {
    let six: Vec<_> = (0..6).map(|index| batch(0, index * 2, 2)).collect();
    for index in 1..6 {
        let mut all = six.clone();
        all.push(six[index]);
        let offset = 2 * i64::try_from(index).unwrap();
        let expected = BatchReceipt::Duplicate { base_offset: Offset(offset), append_time: Timestamp(offset) };
        assert_eq!(after(&all), expected);
    }
    let mut forgotten = six.clone();
    forgotten.push(six[0]);
    assert_eq!(after(&forgotten), BatchReceipt::Refused(BatchRefusal::DuplicateSequence));
}

#[test]
fn a_sequence_that_was_never_written_is_no_forgotten_duplicate() {
    let mut batches: Vec<_> = (0..6).map(|index| waited(0, 100 + index, 1)).collect();
    batches.push(batch(0, 50, 1));
    assert_eq!(after(&batches), out_of_order(106));
    *batches.last_mut().unwrap() = batch(0, 99, 1);
    assert_eq!(after(&batches), out_of_order(106));
    *batches.last_mut().unwrap() = batch(0, 99, 2);
    assert_eq!(after(&batches), out_of_order(106));
    *batches.last_mut().unwrap() = batch(0, 100, 1);
    assert_eq!(after(&batches), BatchReceipt::Refused(BatchRefusal::DuplicateSequence));
}

#[test]
fn a_batch_of_another_shape_at_a_known_sequence_is_out_of_order() {
    assert_eq!(after(&[batch(0, 0, 4), batch(0, 0, 3)]), out_of_order(4));
    assert_eq!(after(&[batch(0, 0, 4), batch(0, 2, 4)]), out_of_order(4));
}

#[test]
fn epochs_only_rise_and_begin_at_zero() {
    assert_eq!(after(&[waited(3, 9, 1), batch(4, 0, 1)]), appended(1, 1));
    assert_eq!(after(&[waited(3, 9, 1), batch(4, 10, 1)]), out_of_order(0));
    let fenced = BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch { current: ProducerEpoch(4) });
    assert_eq!(after(&[waited(3, 9, 1), batch(4, 0, 1), batch(3, 10, 1)]), fenced);
    assert_eq!(after(&[waited(3, 9, 1), batch(4, 0, 1), batch(3, 9, 1)]), fenced);
    assert_eq!(
        after(&[waited(3, 9, 1), batch(4, 0, 2), batch(4, 0, 2)]),
        BatchReceipt::Duplicate { base_offset: Offset(1), append_time: Timestamp(1) }
    );
}

#[test]
fn sequences_wrap_after_the_largest_integer() {
    assert_eq!(after(&[waited(0, i32::MAX, 1), batch(0, 0, 1)]), appended(1, 1));
    assert_eq!(after(&[waited(0, i32::MAX - 1, 4), batch(0, 2, 1)]), appended(4, 4));
    assert_eq!(after(&[waited(0, i32::MAX - 1, 4), batch(0, 1, 1)]), out_of_order(2));
    let mut batches: Vec<_> = (0..7).map(|index| waited(0, (i32::MAX - 2).wrapping_add(index) & i32::MAX, 1)).collect();
    batches.push(batch(0, i32::MAX - 1, 1));
    assert_eq!(after(&batches), BatchReceipt::Refused(BatchRefusal::DuplicateSequence));
}

#[test]
fn a_refused_or_repeated_batch_splits_the_extent() {
    let mut producers = BTreeMap::new();
    let batches = vec![batch(0, 0, 2), batch(0, 2, 3), batch(0, 9, 1), batch(0, 5, 1), batch(0, 0, 2), batch(0, 6, 1)];
    let sequenced =
        sequence_range(PartitionHead::default(), &mut producers, &"object".into(), &range(batches), Timestamp(11));
    let shape: Vec<_> = sequenced
        .extents
        .iter()
        .map(|extent| (extent.base_offset.0, extent.last_offset.0, extent.bytes.position, extent.bytes.length))
        .collect();
    assert_eq!(shape, [(0, 4, 50, 200), (5, 5, 350, 100), (6, 6, 550, 100)]);
    assert_eq!(sequenced.head.high_watermark, Offset(7));
    assert_eq!(sequenced.head.byte_size, 400);
}

#[test]
fn append_time_never_goes_back() {
    let head = PartitionHead { append_time: Timestamp(100), ..PartitionHead::default() };
    let sequenced =
        sequence_range(head, &mut BTreeMap::new(), &"object".into(), &range(vec![batch(0, 0, 1)]), Timestamp(90));
    assert_eq!(sequenced.extents[0].append_time, Timestamp(100));
}

#[test]
fn an_extent_holds_at_most_what_its_length_can_say() {
    let huge = BatchCommit { length: u32::MAX - 10, producer: None, ..batch(0, 0, 1) };
    let sequenced = sequence_range(
        PartitionHead::default(),
        &mut BTreeMap::new(),
        &"object".into(),
        &range(vec![huge, huge]),
        Timestamp(1),
    );
    assert_eq!(sequenced.extents.len(), 2);
    assert_eq!(sequenced.extents[1].bytes.position, 50 + u64::from(u32::MAX - 10));
}

proptest! {
    #[test]
    fn combined_crc_is_the_crc_of_the_joined_bytes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8)) {
        let crc = |bytes: &[u8]| u32::try_from(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes)).unwrap();
        let batches = pieces
            .iter()
            .map(|piece| BatchCommit {
                length: u32::try_from(piece.len()).unwrap(),
                crc: crc(piece),
                record_count: 1,
                max_timestamp: Timestamp::NONE,
                producer: None,
            })
            .collect();
        let sequenced =
            sequence_range(PartitionHead::default(), &mut BTreeMap::new(), &"object".into(), &range(batches), Timestamp(1));
        prop_assert_eq!(sequenced.extents.len(), 1);
        prop_assert_eq!(sequenced.extents[0].crc, crc(&pieces.concat()));
    }

    /// However batches are repeated and shuffled, offsets are dense, and whatever was appended once is never
    /// appended twice in one epoch (the sequence space is far larger than what is written here).
    #[test]
    fn nothing_is_appended_twice_in_one_epoch(
        picks in prop::collection::vec((0_i16..3, 0_i32..12, any::<bool>()), 1..120),
    ) {
        let mut producers = BTreeMap::new();
        let mut head = PartitionHead::default();
        let mut seen = std::collections::BTreeSet::new();
        for (producer_epoch, index, has_waited) in picks {
            let before = head.high_watermark;
            let one = if has_waited { waited } else { batch };
            let sequenced = sequence_range(
                head,
                &mut producers,
                &"object".into(),
                &range(vec![one(producer_epoch, index * 2, 2)]),
                Timestamp(1),
            );
            head = sequenced.head;
            if let BatchReceipt::Appended { base_offset, .. } = sequenced.batches[0] {
                prop_assert!(before > Offset(0) || has_waited || index == 0, "the first batch of all");
                prop_assert_eq!(base_offset, before);
                prop_assert_eq!(head.high_watermark, before.plus(2));
                prop_assert!(seen.insert((producer_epoch, index)));
            } else {
                prop_assert_eq!(head.high_watermark, before);
            }
        }
        for state in producers.values() {
            prop_assert!((1..=REMEMBERED_BATCHES).contains(&state.batches.len()));
        }
    }
}
