use proptest::prelude::*;

use super::*;

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn offset() -> impl Strategy<Value = Offset> {
    any::<i64>().prop_map(Offset)
}

fn head() -> impl Strategy<Value = PartitionHead> {
    (offset(), offset(), any::<u64>(), time()).prop_map(|(log_start_offset, high_watermark, byte_size, append_time)| {
        PartitionHead { log_start_offset, high_watermark, byte_size, append_time }
    })
}

fn extent() -> impl Strategy<Value = Extent> {
    (offset(), offset(), "\\PC{0,30}", any::<(u64, u32, u32)>(), time(), time()).prop_map(
        |(base_offset, last_offset, object, (position, length, crc), max_timestamp, append_time)| Extent {
            base_offset,
            last_offset,
            object: object.as_str().into(),
            bytes: ByteRange { position, length },
            crc,
            max_timestamp,
            append_time,
        },
    )
}

fn batch() -> impl Strategy<Value = BatchReceipt> {
    prop_oneof![
        (offset(), time()).prop_map(|(base_offset, append_time)| BatchReceipt::Appended { base_offset, append_time }),
        (offset(), time()).prop_map(|(base_offset, append_time)| BatchReceipt::Duplicate { base_offset, append_time }),
        Just(BatchReceipt::Refused(BatchRefusal::UnknownPartition)),
        Just(BatchReceipt::Refused(BatchRefusal::DuplicateSequence)),
        any::<i32>()
            .prop_map(|next| BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence { expected: Sequence(next) })),
        any::<i16>().prop_map(|epoch| {
            BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch { current: ProducerEpoch(epoch) })
        }),
    ]
}

fn receipts() -> impl Strategy<Value = CommitReceipt> {
    let range = (
        any::<u128>(),
        any::<i32>(),
        head(),
        prop::collection::vec(batch(), 0..4),
        prop::collection::vec(extent(), 0..3),
    );
    let range = range.prop_map(|(topic, index, head, batches, extents)| RangeReceipt {
        partition: TopicIdPartition::new(TopicId(Uuid::from_u128(topic)), PartitionIndex(index)),
        bounds: head.bounds(),
        batches,
        extents,
    });
    (time(), prop::collection::vec(range, 0..4))
        .prop_map(|(committed_at, ranges)| CommitReceipt { committed_at, ranges })
}

fn producers() -> impl Strategy<Value = ProducerState> {
    let remembered = (any::<(i32, i32)>(), offset(), time()).prop_map(|((base, last), base_offset, append_time)| {
        RememberedBatch { base_sequence: Sequence(base), last_sequence: Sequence(last), base_offset, append_time }
    });
    (any::<i16>(), any::<u32>(), time(), prop::collection::vec(remembered, 0..6)).prop_map(
        |(epoch, forgotten_records, last_write, batches)| ProducerState {
            producer_epoch: ProducerEpoch(epoch),
            batches: batches.into(),
            forgotten_records,
            last_write,
        },
    )
}

fn nodes() -> impl Strategy<Value = Registration> {
    (any::<(i32, i64, u128, u16, u32, bool)>(), ".{0,20}", prop::option::of(".{0,9}")).prop_map(
        |((id, epoch, incarnation, port, session_ms, ended), host, rack)| Registration {
            record: NodeRecord {
                identity: NodeIdentity { node_id: NodeId(id), node_epoch: NodeEpoch(epoch) },
                incarnation: Uuid::from_u128(incarnation),
                endpoint: Endpoint { host, port },
                rack: rack.map(|rack| Rack(rack.as_str().into())),
                draining: false,
                expires_at: Timestamp(i64::MIN),
            },
            session_ms,
            ended,
        },
    )
}

fn topics() -> impl Strategy<Value = TopicRecord> {
    let configs = prop::collection::btree_map(".{0,9}", ".{0,9}", 0..4);
    (any::<(u128, i32, i16)>(), "[a-z]{1,30}", time(), configs).prop_map(
        |((topic, partition_count, replication_factor), name, created_at, configs)| TopicRecord {
            topic_id: TopicId(Uuid::from_u128(topic)),
            name: TopicName::new(&name).unwrap(),
            partition_count,
            replication_factor,
            created_at,
            configs,
        },
    )
}

proptest! {
    #[test]
    fn records_read_back(
        head in head(), extent in extent(), receipt_in in receipts(), state in producers(), node_in in nodes(),
        topic_in in topics(), time in time(), count in any::<u32>(), left in prop::option::of(time()),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
    ) {
        let stored = StoredHead { head, largest_timestamp: time };
        prop_assert_eq!(StoredHead::from_bytes(&stored.to_bytes()).unwrap(), stored);
        let stored = StoredExtent { extent, largest_timestamp: time };
        prop_assert_eq!(StoredExtent::from_bytes(stored.extent.last_offset, &stored.to_bytes()).unwrap(), stored);
        prop_assert_eq!(receipt(&receipt_bytes(&receipt_in)).unwrap(), receipt_in);
        prop_assert_eq!(producer(&producer_bytes(&state)).unwrap(), state);
        prop_assert_eq!(node(&node_bytes(&node_in)).unwrap(), node_in);
        prop_assert_eq!(topic(&topic_bytes(&topic_in)).unwrap(), topic_in.clone());
        prop_assert_eq!(configs(&configs_bytes(&topic_in.configs)).unwrap(), topic_in.configs);
        let stored = StoredObject::Committed { extent_count: count, byte_size: 7, committed_at: time, dereferenced_at: left };
        prop_assert_eq!(StoredObject::from_bytes(&stored.to_bytes()).unwrap(), stored);
        let stored = StoredDocument { version: u64::from(count), body: body.map(Bytes::from) };
        prop_assert_eq!(StoredDocument::from_bytes(&Bytes::from(stored.to_bytes())).unwrap(), stored);
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), known_version in any::<bool>()) {
        if known_version && let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let _ = (StoredHead::from_bytes(&bytes), StoredExtent::from_bytes(Offset(0), &bytes), receipt(&bytes));
        let _ = (producer(&bytes), node(&bytes), topic(&bytes), configs(&bytes), number("x", &bytes), uuid("x", &bytes));
        let _ = (StoredObject::from_bytes(&bytes), StoredDocument::from_bytes(&Bytes::from(bytes)));
    }

    #[test]
    fn a_cut_record_is_unreadable(state in producers(), cut in any::<prop::sample::Index>()) {
        let bytes = producer_bytes(&state);
        prop_assert!(producer(&bytes[..cut.index(bytes.len())]).is_err());
    }
}

#[test]
fn stored_bytes_do_not_change() {
    let extent = StoredExtent {
        extent: Extent {
            base_offset: Offset(1),
            last_offset: Offset(2),
            object: "ab".into(),
            bytes: ByteRange { position: 3, length: 4 },
            crc: 5,
            max_timestamp: Timestamp(6),
            append_time: Timestamp(7),
        },
        largest_timestamp: Timestamp(8),
    };
    let mut expected = vec![1];
    for number in [8_u64, 1, 3] {
        expected.extend(number.to_be_bytes());
    }
    expected.extend([0, 0, 0, 4, 0, 0, 0, 5]);
    for number in [6_u64, 7] {
        expected.extend(number.to_be_bytes());
    }
    expected.extend(*b"\0\0\0\x02ab");
    assert_eq!(extent.to_bytes(), expected);
}
