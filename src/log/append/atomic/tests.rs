use super::*;
use crate::base::rng::Rng;
use crate::config::log::LogSettings;
use crate::config::topic::TopicConfig;
use crate::log::kit::{Agent, Mishap, START, World, batch, fetch, records};
use crate::metastore::catalog::Catalog;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{DocumentKind, ObjectState};
use crate::record::build::{BatchBuilder, BatchShape};

fn append(partition: TopicIdPartition, values: &[&str]) -> PartitionAppend {
    PartitionAppend { partition, config: Arc::new(TopicConfig::default()), records: batch(None, values) }
}

fn key() -> DocumentKey {
    DocumentKey { kind: DocumentKind::SharePartition, name: "state".into() }
}

fn put(expect: Expect, body: &'static str) -> DocumentWrite {
    let change = DocumentChange::Put(Bytes::from_static(body.as_bytes()));
    DocumentWrite { puts: vec![DocumentPut { key: key(), expect, change }] }
}

async fn state(world: &World) -> Option<(u64, String)> {
    let found = world.metastore.get_documents(vec![key()]).await.expect("readable").pop().flatten()?;
    Some((found.version.0, String::from_utf8_lossy(&found.body).into_owned()))
}

/// A world with a document at version 1, and an agent.
async fn bench() -> (World, Agent) {
    let world = World::new().await;
    world.metastore.write_documents(put(Expect::Absent, "before")).await.expect("created");
    let agent = world.agent(1, LogSettings::default()).await;
    (world, agent)
}

fn first() -> Expect {
    Expect::Version(DocumentVersion(1))
}

async fn assert_nothing_happened(world: &World, agent: &Agent) {
    assert_eq!(state(world).await, Some((1, "before".to_owned())));
    assert_eq!(agent.read(world.partition(0), 0).await, []);
}

