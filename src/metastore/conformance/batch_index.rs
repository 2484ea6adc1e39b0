//! Cases of the batch index: what commits do.

use std::time::Duration;

use futures::future::join_all;

use crate::metastore::conformance::kit::{
    Bench, appended, body, duplicate, new_node, partition, plain, produced, range, waited,
};
use crate::metastore::conformance::suite::Case;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{
    BatchCommit, BatchReceipt, BatchRefusal, DocumentKey, DocumentKind, DocumentPut, DocumentWrite, Expect, Extent,
    ObjectState,
};
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::TopicId;

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("a commit gives dense offsets and one extent per partition", a_commit_gives_dense_offsets),
        Case::new("a commit is idempotent by object key", a_commit_is_idempotent),
        Case::new("an object that was not committed has no receipt", no_commit_no_receipt),
        Case::new("a duplicate gets its offset from whichever object", a_duplicate_gets_its_offset),
        Case::new("the last five batches are remembered", five_batches_are_remembered),
        Case::new("a gap is refused and says what would fit", a_gap_is_refused),
        Case::new("an unknown producer begins at zero", an_unknown_producer_begins_at_zero),
        Case::new("an unknown producer that has waited begins anywhere", after_a_wait_it_begins_anywhere),
        Case::new("a known producer gains nothing by waiting", a_known_producer_gains_nothing_by_waiting),
        Case::new("a never written sequence is not called a duplicate", never_written_is_no_duplicate),
        Case::new("a higher epoch starts at zero and fences the lower", epochs_fence),
        Case::new("sequences wrap", sequences_wrap),
        Case::new("producers are remembered per partition", producers_are_per_partition),
        Case::new("refused and repeated batches split extents", refused_batches_split_extents),
        Case::new("an unknown partition refuses only its own batches", an_unknown_partition_refuses_its_own),
        Case::new("a commit of refused batches alone is committed", a_commit_of_nothing_is_committed),
        Case::new("a fenced node commits nothing", a_fenced_node_commits_nothing),
        Case::new("a node whose time ran out commits until its epoch is taken", a_late_node_commits),
        Case::new("a tombstoned object is never committed", a_tombstoned_object_is_never_committed),
        Case::new("a conflict in a document applies nothing", a_conflict_applies_nothing),
        Case::new("documents change with a commit", documents_change_with_a_commit),
        Case::new("a repeated commit does not repeat its documents", a_repetition_repeats_no_documents),
        Case::new("producers that are idle are forgotten", idle_producers_are_forgotten),
        Case::new("many commits at once keep offsets dense", many_commits_at_once),
        Case::new("one object committed many times at once counts once", one_object_many_times_at_once),
    ]
}

async fn producer(bench: &Bench) -> ProducerId {
    bench.metastore.allocate_producer_ids(1).await.expect("a producer id").first
}

fn out_of_order(expected: i32) -> BatchReceipt {
    BatchReceipt::Refused(BatchRefusal::OutOfOrderSequence { expected: Sequence(expected) })
}

async fn a_commit_gives_dense_offsets(bench: Bench) {
    let topic_id = bench.topic("topic", 2).await;
    let (first, second) = (partition(topic_id, 0), partition(topic_id, 1));
    let before = bench.metastore.now().await.expect("a time");
    let ranges = vec![range(first, 8, vec![plain(3, 30), plain(2, 20)]), range(second, 58, vec![plain(7, 70)])];
    let receipt = bench.commit("one", ranges).await;
    assert!(receipt.committed_at >= before);
    let [one, two] = &receipt.ranges[..] else { panic!("one receipt per range") };
    assert_eq!((one.partition, two.partition), (first, second));
    assert_eq!(one.batches.iter().map(|batch| appended(*batch)).collect::<Vec<_>>(), [0, 3]);
    assert_eq!(appended(two.batches[0]), 0);
    assert_eq!((one.bounds.high_watermark, one.bounds.byte_size), (Offset(5), 50));
    assert_eq!(one.bounds, bench.bounds(first).await);
    let [extent] = &one.extents[..] else { panic!("neighbours are one extent") };
    assert_eq!((extent.base_offset, extent.last_offset), (Offset(0), Offset(4)));
    assert_eq!((extent.bytes.position, extent.bytes.length), (8, 50));
    assert_eq!(extent.object, bench.object("one"));
    assert!(extent.append_time >= before);
    assert_eq!(bench.extents(first, 0).await, one.extents);
    assert_eq!(bench.extents(second, 0).await, two.extents);
    assert_eq!(two.extents[0].crc, plain(7, 70).crc, "one batch keeps its checksum");

    let next = bench.append("two", first, vec![plain(1, 10)]).await;
    assert_eq!(appended(next.batches[0]), 5);
    assert!(next.extents[0].append_time >= extent.append_time);
    assert_eq!(bench.bounds(first).await.byte_size, 60);
}

