//! The document of a share partition, `docs/formats/share_documents.md`. The golden file was not written by our encoder,
//! but by hand from the page.

use bytes::Bytes;
use towpath::base::clock::Timestamp;
use towpath::coordinator::share::partition::document::{StoredPartition, decode, encode};
use towpath::coordinator::share::partition::run::{Holder, HolderIndex, RecordState, Run};
use towpath::coordinator::share::partition::signature::{Signature, Signatures};
use towpath::coordinator::share::partition::state::SharePartitionState;
use towpath::coordinator::share::partition::unreadable::UnreadableDocument;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};
use towpath::model::offset::Offset;

const GOLDEN: &[u8] = include_bytes!("share_partition_v1.bin");

/// A partition that nobody has fetched from yet.
const UNDECIDED: &[u8] = &[1, 0, 0xe2, 0xc3, 0xef, 0xa5];

const NOON: i64 = 1_700_000_000_000;

/// What the golden file holds.
fn golden_state() -> StoredPartition {
    let holder = |member_id: &str, node_id, node_epoch, acquired_at| Holder {
        member_id: member_id.into(),
        node: NodeIdentity { node_id: NodeId(node_id), node_epoch: NodeEpoch(node_epoch) },
        acquired_at: Timestamp(acquired_at),
    };
    let run =
        |first, last, state, delivery_count| Run { first: Offset(first), last: Offset(last), state, delivery_count };
    let held = |holder, deadline| RecordState::Acquired { holder: HolderIndex(holder), deadline: Timestamp(deadline) };
    let waits = |not_before| RecordState::Available { not_before: Timestamp(not_before) };
    let runs = vec![
        run(1_000_000, 1_000_499, held(0, NOON + 30_000), 1),
        run(1_000_500, 1_000_500, RecordState::Acknowledged, 0),
        run(1_000_501, 1_000_520, waits(0), 2),
        run(1_000_521, 1_000_521, waits(NOON + 12_345), 4),
        run(1_000_522, 1_000_821, RecordState::Archived, 0),
        run(1_000_822, 1_000_822, held(1, NOON + 30_500), 2),
    ];
    let holders = vec![holder("nEFl2Zx5QyqHcC8v1gV7bA", 3, 41, NOON), holder("m-2", 0, 7, NOON + 500)];
    let state = SharePartitionState::from_parts(Offset(1_000_000), runs, holders);
    let signature = |node_id, node_epoch, number, at| Signature {
        node: NodeIdentity { node_id: NodeId(node_id), node_epoch: NodeEpoch(node_epoch) },
        number,
        at: Timestamp(at),
    };
    let signatures = vec![signature(0, 7, 300, NOON + 500), signature(3, 41, 12, NOON)];
    StoredPartition::Decided(state.expect("the golden state is sound").signed(Signatures::from_parts(signatures)))
}

#[test]
fn version_1_is_still_written_byte_by_byte() {
    assert_eq!(encode(&golden_state()), GOLDEN);
    assert_eq!(encode(&StoredPartition::Undecided), UNDECIDED);
}

#[test]
fn version_1_is_still_read() {
    assert_eq!(decode(Bytes::from_static(GOLDEN)), Ok(golden_state()));
    assert_eq!(decode(Bytes::from_static(UNDECIDED)), Ok(StoredPartition::Undecided));
}

#[test]
fn a_later_version_is_told_apart_from_damage() {
    let mut later = GOLDEN.to_vec();
    later[0] = 2;
    assert_eq!(decode(later.into()), Err(UnreadableDocument::Version(2)));
    let mut damaged = GOLDEN.to_vec();
    damaged[9] ^= 1;
    assert_eq!(decode(damaged.into()), Err(UnreadableDocument::Checksum));
}
