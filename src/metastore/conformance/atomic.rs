//! Cases of commits that are all or nothing, and of the documents that go with them.

use std::time::Duration;

use crate::metastore::conformance::kit::{Bench, appended, body, duplicate, partition, plain, produced, range};
use crate::metastore::conformance::suite::Case;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{
    BatchRefusal, CommitObject, DocumentChange, DocumentKey, DocumentKind, DocumentPut, DocumentVersion, DocumentWrite,
    Expect, ObjectState, RangeCommit,
};
use crate::model::offset::Offset;
use crate::model::producer::Sequence;
use crate::model::topic::{TopicId, TopicIdPartition};

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("all or nothing: an unknown partition refuses everything", an_unknown_partition_refuses_everything),
        Case::new("all or nothing: a gap refuses everything", a_gap_refuses_everything),
        Case::new("all or nothing: a duplicate is not a refusal", a_duplicate_is_no_refusal),
        Case::new("all or nothing: a refused key may be committed later", a_refused_key_may_be_committed_later),
        Case::new("all or nothing: what was done stays done", what_was_done_stays_done),
        Case::new("all or nothing: a conflict is told before a refusal", a_conflict_comes_first),
        Case::new("a put that expects a version leaves the next one", a_put_leaves_the_next_version),
    ]
}

fn put(key: &DocumentKey, expect: Expect, text: &'static str) -> DocumentWrite {
    DocumentWrite { puts: vec![DocumentPut { key: key.clone(), expect, change: body(text) }] }
}

fn whole(bench: &Bench, object: &str, ranges: Vec<RangeCommit>, documents: DocumentWrite) -> CommitObject {
    CommitObject { documents, all_or_nothing: true, ..bench.commit_of(object, ranges) }
}

/// A document at version 1.
async fn document(bench: &Bench) -> DocumentKey {
    let key = bench.document(DocumentKind::SharePartition, "state");
    assert_eq!(bench.write(&key, Expect::Absent, body("before")).await, Ok(1));
    key
}

/// Nothing of a commit was applied.
async fn assert_untouched(bench: &Bench, object: &str, key: &DocumentKey, to: TopicIdPartition, end: i64) {
    assert_eq!(bench.read(key).await, Some((1, "before".into())));
    let bounds = bench.bounds(to).await;
    assert_eq!(bounds.high_watermark, Offset(end));
    assert_eq!(bench.metastore.receipt(&bench.object(object)).await, Ok(None));
    assert_eq!(bench.metastore.object_states(vec![bench.object(object)]).await, Ok(vec![ObjectState::Unknown]));
}

async fn an_unknown_partition_refuses_everything(bench: Bench) {
    let (to, key) = (bench.partition("topic").await, document(&bench).await);
    let deleted = bench.partition("deleted").await;
    bench.metastore.delete_topics(vec![deleted.topic_id]).await.expect("deleted");
    let mut news = bench.follow().await;
    for unknown in [deleted, partition(to.topic_id, 7), partition(TopicId(bench.uuid()), 0)] {
        let mut ranges = vec![range(to, 0, vec![plain(2, 20)]), range(unknown, 20, vec![plain(1, 10)])];
        ranges.sort_by_key(|range| range.partition);
        let commit = whole(&bench, "one", ranges, put(&key, Expect::Version(DocumentVersion(1)), "after"));
        let expected = MetastoreError::Refused { partition: unknown, refusal: BatchRefusal::UnknownPartition };
        assert_eq!(bench.metastore.commit_object(commit).await, Err(expected));
        assert_untouched(&bench, "one", &key, to, 0).await;
    }
    assert!(news.pull(Duration::ZERO).await.iter().all(|entry| entry.partition != to), "nothing is told");
}

async fn a_gap_refuses_everything(bench: Bench) {
    let (to, key) = (bench.partition("topic").await, document(&bench).await);
    let id = bench.metastore.allocate_producer_ids(1).await.expect("an id").first;
    bench.append("zero", to, vec![produced(id, 0, 0, 2)]).await;
    let documents = || put(&key, Expect::Version(DocumentVersion(1)), "after");
    // One within the commit, which shows by itself, and one to what is stored.
    for batches in [vec![produced(id, 0, 2, 1), produced(id, 0, 9, 1)], vec![produced(id, 0, 5, 1)]] {
        let commit = whole(&bench, "one", vec![range(to, 0, batches.clone())], documents());
        let expected = if batches.len() == 2 { 3 } else { 2 };
        let refusal = BatchRefusal::OutOfOrderSequence { expected: Sequence(expected) };
        let outcome = bench.metastore.commit_object(commit).await;
        assert_eq!(outcome, Err(MetastoreError::Refused { partition: to, refusal }));
        assert_untouched(&bench, "one", &key, to, 2).await;
    }
    let next = bench.append("two", to, vec![produced(id, 0, 2, 1)]).await;
    assert_eq!(appended(next.batches[0]), 2, "the producer is where it was");
}

