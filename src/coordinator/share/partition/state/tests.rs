use super::*;
use crate::coordinator::share::partition::kit::{Fixture, node};

fn run(first: i64, last: i64, state: RecordState, delivery_count: u16) -> Run {
    Run { first: Offset(first), last: Offset(last), state, delivery_count }
}

fn check(start: i64, runs: &[Run], holders: &[&str], expected: Result<(), BrokenState>) {
    let holder = |name: &&str| Holder { member_id: (*name).into(), node: node(1), acquired_at: Timestamp(0) };
    let state = SharePartitionState::from_parts(Offset(start), runs.to_vec(), holders.iter().map(holder).collect());
    assert_eq!(state.map(|_| ()), expected, "{start}: {runs:?}, {holders:?}");
}

#[test]
fn what_can_not_be_is_told() {
    let waits = RecordState::Available { not_before: Timestamp(0) };
    let held = |index| RecordState::Acquired { holder: HolderIndex(index), deadline: Timestamp(9) };
    let (done, gone) = (RecordState::Acknowledged, RecordState::Archived);
    let at = Offset;
    check(0, &[], &[], Ok(()));
    check(3, &[run(3, 4, waits, 1), run(5, 5, done, 0), run(6, 9, held(0), 1)], &["m1"], Ok(()));
    check(-1, &[], &[], Err(BrokenState::Offset(at(-1))));
    check(0, &[run(1, 2, waits, 1)], &[], Err(BrokenState::Torn { expected: at(0), found: at(1) }));
    check(0, &[run(0, 2, waits, 1), run(4, 5, done, 0)], &[], Err(BrokenState::Torn { expected: at(3), found: at(4) }));
    check(0, &[run(0, -1, waits, 1)], &[], Err(BrokenState::Backward(at(0))));
    check(0, &[run(0, 1 << 62, waits, 1)], &[], Err(BrokenState::Offset(at(1 << 62))));
    check(0, &[run(0, 1, waits, 1), run(2, 3, waits, 1)], &[], Err(BrokenState::Split(at(2))));
    check(0, &[run(0, 1, gone, 0)], &[], Err(BrokenState::FinishedStart(at(0))));
    check(0, &[run(0, 1, waits, 0)], &[], Err(BrokenState::DeliveryCount(at(0))));
    check(0, &[run(0, 1, waits, 1), run(2, 3, gone, 2)], &[], Err(BrokenState::DeliveryCount(at(2))));
    check(0, &[run(0, 1, held(1), 1)], &["m1"], Err(BrokenState::UnknownHolder(at(0))));
    check(0, &[run(0, 1, held(0), 1)], &["m1", "m2"], Err(BrokenState::IdleHolder(1)));
    check(0, &[run(0, 1, held(0), 1), run(2, 3, held(1), 1)], &["m1", "m1"], Err(BrokenState::SameHolder(1)));
}

#[test]
fn counts_add_up() {
    let mut fixture = Fixture::new();
    fixture.take("m1", 20, 20);
    fixture.later(1).take("m2", 10, 30);
    fixture.acknowledge("m1", "2-3 release, 5-6 accept, 8-10 reject").expect("they are its own");
    fixture.take("m2", 2, 30);
    let counts = fixture.state.counts();
    let expected = Counts {
        available: 0,
        acquired: 25,
        redelivered: 2,
        acknowledged: 2,
        archived: 3,
        runs: 8,
        earliest_deadline: Some(Timestamp(31_000)),
    };
    assert_eq!(counts, expected, "{}", fixture.sketch());
    assert_eq!(fixture.state.delivery_complete_count(), 5);
    assert_eq!(fixture.state.window(), 30);
}
