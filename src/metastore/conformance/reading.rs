//! Cases of the batch index: what readers find.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::metastore::conformance::kit::{Bench, PATIENCE, partition, plain, range, timed};
use crate::metastore::conformance::suite::Case;
use crate::metastore::values::{
    Extent, ExtentQuery, FeedPosition, LogStartMove, LogStartReceipt, ObjectState, TimeQuery, TimeTarget,
};
use crate::model::offset::Offset;
use crate::model::topic::{TopicId, TopicIdPartition};

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("extents are found from the middle of one", extents_from_the_middle),
        Case::new("extents stop at the byte and count limits", extents_stop_at_limits),
        Case::new("several partitions are asked at once", several_partitions_at_once),
        Case::new("a moved log start drops what lies before it", a_moved_log_start_drops),
        Case::new("a log start moves only forward and within the log", a_log_start_moves_forward),
        Case::new("extents are found by time", extents_by_time),
        Case::new("extents are found by time after the log start moved", extents_by_time_after_a_move),
        Case::new("extents are found by append time", extents_by_append_time),
        Case::new("the feed tells commits and log starts in order", the_feed_tells_in_order),
        Case::new("the feed waits, and wakes for news", the_feed_waits_and_wakes),
        Case::new("the feed answers in time when there are no news", the_feed_answers_in_time),
        Case::new("the feed remembers ten thousand entries", the_feed_remembers),
        Case::new("a deleted topic leaves its objects without extents", a_deleted_topic_dereferences),
    ]
}

/// Five extents of three records and thirty bytes each.
async fn fifteen_records(bench: &Bench) -> TopicIdPartition {
    let to = bench.partition("topic").await;
    for index in 0..5 {
        bench.append(&format!("object-{index}"), to, vec![plain(3, 30)]).await;
    }
    to
}

fn bases(extents: &[Extent]) -> Vec<i64> {
    extents.iter().map(|extent| extent.base_offset.0).collect()
}

async fn extents_from_the_middle(bench: Bench) {
    let of = fifteen_records(&bench).await;
    for (from, expected) in [
        (0, vec![0, 3, 6, 9, 12]),
        (2, vec![0, 3, 6, 9, 12]),
        (3, vec![3, 6, 9, 12]),
        (7, vec![6, 9, 12]),
        (14, vec![12]),
        (15, vec![]),
        (99, vec![]),
        (-1, vec![]),
    ] {
        let found = bench.find(of, from, u64::MAX, 100).await;
        assert_eq!(bases(&found.extents), expected, "from {from}");
        assert_eq!(found.bounds, bench.bounds(of).await);
    }
}

async fn extents_stop_at_limits(bench: Bench) {
    let of = fifteen_records(&bench).await;
    for (bytes_max, extents_max, expected) in
        [(0, 9, 1), (1, 9, 1), (30, 9, 1), (31, 9, 2), (60, 9, 2), (1000, 9, 5), (1000, 3, 3), (61, 2, 2), (0, 1, 1)]
    {
        let found = bench.find(of, 0, bytes_max, extents_max).await;
        assert_eq!(found.extents.len(), expected, "{bytes_max} bytes, {extents_max} extents");
    }
}

async fn several_partitions_at_once(bench: Bench) {
    let topic_id = bench.topic("topic", 2).await;
    let (full, empty) = (partition(topic_id, 0), partition(topic_id, 1));
    let unknown = partition(TopicId(bench.uuid()), 0);
    bench.append("object", full, vec![plain(2, 20)]).await;
    let query = |partition| ExtentQuery { partition, offset: Offset(0), bytes_max: 1000, extents_max: 10 };
    let queries = [unknown, full, empty, full].map(query).to_vec();
    let found = bench.metastore.find_extents(queries).await.expect("answered");
    let counts: Vec<_> = found.iter().map(|found| found.as_ref().map(|found| found.extents.len())).collect();
    assert_eq!(counts, [None, Some(1), Some(0), Some(1)]);
    let bounds = bench.metastore.bounds(vec![full, unknown, empty]).await.expect("answered");
    let ends: Vec<_> = bounds.iter().map(|bounds| bounds.map(|bounds| bounds.high_watermark.0)).collect();
    assert_eq!(ends, [Some(2), None, Some(0)]);
}