async fn a_duplicate_is_no_refusal(bench: Bench) {
    let (to, key) = (bench.partition("topic").await, document(&bench).await);
    let id = bench.metastore.allocate_producer_ids(1).await.expect("an id").first;
    bench.append("zero", to, vec![produced(id, 0, 0, 2)]).await;
    let ranges = vec![range(to, 0, vec![produced(id, 0, 0, 2), produced(id, 0, 2, 1)])];
    let commit = whole(&bench, "one", ranges, put(&key, Expect::Version(DocumentVersion(1)), "after"));
    let receipt = bench.metastore.commit_object(commit).await.expect("committed");
    let batches = &receipt.ranges[0].batches;
    assert_eq!((duplicate(batches[0]), appended(batches[1])), (0, 2));
    assert_eq!(bench.read(&key).await, Some((2, "after".into())));
}

async fn a_refused_key_may_be_committed_later(bench: Bench) {
    let (to, key) = (bench.partition("topic").await, document(&bench).await);
    let later = partition(to.topic_id, 1);
    let ranges = vec![range(to, 0, vec![plain(2, 20)]), range(later, 20, vec![plain(1, 10)])];
    let refused = whole(&bench, "one", ranges.clone(), put(&key, Expect::Version(DocumentVersion(1)), "first"));
    assert!(matches!(bench.metastore.commit_object(refused).await, Err(MetastoreError::Refused { .. })));
    let grown = bench.metastore.create_partitions(to.topic_id, 2).await;
    assert_eq!(grown, Ok(Ok(())));
    let conflicting = whole(&bench, "one", ranges.clone(), put(&key, Expect::Absent, "second"));
    let outcome = bench.metastore.commit_object(conflicting).await;
    assert_eq!(outcome, Err(MetastoreError::Conflict { key: key.clone() }));
    let good = whole(&bench, "one", ranges, put(&key, Expect::Version(DocumentVersion(1)), "third"));
    let receipt = bench.metastore.commit_object(good).await.expect("committed");
    assert_eq!(receipt.ranges.iter().map(|range| appended(range.batches[0])).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(bench.read(&key).await, Some((2, "third".into())));
}

async fn what_was_done_stays_done(bench: Bench) {
    let (to, key) = (bench.partition("topic").await, document(&bench).await);
    let documents = put(&key, Expect::Version(DocumentVersion(1)), "after");
    let commit = whole(&bench, "one", vec![range(to, 0, vec![plain(2, 20)])], documents);
    let first = bench.metastore.commit_object(commit.clone()).await.expect("committed");
    bench.metastore.delete_topics(vec![to.topic_id]).await.expect("deleted");
    assert_eq!(bench.metastore.commit_object(commit).await, Ok(first), "the topic was there then");
    assert_eq!(bench.read(&key).await.map(|(version, _)| version), Some(2));
}

async fn a_conflict_comes_first(bench: Bench) {
    let (key, unknown) = (document(&bench).await, partition(TopicId(bench.uuid()), 0));
    let commit = whole(&bench, "one", vec![range(unknown, 0, vec![plain(1, 10)])], put(&key, Expect::Absent, "after"));
    assert_eq!(bench.metastore.commit_object(commit).await, Err(MetastoreError::Conflict { key }));
}

async fn a_put_leaves_the_next_version(bench: Bench) {
    let (to, key) = (bench.partition("topic").await, document(&bench).await);
    let checked = bench.document(DocumentKind::Group, "checked");
    bench.write(&checked, Expect::Absent, body("content")).await.expect("created");
    for version in 1..4 {
        let mut documents = put(&key, Expect::Version(DocumentVersion(version)), "after");
        let expect = Expect::Version(DocumentVersion(1));
        documents.puts.push(DocumentPut { key: checked.clone(), expect, change: DocumentChange::Check });
        let ranges = vec![range(to, 0, vec![plain(1, 10)])];
        let commit = whole(&bench, &format!("object-{version}"), ranges, documents);
        bench.metastore.commit_object(commit).await.expect("committed");
        assert_eq!(bench.read(&key).await.map(|(version, _)| version), Some(version + 1));
        assert_eq!(bench.read(&checked).await.map(|(version, _)| version), Some(1));
    }
}