async fn a_commit_is_idempotent(bench: Bench) {
    let to = bench.partition("topic").await;
    let commit = bench.commit_of("one", vec![range(to, 0, vec![plain(3, 30)])]);
    let first = bench.metastore.commit_object(commit.clone()).await.expect("committed");
    bench.append("two", to, vec![plain(1, 10)]).await;
    assert_eq!(bench.metastore.commit_object(commit).await.expect("answered"), first);
    assert_eq!(bench.metastore.receipt(&bench.object("one")).await.expect("answered"), Some(first));
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(4));
}

async fn no_commit_no_receipt(bench: Bench) {
    assert_eq!(bench.metastore.receipt(&bench.object("one")).await.expect("answered"), None);
    bench.metastore.tombstone(vec![bench.object("one")]).await.expect("tombstoned");
    assert_eq!(bench.metastore.receipt(&bench.object("one")).await.expect("answered"), None);
}

async fn a_duplicate_gets_its_offset(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let first = bench.append("one", to, vec![produced(id, 0, 0, 2), produced(id, 0, 2, 3)]).await;
    bench.append("other", to, vec![plain(10, 100)]).await;
    let again = bench.append("two", to, vec![produced(id, 0, 0, 2), produced(id, 0, 2, 3)]).await;
    assert_eq!((duplicate(again.batches[0]), duplicate(again.batches[1])), (0, 2));
    let (BatchReceipt::Appended { append_time: then, .. }, BatchReceipt::Duplicate { append_time: now, .. }) =
        (first.batches[0], again.batches[0])
    else {
        panic!("an appended batch and its duplicate")
    };
    assert_eq!(then, now, "a duplicate tells when it was appended");
    assert!(again.extents.is_empty());
    assert_eq!(again.bounds.high_watermark, Offset(15));
    let within = bench.append("three", to, vec![produced(id, 0, 5, 1), produced(id, 0, 5, 1)]).await;
    assert_eq!((appended(within.batches[0]), duplicate(within.batches[1])), (15, 15));
}

async fn five_batches_are_remembered(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    for index in 0..6 {
        bench.append(&format!("object-{index}"), to, vec![produced(id, 0, index * 2, 2)]).await;
    }
    let again: Vec<_> = (0..6).map(|index| produced(id, 0, index * 2, 2)).collect();
    let receipt = bench.append("again", to, again).await;
    assert_eq!(receipt.batches[0], BatchReceipt::Refused(BatchRefusal::DuplicateSequence));
    let offsets: Vec<_> = receipt.batches[1..].iter().map(|batch| duplicate(*batch)).collect();
    assert_eq!(offsets, [2, 4, 6, 8, 10]);
    assert_eq!(appended(bench.append("next", to, vec![produced(id, 0, 12, 1)]).await.batches[0]), 12);
}

async fn a_gap_is_refused(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let batches = vec![produced(id, 0, 0, 2), produced(id, 0, 3, 1), produced(id, 0, 2, 1), produced(id, 0, 3, 1)];
    let receipt = bench.append("one", to, batches).await;
    assert_eq!(appended(receipt.batches[0]), 0);
    assert_eq!(receipt.batches[1], out_of_order(2));
    assert_eq!((appended(receipt.batches[2]), appended(receipt.batches[3])), (2, 3));
    let other_shape = bench.append("two", to, vec![produced(id, 0, 0, 3), produced(id, 0, 1, 9)]).await;
    assert_eq!(other_shape.batches, [out_of_order(4), out_of_order(4)]);
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(4));
}