async fn move_to(bench: &Bench, partition: TopicIdPartition, offset: Option<i64>) -> LogStartReceipt {
    let one = LogStartMove { partition, offset: offset.map(Offset) };
    bench.metastore.move_log_start(vec![one]).await.expect("answered")[0]
}

async fn a_moved_log_start_drops(bench: Bench) {
    let of = fifteen_records(&bench).await;
    let states = async || {
        let keys = (0..5).map(|index| bench.object(&format!("object-{index}"))).collect();
        bench.metastore.object_states(keys).await.expect("answered")
    };
    let (kept, left) = (ObjectState::Committed { extent_count: 1 }, ObjectState::Committed { extent_count: 0 });
    assert_eq!(move_to(&bench, of, Some(7)).await, LogStartReceipt::At(Offset(7)));
    assert_eq!(states().await, [left, left, kept, kept, kept]);
    let bounds = bench.bounds(of).await;
    assert_eq!((bounds.log_start_offset, bounds.high_watermark, bounds.byte_size), (Offset(7), Offset(15), 90));
    assert_eq!(bases(&bench.extents(of, 7).await), [6, 9, 12], "the extent that holds the log start stays");
    assert!(bench.extents(of, 6).await.is_empty(), "nothing is found below the log start");
    assert_eq!(move_to(&bench, of, None).await, LogStartReceipt::At(Offset(15)));
    assert_eq!(states().await, [left; 5]);
    assert_eq!(bench.bounds(of).await.byte_size, 0);
    let next = bench.append("next", of, vec![plain(1, 10)]).await;
    assert_eq!(bases(&next.extents), [15], "offsets go on");
    assert_eq!(bases(&bench.extents(of, 15).await), [15]);
}

async fn a_log_start_moves_forward(bench: Bench) {
    let of = fifteen_records(&bench).await;
    assert_eq!(move_to(&bench, of, Some(16)).await, LogStartReceipt::OutOfRange);
    assert_eq!(move_to(&bench, of, Some(9)).await, LogStartReceipt::At(Offset(9)));
    assert_eq!(move_to(&bench, of, Some(4)).await, LogStartReceipt::At(Offset(9)));
    assert_eq!(move_to(&bench, of, Some(9)).await, LogStartReceipt::At(Offset(9)));
    assert_eq!(bench.bounds(of).await.log_start_offset, Offset(9));
    let unknown = partition(TopicId(bench.uuid()), 0);
    assert_eq!(move_to(&bench, unknown, Some(0)).await, LogStartReceipt::UnknownPartition);
    let moves = vec![
        LogStartMove { partition: unknown, offset: None },
        LogStartMove { partition: of, offset: Some(Offset(12)) },
    ];
    let receipts = bench.metastore.move_log_start(moves).await.expect("answered");
    assert_eq!(receipts, [LogStartReceipt::UnknownPartition, LogStartReceipt::At(Offset(12))]);
}

async fn by_time(bench: &Bench, partition: TopicIdPartition, target: TimeTarget) -> Option<i64> {
    let query = TimeQuery { partition, target, by_append_time: false };
    let found = bench.metastore.find_by_time(vec![query]).await.expect("answered");
    found[0].as_ref().map(|extent| extent.base_offset.0)
}

/// One record per extent, with these timestamps.
async fn stamped(bench: &Bench, timestamps: &[i64]) -> TopicIdPartition {
    let to = bench.partition("topic").await;
    for (index, timestamp) in timestamps.iter().enumerate() {
        bench.append(&format!("stamped-{index}"), to, vec![timed(*timestamp)]).await;
    }
    to
}

