use proptest::prelude::*;

use super::*;

fn batch() -> impl Strategy<Value = BatchReceipt> {
    prop_oneof![
        any::<i64>()
            .prop_map(|offset| BatchReceipt::Appended { base_offset: Offset(offset), append_time: Timestamp::NONE }),
        any::<(i64, i64)>().prop_map(|(offset, time)| BatchReceipt::Duplicate {
            base_offset: Offset(offset),
            append_time: Timestamp(time)
        }),
        Just(BatchReceipt::Refused(BatchRefusal::UnknownPartition)),
        any::<i32>().prop_map(|expected| BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence {
            expected: Sequence(expected)
        })),
        Just(BatchReceipt::Refused(BatchRefusal::DuplicateSequence)),
        any::<i16>().prop_map(|current| BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch {
            current: ProducerEpoch(current)
        })),
    ]
}

fn extent() -> impl Strategy<Value = Extent> {
    any::<(i64, i64, u64, u32, u32, i64)>().prop_map(|(base, last, position, length, crc, max_timestamp)| Extent {
        base_offset: Offset(base),
        last_offset: Offset(last),
        object: ObjectKey::from(""),
        bytes: ByteRange { position, length },
        crc,
        max_timestamp: Timestamp(max_timestamp),
        append_time: Timestamp::NONE,
    })
}

fn range() -> impl Strategy<Value = StepRange> {
    let partition = (0_u128..3, any::<i32>());
    let lists = (proptest::collection::vec(batch(), 0..4), proptest::collection::vec(extent(), 0..4));
    (partition, any::<bool>(), lists).prop_map(|((topic, index), known, (batches, extents))| StepRange {
        partition: TopicIdPartition::new(TopicId(Uuid::from_u128(topic)), PartitionIndex(index)),
        known,
        batches,
        extents,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(ranges in proptest::collection::vec(range(), 0..5)) {
        prop_assert_eq!(decode(&encode(&ranges)).expect("readable"), ranges);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut body = vec![FORMAT];
        body.extend(bytes);
        let checksum = crc(&body);
        body.put_u32(checksum);
        let _ = decode(&body);
    }

    #[test]
    fn a_changed_byte_is_noticed(ranges in proptest::collection::vec(range(), 0..3), at in any::<usize>(), bit in 0_u8..8) {
        let mut body = encode(&ranges);
        let at = at % body.len();
        body[at] ^= 1_u8 << bit;
        prop_assert!(decode(&body).is_err());
    }
}

#[test]
fn format_1_reads_as_it_was_written() {
    // One topic, two ranges: an appended batch in one extent, and a refusal of a partition that is not known.
    let golden = [
        1, 2, // format, two ranges
        1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 4, // known, topic, partition 2
        1, 0, 0, // one batch, appended at 0
        1, 0, 18, 0xac, 2, 64, 0xde, 0xad, 0xbe, 0xef,
        1, // one extent: 0–9, position 300, 64 bytes, CRC, no time
        2, 6, // not known, same topic, partition 3
        1, 2, 0, // one batch, unknown partition; no extents
        0x36, 0x6d, 0x4a, 0x42, // CRC-32C of all before
    ];
    let topic_id = TopicId(Uuid::from_bytes([7; 16]));
    let extent = Extent {
        base_offset: Offset(0),
        last_offset: Offset(9),
        object: ObjectKey::from(""),
        bytes: ByteRange { position: 300, length: 64 },
        crc: 0xdead_beef,
        max_timestamp: Timestamp::NONE,
        append_time: Timestamp::NONE,
    };
    let appended = BatchReceipt::Appended { base_offset: Offset(0), append_time: Timestamp::NONE };
    let ranges = vec![
        StepRange {
            partition: TopicIdPartition::new(topic_id, PartitionIndex(2)),
            known: true,
            batches: vec![appended],
            extents: vec![extent],
        },
        StepRange {
            partition: TopicIdPartition::new(topic_id, PartitionIndex(3)),
            known: false,
            batches: vec![BatchReceipt::Refused(BatchRefusal::UnknownPartition)],
            extents: vec![],
        },
    ];
    assert_eq!(encode(&ranges), golden, "{:02x?}", encode(&ranges));
    assert_eq!(decode(&golden).expect("readable"), ranges);

    let columns = StepColumns {
        committed_at: 70,
        log_starts: vec![5],
        high_watermarks: vec![110],
        byte_sizes: vec![640],
        append_times: vec![71],
    };
    let receipt = receipt(&ObjectKey::from("key"), ranges, &columns).expect("complete");
    let first = &receipt.ranges[0];
    assert_eq!(first.batches, [BatchReceipt::Appended { base_offset: Offset(100), append_time: Timestamp(71) }]);
    assert_eq!((first.extents[0].base_offset, first.extents[0].last_offset), (Offset(100), Offset(109)));
    assert_eq!((first.bounds.log_start_offset, first.bounds.byte_size), (Offset(5), 640));
    assert_eq!(receipt.ranges[1].bounds, NO_BOUNDS);
}
