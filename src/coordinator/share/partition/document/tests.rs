use super::*;
use crate::coordinator::share::partition::kit::{Fixture, node};

/// A window of `count` runs that alternate between what `states` says, as far apart in time as a minute allows.
fn alternating(count: i64, states: impl Fn(i64) -> (RecordState, u16)) -> SharePartitionState {
    let holder = |index: i64| Holder {
        member_id: MemberId::from(format!("{index:022}").as_str()),
        node: node(i32::try_from(index % 3).expect("small")),
        acquired_at: Timestamp(1_700_000_000_000 + index * 37),
    };
    let run = |index: i64| {
        let (state, delivery_count) = states(index);
        Run { first: Offset(1_000_000_000 + index), last: Offset(1_000_000_000 + index), state, delivery_count }
    };
    let runs: Vec<Run> = (0..count).map(run).collect();
    let is_held = |run: &Run| matches!(run.state, RecordState::Acquired { .. });
    let held = i64::try_from(runs.iter().filter(|run| is_held(run)).count()).expect("small");
    let holders = (0..held.min(100)).map(holder).collect();
    SharePartitionState::from_parts(Offset(1_000_000_000), runs, holders).expect("sound")
}

fn held(index: i64) -> (RecordState, u16) {
    let deadline = Timestamp(1_700_000_000_000 + index * 7_919 % 60_000);
    (RecordState::Acquired { holder: HolderIndex(u32::try_from(index % 100).expect("small")), deadline }, 3)
}

fn sizes(name: &str, states: impl Fn(i64) -> (RecordState, u16), bytes_max: usize) {
    let stored = StoredPartition::Decided(alternating(2_000, states));
    let document = encode(&stored);
    assert!(document.len() <= bytes_max, "{name}: {} bytes, {bytes_max} are allowed", document.len());
    assert_eq!(decode(document), Ok(stored), "{name}");
}

#[test]
fn two_thousand_alternating_runs_take_at_most_16_kib() {
    sizes("held", held, 16 << 10);
    sizes("held and done", |at| if at % 2 == 0 { held(at / 2) } else { (RecordState::Acknowledged, 0) }, 12 << 10);
    let resting = |at: i64| {
        let not_before = Timestamp(1_700_000_000_000 + at * 104_729 % 3_600_000);
        (RecordState::Available { not_before }, u16::try_from(at % 25 + 1).expect("small"))
    };
    sizes("resting", resting, 16 << 10);
    let at_once = |count| (RecordState::Available { not_before: Timestamp(0) }, count);
    sizes("waiting", |at| if at % 2 == 0 { at_once(1) } else { at_once(2) }, 5 << 10);
}

#[test]
fn whatever_the_numbers_they_come_back() {
    let last = Offset((1 << 62) - 1);
    let holder = |name: &str, node_id, node_epoch, acquired_at| Holder {
        member_id: name.into(),
        node: NodeIdentity { node_id: NodeId(node_id), node_epoch: NodeEpoch(node_epoch) },
        acquired_at: Timestamp(acquired_at),
    };
    let holders = vec![holder("", i32::MIN, i64::MIN, i64::MIN), holder("日本", i32::MAX, i64::MAX, i64::MAX)];
    let run = |first, last, state, delivery_count| Run { first, last, state, delivery_count };
    let held = |index, deadline| RecordState::Acquired { holder: HolderIndex(index), deadline: Timestamp(deadline) };
    let runs = vec![
        run(Offset(0), Offset(0), held(0, i64::MIN), 1),
        run(Offset(1), Offset(1), held(1, i64::MAX), u16::MAX),
        run(Offset(2), Offset(2), RecordState::Available { not_before: Timestamp(i64::MIN) }, u16::MAX),
        run(Offset(3), last, RecordState::Archived, 0),
    ];
    let state = SharePartitionState::from_parts(Offset(0), runs, holders).expect("sound");
    let signature = |node_id, node_epoch, number, at| Signature {
        node: NodeIdentity { node_id: NodeId(node_id), node_epoch: NodeEpoch(node_epoch) },
        number,
        at: Timestamp(at),
    };
    let signatures = vec![signature(i32::MAX, i64::MIN, u64::MAX, i64::MIN), signature(0, 0, 0, i64::MAX)];
    for stored in [
        StoredPartition::Undecided,
        StoredPartition::Decided(SharePartitionState::starting_at(Offset(0))),
        StoredPartition::Decided(SharePartitionState::starting_at(Offset(i64::MAX))),
        StoredPartition::Decided(state.clone()),
        StoredPartition::Decided(state.signed(Signatures::from_parts(signatures))),
    ] {
        assert_eq!(decode(encode(&stored)), Ok(stored));
    }
}