async fn an_unknown_producer_begins_at_zero(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let early = bench.append("one", to, vec![plain(1, 10), produced(id, 4, 2, 1), produced(id, 4, 3, 1)]).await;
    assert_eq!((appended(early.batches[0]), &early.batches[1..]), (0, &[out_of_order(0), out_of_order(0)][..]));
    // The batch before them came through another agent and is here now: nothing of the refusals remains.
    assert_eq!(appended(bench.append("two", to, vec![produced(id, 4, 0, 2)]).await.batches[0]), 1);
    let again = bench.append("three", to, vec![produced(id, 4, 2, 1), produced(id, 4, 3, 1)]).await;
    assert_eq!((appended(again.batches[0]), appended(again.batches[1])), (3, 4));
    let other = bench.partition("other").await;
    assert_eq!(
        bench.append("four", other, vec![produced(id, 4, 4, 1)]).await.batches,
        [out_of_order(0)],
        "by partition"
    );
}

async fn after_a_wait_it_begins_anywhere(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let receipt = bench.append("one", to, vec![waited(id, 4, 77, 2), produced(id, 4, 79, 1)]).await;
    assert_eq!((appended(receipt.batches[0]), appended(receipt.batches[1])), (0, 2));
    assert_eq!(bench.append("two", to, vec![produced(id, 4, 0, 1)]).await.batches, [out_of_order(80)]);
    assert_eq!(appended(bench.append("three", to, vec![produced(id, 4, 80, 1)]).await.batches[0]), 3);
}

async fn a_known_producer_gains_nothing_by_waiting(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    bench.append("one", to, vec![produced(id, 1, 0, 1)]).await;
    let receipt = bench.append("two", to, vec![waited(id, 1, 2, 1), waited(id, 2, 1, 1), waited(id, 1, 0, 1)]).await;
    assert_eq!(receipt.batches[..2], [out_of_order(1), out_of_order(0)]);
    assert_eq!(duplicate(receipt.batches[2]), 0);
}

async fn never_written_is_no_duplicate(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let batches = (0..6).map(|index| waited(id, 0, 100 + index, 1)).collect();
    bench.append("one", to, batches).await;
    let receipt = bench.append("two", to, vec![produced(id, 0, 50, 1), produced(id, 0, 100, 1)]).await;
    assert_eq!(receipt.batches, [out_of_order(106), BatchReceipt::Refused(BatchRefusal::DuplicateSequence)]);
}

async fn epochs_fence(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let batches = vec![produced(id, 1, 0, 2), produced(id, 2, 2, 1), produced(id, 2, 0, 1), produced(id, 1, 2, 1)];
    let receipt = bench.append("one", to, batches).await;
    assert_eq!((appended(receipt.batches[0]), appended(receipt.batches[2])), (0, 2));
    assert_eq!(receipt.batches[1], out_of_order(0));
    let fenced = BatchReceipt::Refused(BatchRefusal::InvalidProducerEpoch { current: ProducerEpoch(2) });
    assert_eq!(receipt.batches[3], fenced);
    let late = bench.append("two", to, vec![produced(id, 1, 0, 2), produced(id, 2, 0, 1)]).await;
    assert_eq!(late.batches[0], fenced, "even a duplicate of the old epoch");
    assert_eq!(duplicate(late.batches[1]), 2);
}

async fn sequences_wrap(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let batches = vec![waited(id, 0, i32::MAX - 1, 4), produced(id, 0, 2, 1), produced(id, 0, i32::MAX - 1, 4)];
    let receipt = bench.append("one", to, batches).await;
    assert_eq!((appended(receipt.batches[0]), appended(receipt.batches[1])), (0, 4));
    assert_eq!(duplicate(receipt.batches[2]), 0);
    let edge = bench.partition("edge").await;
    let receipt = bench.append("two", edge, vec![waited(id, 0, i32::MAX, 1), produced(id, 0, 0, 1)]).await;
    assert_eq!(appended(receipt.batches[1]), 1);
    assert_eq!(bench.append("three", edge, vec![produced(id, 0, 2, 1)]).await.batches, [out_of_order(1)]);
}