async fn extents_by_time(bench: Bench) {
    let of = stamped(&bench, &[100, 300, 200, -1, 300, 250]).await;
    for (wanted, expected) in [(0, Some(0)), (100, Some(0)), (101, Some(1)), (300, Some(1)), (301, None)] {
        assert_eq!(by_time(&bench, of, TimeTarget::AtOrAfter(Timestamp(wanted))).await, expected, "at {wanted}");
    }
    assert_eq!(by_time(&bench, of, TimeTarget::Latest).await, Some(1), "the first of the latest");
    let unknown = partition(TopicId(bench.uuid()), 0);
    assert_eq!(by_time(&bench, unknown, TimeTarget::Latest).await, None);
    let without = Bench::new(bench.metastore.clone()).await;
    let of = stamped(&without, &[-1, -1]).await;
    assert_eq!(by_time(&without, of, TimeTarget::Latest).await, None, "no record carries a time");
    assert_eq!(by_time(&without, of, TimeTarget::AtOrAfter(Timestamp(0))).await, None);
}

async fn extents_by_time_after_a_move(bench: Bench) {
    let of = stamped(&bench, &[100, 900, 200, 300, 250, 300]).await;
    assert_eq!(by_time(&bench, of, TimeTarget::Latest).await, Some(1));
    move_to(&bench, of, Some(2)).await;
    assert_eq!(by_time(&bench, of, TimeTarget::Latest).await, Some(3));
    for (wanted, expected) in [(0, Some(2)), (200, Some(2)), (201, Some(3)), (300, Some(3)), (301, None)] {
        assert_eq!(by_time(&bench, of, TimeTarget::AtOrAfter(Timestamp(wanted))).await, expected, "at {wanted}");
    }
    bench.append("later", of, vec![timed(700)]).await;
    assert_eq!(by_time(&bench, of, TimeTarget::Latest).await, Some(6));
    assert_eq!(by_time(&bench, of, TimeTarget::AtOrAfter(Timestamp(400))).await, Some(6));
    move_to(&bench, of, None).await;
    assert_eq!(by_time(&bench, of, TimeTarget::Latest).await, None);
    bench.append("last", of, vec![timed(5)]).await;
    assert_eq!(by_time(&bench, of, TimeTarget::Latest).await, Some(7));
}