fn sample() -> Bytes {
    let mut fixture = Fixture::new();
    fixture.take("m1", 20, 20);
    fixture.take("m2", 20, 40);
    fixture.acknowledge("m1", "3-4 accept, 7-8 release").expect("they are its own");
    encode(&StoredPartition::Decided(fixture.state))
}

#[test]
fn a_damaged_document_is_refused() {
    let document = sample();
    for length in 0..document.len() {
        assert!(decode(document.slice(..length)).is_err(), "{length} bytes were enough");
    }
    for index in 1..document.len() {
        let mut damaged = document.to_vec();
        damaged[index] ^= 0x10;
        assert_eq!(decode(damaged.into()), Err(UnreadableDocument::Checksum), "byte {index}");
    }
    let mut later = document.to_vec();
    later[0] = 2;
    assert_eq!(decode(later.into()), Err(UnreadableDocument::Version(2)));
}

/// What is said of a document with a valid checksum and this content behind version and kind.
fn refusal(content: &[u8]) -> String {
    let mut document = vec![VERSION, DECIDED];
    document.extend_from_slice(content);
    let checksum = crc32c(&document).to_be_bytes();
    document.extend_from_slice(&checksum);
    decode(document.into()).expect_err("it lies").to_string()
}

#[test]
fn lies_with_a_valid_checksum_are_refused() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let with = |before: &[u8], after: &[u8]| [before, &huge[..], after].concat();
    for (content, sentence) in [
        (vec![], "ends before"),
        (with(&[], &[0, 0]), "an offset that is too large"),
        (with(&[0], &[]), "ends before"),
        (with(&[0, 1], &[0, 0, 0, 0, 0]), "ends before"),
        (with(&[0, 0], &[]), "ends before"),
        (vec![0xff; 12], "more than 64 bits"),
        (vec![0, 1, 1, 0xff, 0, 0, 0, 0], "not UTF-8"),
        (with(&[0, 1, 0], &[0, 0, 0, 0]), "a node id that is too large"),
        (vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 1, 8], "an offset that is too large"),
        (vec![0, 0, 1, 0, 0, 0], "delivery count that does not go with its state"),
        (vec![0, 0, 1, 0, 0x80, 0x80, 0x40], "a delivery count that is too large"),
        (vec![0, 0, 1, 1, 1, 0, 0, 0], "somebody who is not listed"),
        (with(&[0, 0, 1, 1, 1], &[0]), "a holder's number that is too large"),
        (vec![0, 1, 1, b'm', 0, 0, 0, 0, 0], "holds nothing"),
        (vec![0, 2, 1, b'm', 0, 0, 0, 1, b'm', 0, 0, 0, 2, 1, 1, 0, 0, 1, 2, 1, 0, 0], "listed twice"),
        (vec![0, 0, 1, 2, 0], "which is finished"),
        (vec![0, 0, 2, 0, 2, 0, 2, 0], "are one"),
        (with(&[0, 0, 1, 0, 2], &[]), "ends before"),
        (vec![0, 0, 1, 0, 2, 1, 0, 0], "ends before"),
        (vec![0, 0, 1, 0, 2, 0, 9], "something after its end"),
    ] {
        let refused = refusal(&content);
        assert!(refused.contains(sentence), "{content:x?}: '{sentence}' is missing in: {refused}");
    }
}

#[test]
fn names_tell_groups_and_partitions_apart() {
    let partition = TopicIdPartition::new(TopicId(uuid::Uuid::from_u128(7)), PartitionIndex(3));
    let (plain, sly) = (GroupId::from("g"), GroupId::from("g:00000000-0000-0000-0000-000000000007"));
    for group_id in [&plain, &sly] {
        let key = partition_key(group_id, partition);
        assert_eq!(partition_of(&key.name, &name_prefix(group_id)), Some(partition));
    }
    assert_eq!(partition_of(&partition_key(&sly, partition).name, &name_prefix(&plain)), None);
    assert_eq!(partition_of("1:g:nonsense", "1:g:"), None);
}