#[tokio::test(start_paused = true)]
async fn records_and_documents_come_together_and_readers_wake() {
    let (world, agent) = bench().await;
    let (to, reader) = (world.partition(0), agent.reader.clone());
    let waiting = async {
        let mut request = fetch(to, 0);
        request.wait_max = Duration::from_secs(60);
        reader.fetch(request).await.pop().expect("one outcome").expect("readable")
    };
    let started = Instant::now();
    let batches = vec![append(to, &["a", "b"]), append(world.partition(3), &["c"]), append(to, &["d"])];
    let (fetched, receipt) = tokio::join!(waiting, agent.atomic.commit(batches, put(first(), "after")));
    let receipt = receipt.expect("committed");
    assert_eq!(receipt.base_offsets, [Offset(0), Offset(0), Offset(2)], "in the order they were given in");
    assert_eq!((receipt.committed_at, receipt.documents), (START, vec![Some(DocumentVersion(2))]));
    assert_eq!(state(&world).await, Some((2, "after".to_owned())));
    let values = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "d".to_owned())];
    assert_eq!(records(&fetched.records), values);
    assert!(started.elapsed() < Duration::from_secs(1), "the waiting reader was woken");
    assert_eq!(agent.read(world.partition(3), 0).await, [(0, "c".to_owned())]);
    assert_eq!((agent.puts(), agent.gets()), (1, 0), "one object, read from memory");
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_the_same_object_serves_other_documents() {
    let (world, agent) = bench().await;
    let prepared = agent.atomic.prepare(vec![append(world.partition(0), &["a"])]).await.expect("uploaded");
    let rejected = prepared.commit(put(Expect::Absent, "wrong")).await.expect_err("it exists");
    assert_eq!(rejected.failure, AtomicFailure::Conflict(key()));
    assert_nothing_happened(&world, &agent).await;
    let prepared = rejected.prepared.expect("of use");
    let receipt = prepared.commit(put(first(), "after")).await.expect("committed");
    assert_eq!(receipt.base_offsets, [Offset(0)]);
    assert_eq!(state(&world).await, Some((2, "after".to_owned())));
    assert_eq!((agent.puts(), world.objects().await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_resolved_and_nothing_happens_twice() {
    async fn check(mishaps: &[Mishap], receipts_unavailable: u32) {
        let (world, agent) = bench().await;
        world.mishaps(mishaps);
        *world.metastore.receipts_unavailable.lock().unwrap() = receipts_unavailable;
        let outcome = agent.atomic.commit(vec![append(world.partition(0), &["a"])], put(first(), "after")).await;
        assert_eq!(outcome.map(|receipt| receipt.documents), Ok(vec![Some(DocumentVersion(2))]), "{mishaps:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(state(&world).await, Some((2, "after".to_owned())), "{mishaps:?}");
        assert_eq!(agent.read(world.partition(0), 0).await, [(0, "a".to_owned())], "{mishaps:?}");
    }
    check(&[Mishap::AnswerLost], 0).await;
    check(&[Mishap::AnswerLost], 5).await;
    check(&[Mishap::RequestLost], 0).await;
    check(&[Mishap::RequestLost, Mishap::Unavailable, Mishap::AnswerLost], 2).await;
    check(&[Mishap::Late(Duration::from_secs(9))], 0).await;
    check(&[Mishap::Late(Duration::from_millis(1)), Mishap::Unavailable], 0).await;
    check(&[Mishap::Tombstoned, Mishap::RequestLost], 0).await;
}

/// The document is created and deleted again, so that the late attempt would find what it expects.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_still_on_its_way_can_not_follow_a_conflict() {
    let (world, agent) = bench().await;
    let other = DocumentKey { kind: DocumentKind::Group, name: "other".into() };
    let change = DocumentChange::Put(Bytes::from_static(b"x"));
    let of_other = |expect, change| DocumentWrite { puts: vec![DocumentPut { key: other.clone(), expect, change }] };
    world.mishaps(&[Mishap::Late(Duration::from_secs(30))]);
    let prepared = agent.atomic.prepare(vec![append(world.partition(0), &["a"])]).await.expect("uploaded");
    let object = prepared.uploaded.key.clone();
    let commit = prepared.commit(of_other(Expect::Absent, change.clone()));
    let meanwhile = world.metastore.write_documents(of_other(Expect::Absent, change.clone()));
    let (outcome, created) = tokio::join!(commit, meanwhile);
    created.expect("created");
    let rejected = outcome.expect_err("somebody else was faster");
    assert_eq!(rejected.failure, AtomicFailure::Conflict(other.clone()));
    assert!(rejected.prepared.is_none(), "its key had to be ruled out");
    world.metastore.write_documents(of_other(Expect::Any, DocumentChange::Delete)).await.expect("deleted");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_nothing_happened(&world, &agent).await;
    assert_eq!(world.metastore.get_documents(vec![other]).await, Ok(vec![None]));
    assert_eq!(world.metastore.object_states(vec![object]).await, Ok(vec![ObjectState::Tombstoned]));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_refuses_the_documents_too() {
    let (world, agent) = bench().await;
    world.metastore.delete_topics(vec![world.topic_id]).await.expect("deleted");
    let prepared = agent.atomic.prepare(vec![append(world.partition(0), &["a"])]).await.expect("uploaded");
    let rejected = prepared.commit(put(first(), "after")).await.expect_err("refused");
    let refusal = BatchRefusal::UnknownPartition;
    assert_eq!(rejected.failure, AtomicFailure::Refused { partition: world.partition(0), refusal });
    assert!(rejected.prepared.is_some());
    assert_eq!(state(&world).await, Some((1, "before".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn while_the_metastore_is_away_nothing_happens_and_the_object_waits() {
    let (world, agent) = bench().await;
    world.mishaps(&[Mishap::Unavailable; 200]);
    let prepared = agent.atomic.prepare(vec![append(world.partition(0), &["a"])]).await.expect("uploaded");
    let started = Instant::now();
    let rejected = prepared.commit(put(first(), "after")).await.expect_err("away");
    assert!(matches!(rejected.failure, AtomicFailure::Unavailable(_)), "{:?}", rejected.failure);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    world.metastore.mishaps.lock().unwrap().clear();
    assert_nothing_happened(&world, &agent).await;
    rejected.prepared.expect("of use").commit(put(first(), "after")).await.expect("back again");
    assert_eq!(agent.read(world.partition(0), 0).await, [(0, "a".to_owned())]);
    assert_eq!(agent.puts(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_stored_changes_no_document() {
    let (world, agent) = bench().await;
    *world.store.refuses.lock().unwrap() = true;
    let outcome = agent.atomic.commit(vec![append(world.partition(0), &["a"])], put(first(), "after")).await;
    assert!(matches!(outcome, Err(AtomicFailure::Unavailable(_))), "{outcome:?}");
    assert_nothing_happened(&world, &agent).await;
}

#[tokio::test(start_paused = true)]
async fn batches_are_judged_by_their_topics_but_not_by_clocks() {
    let (world, agent) = bench().await;
    let small = Arc::new(TopicConfig { message_bytes_max: 70, ..TopicConfig::default() });
    let large = PartitionAppend { config: small, ..append(world.partition(2), &["far too large for this topic"]) };
    let outcome = agent.atomic.commit(vec![append(world.partition(0), &["a"]), large], put(first(), "after")).await;
    let Err(AtomicFailure::Invalid { partition, failure }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((partition, failure.condition), (world.partition(2), crate::model::error::Condition::MessageTooLarge));
    assert_eq!(agent.puts(), 0);
    let mut builder = BatchBuilder::new(BatchShape::default());
    builder.push_value(Timestamp(START.0 + 86_400_000), b"by another clock");
    let strict = TopicConfig { timestamp_after_max_ms: 0, timestamp_before_max_ms: 0, ..TopicConfig::default() };
    let append = PartitionAppend {
        partition: world.partition(0),
        config: Arc::new(strict),
        records: builder.build().expect("builds"),
    };
    agent.atomic.commit(vec![append], put(first(), "after")).await.expect("the server's own");
}

#[tokio::test(start_paused = true)]
async fn a_fenced_agent_changes_nothing() {
    let (world, agent) = bench().await;
    world.metastore.deregister_node(**agent.node.load()).await.expect("ended");
    let outcome = agent.atomic.commit(vec![append(world.partition(0), &["a"])], put(first(), "after")).await;
    assert!(matches!(outcome, Err(AtomicFailure::Fenced(_))), "{outcome:?}");
    assert_nothing_happened(&world, &agent).await;
}

/// Counts in a document, and appends what it counted in the same step.
async fn count(agent: &Agent, world: &World, name: usize, times: u32) -> u32 {
    let (mut done, mut prepared) = (0, None);
    while done < times {
        let found = world.metastore.get_documents(vec![key()]).await.expect("readable").pop().flatten().expect("there");
        let number: u32 = String::from_utf8_lossy(&found.body).parse().expect("a number");
        let change = DocumentChange::Put((number + 1).to_string().into());
        let expect = Expect::Version(found.version);
        let documents = DocumentWrite { puts: vec![DocumentPut { key: key(), expect, change }] };
        let ready = match prepared.take() {
            Some(ready) => Ok(ready),
            None => agent.atomic.prepare(vec![append(world.partition(0), &[&format!("{name}-{done}")])]).await,
        };
        match ready.expect("the store works").commit(documents).await {
            Ok(receipt) => {
                assert_eq!(receipt.base_offsets, [Offset(i64::from(number))], "one record per count");
                done += 1;
            }
            Err(rejected) => {
                assert!(matches!(rejected.failure, AtomicFailure::Conflict(_) | AtomicFailure::Unavailable(_)));
                prepared = rejected.prepared;
            }
        }
    }
    done
}

/// Three agents count in one document under every kind of mishap; a record exists exactly where the count moved.
#[test]
fn the_log_and_the_document_never_disagree() {
    for seed in 0..40 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let world = World::new().await;
            world.metastore.write_documents(put(Expect::Absent, "0")).await.expect("created");
            let agents = [1, 2, 3].map(|number| world.agent(number, LogSettings::default()));
            let agents = futures::future::join_all(agents).await;
            let random = Rng::from_seed(seed);
            let mishap = |_| match random.below(8) {
                0 => Mishap::AnswerLost,
                1 => Mishap::RequestLost,
                2 => Mishap::Late(Duration::from_millis(random.below(3_000))),
                3 => Mishap::Unavailable,
                4 => Mishap::Tombstoned,
                _ => Mishap::Slow(Duration::from_millis(random.below(100))),
            };
            world.mishaps(&(0..60).map(mishap).collect::<Vec<_>>());
            *world.metastore.receipts_unavailable.lock().unwrap() = u32::try_from(random.below(6)).expect("small");
            let counting = agents.iter().enumerate().map(|(name, agent)| count(agent, &world, name, 5));
            let done: u32 = futures::future::join_all(counting).await.into_iter().sum();
            tokio::time::sleep(Duration::from_secs(10)).await;
            let counted = state(&world).await.expect("there").1;
            let read = agents[0].read(world.partition(0), 0).await;
            assert_eq!((counted, read.len()), (done.to_string(), 15), "seed {seed}");
            let names: std::collections::BTreeSet<_> = read.into_iter().map(|(_, value)| value).collect();
            assert_eq!(names.len(), 15, "seed {seed}: every record once");
        });
    }
}
