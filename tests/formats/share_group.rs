//! A share group's document, `docs/formats/group_documents.md`.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;
use towpath::coordinator::share::group::document::{UnreadableDocument, decode, encode};
use towpath::coordinator::share::group::state::{KnownTopic, ShareGroup, ShareMember};
use towpath::coordinator::share::values::Assignment;
use towpath::model::node::{NodeEpoch, NodeId, NodeIdentity};
use towpath::model::topic::{PartitionIndex, TopicId, TopicName};
use uuid::Uuid;

const GOLDEN: &[u8] = include_bytes!("share_group_v1.bin");

const HOME: NodeIdentity = NodeIdentity { node_id: NodeId(3), node_epoch: NodeEpoch(41) };

fn partitions<C: FromIterator<PartitionIndex>>(indexes: &[i32]) -> C {
    indexes.iter().copied().map(PartitionIndex).collect()
}

/// What the golden file holds.
fn golden_group(sessions_end: Instant) -> ShareGroup {
    let orders = TopicId(Uuid::from_u128(0x1111_1111_1111_1111_1111_1111_1111_1111));
    let clicks = TopicId(Uuid::from_u128(0x2222_2222_2222_2222_2222_2222_2222_2222));
    let member = |rack: Option<&str>, topics: &[&str], epoch, assigned| ShareMember {
        rack: rack.map(Into::into),
        client_id: "client".into(),
        client_host: "/192.0.2.1".into(),
        subscribed: topics.iter().map(|name| TopicName::new(name).expect("legal")).collect::<BTreeSet<_>>(),
        epoch,
        previous_epoch: epoch - 1,
        changed_at: 7,
        assigned,
        is_restored: true,
        session_deadline: sessions_end,
    };
    let first = Assignment::from([(orders, partitions(&[0, 1, 5])), (clicks, partitions(&[0]))]);
    let second = Assignment::from([(orders, partitions(&[2]))]);
    ShareGroup {
        exists: true,
        group_epoch: 9,
        assignment_epoch: 8,
        topics: BTreeMap::from([
            (orders, KnownTopic { partition_count: 6, initialised: partitions(&[0, 1, 2, 5]) }),
            (clicks, KnownTopic { partition_count: 1, initialised: partitions(&[0]) }),
        ]),
        members: BTreeMap::from([
            ("first".into(), member(Some("zone-a"), &["orders", "clicks"], 8, first)),
            ("second".into(), member(None, &["orders"], 7, second)),
        ]),
        ..ShareGroup::absent("group".into())
    }
}

#[test]
fn version_1_is_still_written_byte_by_byte() {
    let document = encode(&golden_group(Instant::now()), HOME);
    assert_eq!(String::from_utf8_lossy(&document), String::from_utf8_lossy(GOLDEN));
}

#[test]
fn version_1_is_still_read() {
    let now = Instant::now();
    assert_eq!(decode(&"group".into(), GOLDEN, now).expect("the golden file is sound"), golden_group(now));
}

#[test]
fn a_later_version_is_told_apart_from_damage() {
    let mut later = GOLDEN.to_vec();
    later[0] = 2;
    assert!(matches!(decode(&"group".into(), &later, Instant::now()), Err(UnreadableDocument::Version(2))));
}