async fn producers_are_per_partition(bench: Bench) {
    let (topic_id, id) = (bench.topic("topic", 2).await, producer(&bench).await);
    let to = |index| range(partition(topic_id, index), 0, vec![produced(id, 0, 0, 1)]);
    let receipt = bench.commit("one", vec![to(0), to(1)]).await;
    assert_eq!((appended(receipt.ranges[0].batches[0]), appended(receipt.ranges[1].batches[0])), (0, 0));
    let other = producer(&bench).await;
    let receipt = bench.append("two", partition(topic_id, 0), vec![produced(other, 0, 0, 1)]).await;
    assert_eq!(appended(receipt.batches[0]), 1);
}

async fn refused_batches_split_extents(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let batches = vec![
        plain(1, 10),
        produced(id, 0, 0, 2),
        produced(id, 0, 9, 1),
        produced(id, 0, 2, 1),
        produced(id, 0, 0, 2),
        plain(1, 10),
        plain(2, 20),
    ];
    let receipt = bench.append("one", to, batches).await;
    let shape =
        |extent: &Extent| (extent.base_offset.0, extent.last_offset.0, extent.bytes.position, extent.bytes.length);
    let expected = [(0, 2, 0, 110), (3, 3, 210, 100), (4, 6, 410, 30)];
    assert_eq!(receipt.extents.iter().map(shape).collect::<Vec<_>>(), expected);
    assert_eq!(bench.extents(to, 0).await, receipt.extents);
    assert_eq!(bench.bounds(to).await.byte_size, 240);
    let state = bench.metastore.object_states(vec![bench.object("one")]).await.expect("answered");
    assert_eq!(state, [ObjectState::Committed { extent_count: 3 }]);
}

async fn an_unknown_partition_refuses_its_own(bench: Bench) {
    let to = bench.partition("topic").await;
    let mut ranges = vec![
        range(to, 0, vec![plain(1, 10)]),
        range(partition(to.topic_id, 1), 10, vec![plain(1, 10), plain(1, 10)]),
        range(partition(TopicId(bench.uuid()), 0), 30, vec![plain(1, 10)]),
    ];
    ranges.sort_by_key(|range| range.partition);
    let receipt = bench.commit("one", ranges.clone()).await;
    for (asked, given) in ranges.iter().zip(&receipt.ranges) {
        assert_eq!(given.partition, asked.partition);
        if asked.partition == to {
            assert_eq!(appended(given.batches[0]), 0);
        } else {
            assert!(given.extents.is_empty());
            let refused = vec![BatchReceipt::Refused(BatchRefusal::UnknownPartition); asked.batches.len()];
            assert_eq!(given.batches, refused);
        }
    }
}

async fn a_commit_of_nothing_is_committed(bench: Bench) {
    let unknown = partition(TopicId(bench.uuid()), 0);
    let receipt = bench.append("one", unknown, vec![plain(1, 10)]).await;
    assert_eq!(receipt.batches, [BatchReceipt::Refused(BatchRefusal::UnknownPartition)]);
    let state = bench.metastore.object_states(vec![bench.object("one")]).await.expect("answered");
    assert_eq!(state, [ObjectState::Committed { extent_count: 0 }]);
    let due = bench.metastore.dereferenced(Duration::ZERO, u32::MAX).await.expect("answered");
    assert!(due.contains(&bench.object("one")), "nothing refers to it");
}

