//! Round trips, corruption of every byte, and bytes that were never an object.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::crc::crc32c_of;

fn writer() -> NodeIdentity {
    NodeIdentity { node_id: NodeId(7), node_epoch: NodeEpoch(3) }
}

fn partition(topic: u128, index: i32) -> TopicIdPartition {
    TopicIdPartition::new(TopicId(Uuid::from_u128(topic)), PartitionIndex(index))
}

fn joined(object: &WalObject) -> Vec<u8> {
    object.slices.concat()
}

fn sample() -> WalObject {
    let parts = vec![
        (partition(9, 1), vec![Bytes::from_static(b"nine-one"), Bytes::from_static(b"more")]),
        (partition(2, 5), vec![Bytes::from_static(b"two-five")]),
        (partition(9, 0), vec![Bytes::from_static(b"nine-zero")]),
    ];
    WalObject::build(Uuid::from_u128(0xC1), writer(), parts)
}

/// Everything a reader checks: header, footer, each range's CRC, the body's hash.
fn read_all(bytes: &[u8]) -> Result<(), LayoutError> {
    let header = WalHeader::parse(bytes)?;
    let footer = WalFooter::parse(bytes, bytes.len() as u64)?;
    if header.body_bytes != footer.body_bytes {
        return Err(LayoutError::Corrupt("header and footer disagree"));
    }
    for entry in &footer.entries {
        let range = &bytes[entry.bytes.position as usize..entry.bytes.end() as usize];
        if crc32c(range) != entry.crc {
            return Err(LayoutError::Corrupt("a range fails its CRC"));
        }
    }
    let body = Bytes::copy_from_slice(&bytes[HEADER_BYTES as usize..(HEADER_BYTES + footer.body_bytes) as usize]);
    if footer.matches_body(&[body]) { Ok(()) } else { Err(LayoutError::Corrupt("the body fails its hash")) }
}

#[test]
fn parts_are_sorted_in_the_body_and_answered_in_the_callers_order() {
    let object = sample();
    let bytes = joined(&object);
    assert_eq!(object.byte_size, bytes.len() as u64);
    let text = |range: ByteRange| &bytes[range.position as usize..range.end() as usize];
    assert_eq!(
        object.ranges.iter().map(|range| text(*range)).collect::<Vec<_>>(),
        [b"nine-onemore".as_slice(), b"two-five", b"nine-zero"]
    );
    let footer = WalFooter::parse(&bytes, object.byte_size).expect("it was just built");
    let order: Vec<_> = footer.entries.iter().map(|entry| entry.partition).collect();
    assert_eq!(order, [partition(2, 5), partition(9, 0), partition(9, 1)]);
    assert_eq!(footer.entries[2].crc, crc32c(b"nine-onemore"));
    assert_eq!(footer.entries[2].batch_count, 2);
    let header = WalHeader::parse(&bytes).expect("it was just built");
    assert_eq!((header.cluster_id, header.writer), (Uuid::from_u128(0xC1), writer()));
}

#[test]
fn payload_is_not_copied() {
    let batch = Bytes::from(vec![1_u8; 1000]);
    let object = WalObject::build(Uuid::nil(), writer(), vec![(partition(1, 0), vec![batch.clone()])]);
    assert_eq!(object.slices[1].as_ptr(), batch.as_ptr());
}

#[test]
fn an_object_without_parts_is_an_object() {
    let object = WalObject::build::<Bytes>(Uuid::nil(), writer(), Vec::new());
    assert_eq!(object.byte_size, HEADER_BYTES + TRAILER_BYTES);
    read_all(&joined(&object)).expect("it was just built");
}

#[test]
fn any_single_wrong_bit_is_noticed() {
    let bytes = joined(&sample());
    read_all(&bytes).expect("it was just built");
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut wrong = bytes.clone();
            wrong[position] ^= 1 << bit;
            assert!(read_all(&wrong).is_err(), "byte {position}, bit {bit}");
        }
    }
}

#[test]
fn any_truncation_or_growth_is_noticed() {
    let bytes = joined(&sample());
    for length in 0..bytes.len() {
        assert!(read_all(&bytes[..length]).is_err(), "cut to {length}");
        assert!(read_all(&bytes[bytes.len() - length..]).is_err(), "only the last {length}");
    }
    for extra in [vec![0], vec![0; 64], bytes.clone()] {
        assert!(read_all(&[bytes.clone(), extra].concat()).is_err());
    }
}

