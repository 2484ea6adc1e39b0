//! The WAL object, `docs/formats/wal_object.md`.

use bytes::Bytes;
use towpath::base::crc::crc32c;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition};
use towpath::object::layout::{HEADER_BYTES, LayoutError, WalFooter, WalHeader, WalObject};
use uuid::Uuid;

const GOLDEN: &[u8] = include_bytes!("wal_object_v1.bin");

/// Objects that lie, one a line: name, what the refusal says, the object in hexadecimal. Their CRCs are valid where
/// the lie is elsewhere.
const REFUSED: &str = include_str!("wal_object_refused.txt");

fn partition(topic: u128, index: i32) -> TopicIdPartition {
    TopicIdPartition::new(TopicId(Uuid::from_u128(topic)), PartitionIndex(index))
}

/// What the golden file holds.
fn golden_object() -> WalObject {
    let cluster_id = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    let writer = NodeIdentity { node_id: NodeId(3), node_epoch: NodeEpoch(41) };
    let orders = 0x1111_1111_1111_1111_1111_1111_1111_1111;
    let clicks = 0x2222_2222_2222_2222_2222_2222_2222_2222;
    let parts = vec![
        (partition(clicks, 0), vec![Bytes::from_static(b"clicks-0 first"), Bytes::from_static(b"clicks-0 second")]),
        (partition(orders, 10), vec![Bytes::from_static(b"orders-10")]),
        (partition(orders, 2), vec![Bytes::from_static(b"orders-2")]),
    ];
    WalObject::build(cluster_id, writer, parts)
}

#[test]
fn version_1_is_still_written_byte_by_byte() {
    assert_eq!(golden_object().slices.concat(), GOLDEN);
}

#[test]
fn version_1_is_still_read() {
    let header = WalHeader::parse(GOLDEN).expect("the golden file is sound");
    assert_eq!(header.cluster_id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!((header.writer.node_id, header.writer.node_epoch), (NodeId(3), NodeEpoch(41)));
    let footer = WalFooter::parse(GOLDEN, GOLDEN.len() as u64).expect("the golden file is sound");
    let ranges: Vec<_> = footer
        .entries
        .iter()
        .map(|entry| {
            let bytes = &GOLDEN[entry.bytes.position as usize..entry.bytes.end() as usize];
            assert_eq!(crc32c(bytes), entry.crc, "{}", entry.partition);
            (entry.partition.partition.0, entry.batch_count, bytes)
        })
        .collect();
    let clicks = b"clicks-0 firstclicks-0 second".as_slice();
    assert_eq!(ranges, [(2, 1, b"orders-2".as_slice()), (10, 1, b"orders-10"), (0, 2, clicks)]);
    let body = &GOLDEN[HEADER_BYTES as usize..(HEADER_BYTES + footer.body_bytes) as usize];
    assert!(footer.matches_body(&[Bytes::from_static(body)]));
    assert!(!footer.matches_body(&[Bytes::from_static(&body[1..])]));
}

#[test]
fn lies_that_were_once_thought_of_are_refused() {
    let mut seen = 0;
    for line in REFUSED.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('|').map(str::trim);
        let (Some(name), Some(expected), Some(hex)) = (columns.next(), columns.next(), columns.next()) else {
            panic!("a line has three columns: {line}");
        };
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("it is hexadecimal"))
            .collect();
        let refusal = WalHeader::parse(&bytes).and_then(|_| WalFooter::parse(&bytes, bytes.len() as u64));
        let sentence = refusal.expect_err(name).to_string();
        assert!(sentence.contains(expected), "{name}: '{expected}' is missing in: {sentence}");
        seen += 1;
    }
    assert!(seen >= 15, "{seen}");
}

#[test]
fn a_later_version_is_told_apart_from_damage() {
    let mut later = GOLDEN.to_vec();
    later[9] = 2;
    assert_eq!(WalHeader::parse(&later), Err(LayoutError::Version(2)));
}