async fn a_fenced_node_commits_nothing(bench: Bench) {
    let to = bench.partition("topic").await;
    let incarnation = bench.uuid();
    let register = |node_id| bench.metastore.register_node(new_node(node_id, incarnation, 60_000));
    let old = register(None).await.expect("registered").identity;
    let new = register(Some(old.node_id)).await.expect("registered").identity;
    let mut commit = bench.commit_of("one", vec![range(to, 0, vec![plain(1, 10)])]);
    commit.node = old;
    let outcome = bench.metastore.commit_object(commit.clone()).await;
    assert!(matches!(outcome, Err(MetastoreError::Fenced { node_id, .. }) if node_id == old.node_id), "{outcome:?}");
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(0));
    assert_eq!(bench.metastore.receipt(&commit.object).await.expect("answered"), None);
    commit.node = new;
    let receipt = bench.metastore.commit_object(commit.clone()).await.expect("the newest epoch commits");
    bench.metastore.deregister_node(new).await.expect("ended");
    assert_eq!(bench.metastore.commit_object(commit.clone()).await, Ok(receipt), "what was done stays done");
    commit.object = bench.object("two");
    assert!(matches!(bench.metastore.commit_object(commit).await, Err(MetastoreError::Fenced { .. })));
}

async fn a_late_node_commits(bench: Bench) {
    let to = bench.partition("topic").await;
    let late = bench.metastore.register_node(new_node(None, bench.uuid(), 50)).await.expect("registered").identity;
    tokio::time::sleep(Duration::from_millis(120)).await;
    let mut commit = bench.commit_of("one", vec![range(to, 0, vec![plain(1, 10)])]);
    commit.node = late;
    bench.metastore.commit_object(commit.clone()).await.expect("nobody took its epoch");
    bench.metastore.register_node(new_node(Some(late.node_id), bench.uuid(), 60_000)).await.expect("taken");
    commit.object = bench.object("two");
    assert!(matches!(bench.metastore.commit_object(commit).await, Err(MetastoreError::Fenced { .. })));
}

async fn a_tombstoned_object_is_never_committed(bench: Bench) {
    let to = bench.partition("topic").await;
    assert_eq!(bench.metastore.tombstone(vec![bench.object("one")]).await.expect("answered"), [true]);
    for _ in 0..2 {
        let commit = bench.commit_of("one", vec![range(to, 0, vec![plain(1, 10)])]);
        let outcome = bench.metastore.commit_object(commit).await;
        assert_eq!(outcome, Err(MetastoreError::Tombstoned { key: bench.object("one") }));
    }
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(0));
}

async fn a_conflict_applies_nothing(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    let (held, other) = (bench.document(DocumentKind::Group, "held"), bench.document(DocumentKind::Group, "other"));
    bench.write(&held, Expect::Absent, body("first")).await.expect("created");
    let put = |key: &DocumentKey| DocumentPut { key: key.clone(), expect: Expect::Absent, change: body("second") };
    let mut commit = bench.commit_of("one", vec![range(to, 0, vec![produced(id, 0, 0, 5)])]);
    commit.documents = DocumentWrite { puts: vec![put(&other), put(&held)] };
    let mut news = bench.follow().await;
    let outcome = bench.metastore.commit_object(commit.clone()).await;
    assert_eq!(outcome, Err(MetastoreError::Conflict { key: held.clone() }));
    assert_eq!(bench.read(&other).await, None);
    assert_eq!(bench.read(&held).await.map(|(version, _)| version), Some(1));
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(0));
    let states = bench.metastore.object_states(vec![commit.object.clone()]).await.expect("answered");
    assert_eq!(states, [ObjectState::Unknown]);
    commit.documents = DocumentWrite { puts: vec![put(&other)] };
    let receipt = bench.metastore.commit_object(commit).await.expect("the same object commits later");
    assert_eq!(appended(receipt.ranges[0].batches[0]), 0, "the producer was not remembered either");
    assert_eq!(news.news(to, 1).await.len(), 1);
}

async fn documents_change_with_a_commit(bench: Bench) {
    let to = bench.partition("topic").await;
    let kinds = DocumentKind::ALL.map(|kind| bench.document(kind, "document"));
    let put = |key: &DocumentKey| DocumentPut { key: key.clone(), expect: Expect::Any, change: body("content") };
    let mut commit = bench.commit_of("one", vec![range(to, 0, vec![plain(1, 10)])]);
    commit.documents = DocumentWrite { puts: kinds.iter().map(put).collect() };
    bench.metastore.commit_object(commit).await.expect("committed");
    for key in &kinds {
        assert_eq!(bench.read(key).await, Some((1, "content".into())), "{key}");
    }
}