#[test]
fn a_short_tail_says_how_much_is_needed() {
    let bytes = joined(&sample());
    let size = bytes.len() as u64;
    let footer_bytes = 3 * ENTRY_BYTES + TRAILER_BYTES;
    let tail = |length: u64| &bytes[(size - length) as usize..];
    assert_eq!(WalFooter::parse(tail(10), size), Err(LayoutError::NeedMore { footer_bytes: TRAILER_BYTES }));
    assert_eq!(WalFooter::parse(tail(TRAILER_BYTES), size), Err(LayoutError::NeedMore { footer_bytes }));
    assert_eq!(WalFooter::parse(tail(footer_bytes - 1), size), Err(LayoutError::NeedMore { footer_bytes }));
    assert!(WalFooter::parse(tail(footer_bytes), size).is_ok());
    assert!(WalFooter::parse(tail(footer_bytes + 5), size).is_ok());
    assert!(matches!(WalFooter::parse(&[], 100), Err(LayoutError::Corrupt(_))));
}

/// A footer with `change` made to its entries, and a CRC that fits the lie.
fn lying_footer(change: impl FnOnce(&mut WalFooter)) -> Result<WalFooter, LayoutError> {
    let bytes = joined(&sample());
    let mut footer = WalFooter::parse(&bytes, bytes.len() as u64).expect("it was just built");
    change(&mut footer);
    let size = HEADER_BYTES + footer.body_bytes + footer.encoded_bytes();
    WalFooter::parse(&footer.encode(), size)
}

#[test]
fn lies_with_a_valid_crc_are_noticed() {
    let check = |change: fn(&mut WalFooter), expected: &str| match lying_footer(change) {
        Err(LayoutError::Corrupt(reason)) => assert!(reason.contains(expected), "{reason}"),
        other => panic!("'{expected}' was not noticed: {other:?}"),
    };
    check(|footer| footer.entries[1].bytes.position += 1, "gap");
    check(|footer| footer.entries[0].bytes.position = u64::MAX, "gap");
    check(|footer| footer.entries[1].bytes.length = 0, "gap");
    check(|footer| footer.entries[2].bytes.length = u32::MAX, "cover");
    check(|footer| footer.entries.truncate(2), "cover");
    check(|footer| footer.entries[1].partition = footer.entries[0].partition, "sorted");
    check(|footer| footer.entries[1].batch_count = 0, "batches");
    check(|footer| footer.entries[1].batch_count = u32::MAX, "batches");
}

#[test]
#[should_panic(expected = "given once")]
fn a_partition_given_twice_is_a_bug() {
    let part = || (partition(1, 0), vec![Bytes::from_static(b"x")]);
    let _ = WalObject::build(Uuid::nil(), writer(), vec![part(), part()]);
}

fn any_parts() -> impl Strategy<Value = Vec<(TopicIdPartition, Vec<Bytes>)>> {
    let batches = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..100).prop_map(Bytes::from), 1..5);
    proptest::collection::btree_map((0_u128..4, 0_i32..6), batches, 0..12)
        .prop_map(|parts| {
            parts.into_iter().map(|((topic, index), batches)| (partition(topic, index), batches)).collect::<Vec<_>>()
        })
        .prop_shuffle()
}

proptest! {
    #[test]
    fn what_is_built_can_be_read(parts in any_parts()) {
        let object = WalObject::build(Uuid::from_u128(5), writer(), parts.clone());
        let bytes = joined(&object);
        read_all(&bytes).expect("it was just built");
        let footer = WalFooter::parse(&bytes, object.byte_size).expect("it was just built");
        prop_assert_eq!(footer.entries.len(), parts.len());
        for ((partition, batches), range) in parts.iter().zip(&object.ranges) {
            let entry = footer.entries.iter().find(|entry| entry.partition == *partition).expect("it is indexed");
            prop_assert_eq!(entry.bytes, *range);
            prop_assert_eq!(entry.crc, crc32c_of(batches));
            prop_assert_eq!(&bytes[range.position as usize..range.end() as usize], &batches.concat()[..]);
        }
    }

    #[test]
    fn random_bytes_are_refused_without_panic(bytes: Vec<u8>, object_bytes: u64) {
        prop_assert!(WalHeader::parse(&bytes).is_err());
        prop_assert!(WalFooter::parse(&bytes, object_bytes).is_err());
    }

    #[test]
    fn damaged_objects_are_refused_without_panic(
        parts in any_parts(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), 1_u8..), 1..6),
    ) {
        let bytes = joined(&WalObject::build(Uuid::from_u128(5), writer(), parts));
        let mut wrong = bytes.clone();
        for (index, change) in damage {
            let position = index.index(wrong.len());
            wrong[position] = wrong[position].wrapping_add(change);
        }
        prop_assert_eq!(read_all(&wrong).is_err(), wrong != bytes);
    }
}