async fn extents_by_append_time(bench: Bench) {
    let of = bench.partition("topic").await;
    for index in 0..3 {
        bench.append(&format!("object-{index}"), of, vec![plain(3, 30)]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let extents = bench.extents(of, 0).await;
    let find = async |target| {
        let query = TimeQuery { partition: of, target, by_append_time: true };
        bench.metastore.find_by_time(vec![query]).await.expect("answered").remove(0)
    };
    assert!(extents[0].append_time < extents[1].append_time && extents[1].append_time < extents[2].append_time);
    assert_eq!(find(TimeTarget::Latest).await.as_ref(), Some(&extents[2]));
    assert_eq!(find(TimeTarget::AtOrAfter(extents[1].append_time)).await.as_ref(), Some(&extents[1]));
    let just_after = Timestamp(extents[1].append_time.0 + 1);
    assert_eq!(find(TimeTarget::AtOrAfter(just_after)).await.as_ref(), Some(&extents[2]));
    assert_eq!(find(TimeTarget::AtOrAfter(Timestamp(extents[2].append_time.0 + 1))).await, None);
}

async fn the_feed_tells_in_order(bench: Bench) {
    let topic_id = bench.topic("topic", 2).await;
    let (of, other) = (partition(topic_id, 0), partition(topic_id, 1));
    let mut follower = bench.follow().await;
    let first = bench.append("one", of, vec![plain(2, 20)]).await;
    bench.append("other", other, vec![plain(9, 90)]).await;
    let second = bench.append("two", of, vec![plain(3, 30)]).await;
    move_to(&bench, of, Some(2)).await;
    let news = follower.news(of, 3).await;
    assert_eq!(news.len(), 3);
    assert_eq!((&news[0].extents, news[0].bounds), (&first.extents, first.bounds));
    assert_eq!((&news[1].extents, news[1].bounds), (&second.extents, second.bounds));
    assert!(news[2].extents.is_empty());
    assert_eq!(news[2].bounds, bench.bounds(of).await);
}

async fn the_feed_waits_and_wakes(bench: Bench) {
    let of = bench.partition("topic").await;
    let mut follower = bench.follow().await;
    let started = tokio::time::Instant::now();
    let commit = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.append("one", of, vec![plain(1, 10)]).await;
    };
    let wait = async {
        let mut news = Vec::new();
        // Catalog changes may wake a reader too.
        while news.is_empty() {
            news = follower.pull(PATIENCE).await;
        }
        news
    };
    let (news, ()) = tokio::join!(wait, commit);
    assert_eq!(news[0].partition, of);
    assert!(started.elapsed() < PATIENCE, "it did not wait to the end");
}

async fn the_feed_answers_in_time(bench: Bench) {
    let mut follower = bench.follow().await;
    let started = tokio::time::Instant::now();
    let before = follower.position;
    assert!(follower.pull(Duration::from_millis(60)).await.is_empty());
    assert_eq!(follower.position, before);
    assert!(started.elapsed() >= Duration::from_millis(55), "it waited");
    assert!(started.elapsed() < PATIENCE);
}

async fn the_feed_remembers(bench: Bench) {
    let to = bench.topic("topic", 100).await;
    let start = bench.follow().await.position;
    let mut follower = bench.follow().await;
    let ranges = |commit: u64| {
        let one = |index| range(partition(to, index), commit * 10, vec![plain(1, 10)]);
        (0..100).map(one).collect::<Vec<_>>()
    };
    for commit in 0..99 {
        bench.commit(&format!("object-{commit}"), ranges(commit)).await;
    }
    assert_eq!(follower.news(partition(to, 57), 99).await.len(), 99);
    let page = bench.metastore.feed(start, Duration::ZERO).await.expect("the feed");
    assert!(!page.reset, "9,900 entries are remembered");
    let future = FeedPosition(follower.position.0);
    let page = bench.metastore.feed(future, Duration::ZERO).await.expect("the feed");
    assert!(page.entries.is_empty() && !page.reset);
}

async fn a_deleted_topic_dereferences(bench: Bench) {
    let topic_id = bench.topic("topic", 2).await;
    let stays = bench.partition("stays").await;
    let mut ranges = vec![
        range(partition(topic_id, 0), 0, vec![plain(1, 10)]),
        range(partition(topic_id, 1), 10, vec![plain(1, 10)]),
    ];
    bench.commit("alone", ranges.clone()).await;
    ranges.push(range(stays, 20, vec![plain(1, 10)]));
    ranges.sort_by_key(|range| range.partition);
    bench.commit("shared", ranges).await;
    bench.metastore.delete_topics(vec![topic_id]).await.expect("answered").remove(0).expect("deleted");
    let keys = vec![bench.object("alone"), bench.object("shared")];
    let states = bench.metastore.object_states(keys.clone()).await.expect("answered");
    let expected = [ObjectState::Committed { extent_count: 0 }, ObjectState::Committed { extent_count: 1 }];
    assert_eq!(states, expected);
    let due = bench.metastore.dereferenced(Duration::ZERO, u32::MAX).await.expect("answered");
    assert!(due.contains(&keys[0]) && !due.contains(&keys[1]));
    let query = ExtentQuery { partition: partition(topic_id, 0), offset: Offset(0), bytes_max: 1, extents_max: 1 };
    assert_eq!(bench.metastore.find_extents(vec![query]).await.expect("answered"), [None]);
}