async fn a_repetition_repeats_no_documents(bench: Bench) {
    let to = bench.partition("topic").await;
    let key = bench.document(DocumentKind::Transaction, "document");
    let put = DocumentPut { key: key.clone(), expect: Expect::Absent, change: body("content") };
    let mut commit = bench.commit_of("one", vec![range(to, 0, vec![plain(1, 10)])]);
    commit.documents = DocumentWrite { puts: vec![put] };
    let first = bench.metastore.commit_object(commit.clone()).await.expect("committed");
    assert_eq!(bench.metastore.commit_object(commit).await, Ok(first), "no conflict with itself");
    assert_eq!(bench.read(&key).await.map(|(version, _)| version), Some(1));
}

async fn idle_producers_are_forgotten(bench: Bench) {
    let (to, id) = (bench.partition("topic").await, producer(&bench).await);
    bench.append("one", to, vec![produced(id, 5, 0, 1)]).await;
    bench.metastore.expire_producers(Duration::from_secs(3600)).await.expect("expired");
    assert_eq!(duplicate(bench.append("two", to, vec![produced(id, 5, 0, 1)]).await.batches[0]), 0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(bench.metastore.expire_producers(Duration::from_millis(1)).await.expect("expired") >= 1);
    let receipt = bench.append("three", to, vec![produced(id, 0, 9, 1), waited(id, 0, 9, 1)]).await;
    assert_eq!((receipt.batches[0], appended(receipt.batches[1])), (out_of_order(0), 1), "nothing is known of it");
}

/// A batch for task `task`, commit `index`: every one its own sequence, so that none is refused.
fn numbered(id: ProducerId, index: i32) -> BatchCommit {
    BatchCommit { length: 30, ..produced(id, 0, index * 3, 3) }
}

async fn many_commits_at_once(bench: Bench) {
    const TASKS: i32 = 8;
    const COMMITS: i32 = 12;
    let topic_id = bench.topic("topic", 3).await;
    let mut news = bench.follow().await;
    let ids = join_all((0..TASKS).map(|_| producer(&bench))).await;
    let tasks = ids.iter().enumerate().map(|(task, id)| {
        let bench = bench.clone();
        async move {
            for index in 0..COMMITS {
                let ranges = (0..3).map(|to| range(partition(topic_id, to), 0, vec![numbered(*id, index)])).collect();
                let receipt = bench.commit(&format!("object-{task}-{index}"), ranges).await;
                for range in receipt.ranges {
                    assert!(matches!(range.batches[0], BatchReceipt::Appended { .. }), "{range:?}");
                }
            }
        }
    });
    join_all(tasks).await;
    for index in 0..3 {
        let to = partition(topic_id, index);
        let extents = bench.extents(to, 0).await;
        let mut next = Offset(0);
        let mut append_time = extents[0].append_time;
        for extent in &extents {
            assert_eq!(extent.base_offset, next, "dense, without overlap");
            assert!(extent.append_time >= append_time, "append time never goes back");
            (next, append_time) = (extent.last_offset.plus(1), extent.append_time);
        }
        assert_eq!(next, Offset(i64::from(TASKS * COMMITS * 3)));
        assert_eq!(bench.bounds(to).await.high_watermark, next);
    }
    let first = partition(topic_id, 0);
    let told = news.news(first, usize::try_from(TASKS * COMMITS).expect("small")).await;
    let told: Vec<_> = told.into_iter().flat_map(|entry| entry.extents).collect();
    assert_eq!(told, bench.extents(first, 0).await, "the feed agrees with the offsets");
}

async fn one_object_many_times_at_once(bench: Bench) {
    let to = bench.partition("topic").await;
    let commit = bench.commit_of("one", vec![range(to, 0, vec![plain(2, 20)])]);
    let receipts = join_all((0..8).map(|_| bench.metastore.commit_object(commit.clone()))).await;
    for receipt in &receipts {
        assert_eq!(receipt, &receipts[0]);
        assert!(receipt.is_ok(), "{receipt:?}");
    }
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(2));
    assert_eq!(bench.extents(to, 0).await.len(), 1);
}
