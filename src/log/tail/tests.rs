use super::*;
use crate::base::clock::Timestamp;
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::topic::PartitionIndex;
use futures::FutureExt;
use uuid::Uuid;

fn partition(index: i32) -> TopicIdPartition {
    TopicIdPartition::new(TopicId(Uuid::from_u128(1)), PartitionIndex(index))
}

fn bounds(log_start: i64, high_watermark: i64) -> PartitionBounds {
    PartitionBounds {
        log_start_offset: Offset(log_start),
        high_watermark: Offset(high_watermark),
        last_stable_offset: Offset(high_watermark),
        byte_size: 0,
    }
}

fn extent(base: i64, last: i64) -> Extent {
    Extent {
        base_offset: Offset(base),
        last_offset: Offset(last),
        object: ObjectKey::from("wal/x"),
        bytes: ByteRange { position: 64, length: 100 },
        crc: 0,
        max_timestamp: Timestamp(0),
        append_time: Timestamp(0),
    }
}

fn tail(recent_max: usize, older_max: usize) -> Tail {
    let settings = LogSettings { tail_extents_max: recent_max, older_extents_max: older_max, ..LogSettings::default() };
    Tail::new(&settings)
}

fn learn(tail: &Tail, bounds: PartitionBounds, extents: &[Extent]) {
    tail.learn(partition(0), &PartitionExtents { bounds, extents: extents.to_vec(), aborted: Vec::new() });
}

fn check(tail: &Tail, offset: i64, bytes_max: u64, expected: &[i64]) {
    let view = tail.view(partition(0), Offset(offset), bytes_max).expect("known");
    let bases: Vec<i64> = view.extents.iter().map(|known| known.extent.base_offset.0).collect();
    assert_eq!(bases, expected, "from offset {offset}");
}

#[test]
fn extents_are_given_up_to_a_gap() {
    let tail = tail(10, 10);
    assert_eq!(tail.view(partition(0), Offset(0), 1), None);
    tail.apply(partition(0), bounds(0, 40), &[extent(30, 39)]);
    tail.apply(partition(0), bounds(0, 20), &[extent(0, 9), extent(10, 19)]);
    check(&tail, 0, u64::MAX, &[0, 10]);
    check(&tail, 15, u64::MAX, &[10]);
    check(&tail, 25, u64::MAX, &[]);
    check(&tail, 35, u64::MAX, &[30]);
    tail.apply(partition(0), bounds(0, 30), &[extent(20, 29)]);
    check(&tail, 0, u64::MAX, &[0, 10, 20, 30]);
    check(&tail, 0, 150, &[0, 10]);
    check(&tail, 0, 0, &[0]);
}

#[test]
fn bounds_never_go_back() {
    let tail = tail(10, 10);
    tail.apply(partition(0), bounds(5, 40), &[]);
    tail.apply(partition(0), bounds(0, 50), &[]);
    learn(&tail, bounds(7, 30), &[]);
    let seen = tail.bounds(partition(0)).expect("known");
    assert_eq!((seen.log_start_offset, seen.high_watermark), (Offset(7), Offset(50)));
}

#[test]
fn what_was_stable_when_it_was_appended_is_decided_and_the_rest_when_it_was_asked_for() {
    let tail = tail(10, 10);
    let at = |stable: i64, high_watermark: i64| PartitionBounds {
        last_stable_offset: Offset(stable),
        ..bounds(0, high_watermark)
    };
    let decided = || {
        let known = tail.view(partition(0), Offset(0), u64::MAX).expect("known").extents;
        known.iter().map(|known| (known.decided_until.0, known.aborted.to_vec())).collect::<Vec<_>>()
    };
    let aborted = |first, last| AbortedTransaction {
        first_offset: Offset(first),
        last_offset: Offset(last),
        producer_id: crate::model::producer::ProducerId(1),
    };
    // The second was appended while a transaction was open that begins in it, the third behind that.
    for (extent, bounds) in [(extent(0, 9), at(10, 10)), (extent(10, 19), at(15, 20)), (extent(20, 29), at(15, 30))] {
        tail.apply(partition(0), bounds, &[extent]);
    }
    assert_eq!(decided(), [(10, vec![]), (15, vec![]), (20, vec![])]);
    // That the transaction ended says nothing of how.
    tail.apply(partition(0), at(40, 40), &[extent(30, 39)]);
    assert_eq!(decided(), [(10, vec![]), (15, vec![]), (20, vec![]), (40, vec![])]);
    let answer = PartitionExtents {
        bounds: at(40, 40),
        extents: vec![extent(10, 19), extent(20, 29)],
        aborted: vec![aborted(15, 19), aborted(16, 39)],
    };
    tail.learn(partition(0), &answer);
    let told = [(10, vec![]), (20, vec![aborted(15, 19), aborted(16, 39)]), (30, vec![aborted(16, 39)]), (40, vec![])];
    assert_eq!(decided(), told);
    // Neither old news nor an old answer take it back.
    tail.apply(partition(0), at(15, 30), &[extent(20, 29)]);
    let old = PartitionExtents { bounds: at(15, 30), extents: vec![extent(10, 19)], aborted: Vec::new() };
    tail.learn(partition(0), &old);
    assert_eq!(decided(), told);
}

#[test]
fn extents_before_the_log_start_are_dropped() {
    let tail = tail(10, 10);
    tail.apply(partition(0), bounds(0, 20), &[extent(0, 9), extent(10, 19)]);
    tail.apply(partition(0), bounds(10, 20), &[]);
    check(&tail, 5, u64::MAX, &[]);
    check(&tail, 10, u64::MAX, &[10]);
    learn(&tail, bounds(10, 20), &[extent(0, 9)]);
    check(&tail, 5, u64::MAX, &[]);
}

#[test]
fn memory_is_bounded_and_laggards_do_not_push_out_the_end() {
    let tail = tail(3, 2);
    for base in (100..110).step_by(2) {
        tail.apply(partition(0), bounds(0, base + 2), &[extent(base, base + 1)]);
    }
    assert_eq!(tail.extent_count(), 3);
    for base in (0..20).step_by(2) {
        learn(&tail, bounds(0, 110), &[extent(base, base + 1)]);
    }
    assert_eq!(tail.extent_count(), 5);
    check(&tail, 104, u64::MAX, &[104, 106, 108]);
    check(&tail, 16, u64::MAX, &[16, 18]);
}

#[test]
fn news_wake_those_who_wait_for_that_partition() {
    let tail = tail(10, 10);
    let subscription = tail.subscribe([partition(0), partition(1)]);
    assert!(subscription.news().now_or_never().is_none());
    tail.apply(partition(2), bounds(0, 1), &[]);
    assert!(subscription.news().now_or_never().is_none());
    tail.apply(partition(1), bounds(0, 1), &[]);
    assert!(subscription.news().now_or_never().is_some());
    tail.apply(partition(1), bounds(0, 1), &[]);
    assert!(subscription.news().now_or_never().is_none(), "nothing is new");
    tail.mark_stale();
    assert!(subscription.news().now_or_never().is_some());
    assert_eq!(tail.view(partition(1), Offset(0), 1), None, "stale bounds are not the last word");
    drop(subscription);
    assert!(!tail.lock().partitions.contains_key(&partition(0)), "nothing is left behind");
}
