//! The `postgres` metastore against a real PostgreSQL: the contract, races between agents, lost answers, the feed
//! across agents.
//!
//! Skipped, loudly, where PostgreSQL is not installed.
#![allow(clippy::disallowed_methods, reason = "tests spawn what races")]

mod kit;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kit::cutter::{Cut, Cutter};
use kit::postgres::postgres;
use proptest::prelude::*;
use towpath::base::clock::SystemClock;
use towpath::base::task::Supervisor;
use towpath::metastore::conformance::equivalence::compare;
use towpath::metastore::conformance::kit::{
    Bench, appended, body, duplicate, new_node, partition, plain, produced, range,
};
use towpath::metastore::conformance::suite;
use towpath::metastore::error::MetastoreError;
use towpath::metastore::memory::store::MemoryMetastore;
use towpath::metastore::postgres::store::open;
use towpath::metastore::store::Metastore;
use towpath::metastore::values::{
    BatchReceipt, BatchRefusal, DocumentKind, DocumentPut, DocumentWrite, Expect, FeedEntry, FeedPosition,
    LogStartMove, LogStartReceipt,
};
use towpath::model::offset::Offset;
use towpath::model::producer::ProducerId;
use towpath::model::topic::TopicIdPartition;

/// A metastore and the supervisor of its tasks.
struct Agent {
    metastore: Arc<dyn Metastore>,
    supervisor: Supervisor,
}

impl Agent {
    async fn start(url: &str, connections: usize) -> Self {
        let supervisor = Supervisor::default();
        let metastore = open(url, connections, &supervisor).await.expect("the metastore opens");
        Self { metastore, supervisor }
    }

    async fn bench(&self) -> Bench {
        Bench::new(Arc::clone(&self.metastore)).await
    }

    async fn stop(self) {
        self.metastore.close().await.expect("the metastore closes");
        self.supervisor.stop(Duration::from_secs(10)).await;
    }
}

// ---------------------------------------------------------------- the contract

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let Some(server) = postgres() else { return };
    let agent = Agent::start(&server.url(), 4).await;
    let mut broken = Vec::new();
    for case in suite::cases() {
        let (metastore, name) = (Arc::clone(&agent.metastore), case.name);
        if tokio::spawn(async move { case.run(metastore).await }).await.is_err() {
            broken.push(name);
        }
    }
    agent.stop().await;
    assert!(broken.is_empty(), "broken: {broken:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random steps are answered as the specification answers them, also when another agent goes on in between.
    #[test]
    fn postgres_equals_memory(choices in prop::collection::vec(any::<u64>(), 1..250)) {
        if let Some(server) = postgres() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let url = server.url();
                let memory = Arc::new(MemoryMetastore::new(Arc::new(SystemClock)));
                let first = Agent::start(&url, 2).await;
                let others: Arc<Mutex<Vec<Agent>>> = Arc::default();
                let kept = Arc::clone(&others);
                let reopen = move || -> BoxFuture<'static, Arc<dyn Metastore>> {
                    let (url, kept) = (url.clone(), Arc::clone(&kept));
                    Box::pin(async move {
                        let agent = Agent::start(&url, 2).await;
                        let metastore = Arc::clone(&agent.metastore);
                        kept.lock().expect("not poisoned").push(agent);
                        metastore
                    })
                };
                compare(&choices, memory, Arc::clone(&first.metastore), Some(&reopen)).await;
                first.stop().await;
                let others = std::mem::take(&mut *others.lock().expect("not poisoned"));
                for agent in others {
                    agent.stop().await;
                }
            });
        }
    }
}

// ---------------------------------------------------------------- races

/// Four writers on two agents commit to the same partitions, each as an idempotent producer that repeats some of
/// its commits, while log starts move and topics come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_race_on_the_same_partitions_leave_no_gap() {
    const WIDTH: i32 = 12;
    const COMMITS: i32 = 40;
    let Some(server) = postgres() else { return };
    let url = server.url();
    let agents = [Agent::start(&url, 3).await, Agent::start(&url, 3).await];
    let bench = agents[0].bench().await;
    let topic_id = bench.topic("raced", WIDTH).await;
    let mut writers = Vec::new();
    for writer in 0..4_i32 {
        let bench = agents[writer as usize % 2].bench().await;
        writers.push(tokio::spawn(async move {
            for commit in 0..COMMITS {
                // Overlapping sets of partitions, so that locks are met in many orders.
                let width = (commit + writer) % WIDTH + 1;
                let ranges = |object: u64| {
                    let batch = produced(ProducerId(100 + i64::from(writer)), 0, 0, 3);
                    let of = |index: i32| match index % 2 {
                        0 => range(partition(topic_id, index), object, vec![plain(2, 10), plain(1, 5)]),
                        _ => range(partition(topic_id, index), object, vec![batch]),
                    };
                    (0..width).map(of).collect::<Vec<_>>()
                };
                let name = format!("{writer}-{commit}");
                let receipt = bench.commit(&name, ranges(0)).await;
                let again = bench.commit(&name, ranges(0)).await;
                assert_eq!(receipt, again, "a repeated commit answers as the first did");
                for range in &receipt.ranges {
                    match range.batches[0] {
                        BatchReceipt::Appended { .. } | BatchReceipt::Duplicate { .. } => {}
                        BatchReceipt::Refused(refusal) => panic!("{refusal:?}"),
                    }
                }
            }
        }));
    }
    let mover = {
        let bench = agents[1].bench().await;
        tokio::spawn(async move {
            for round in 0..40 {
                let to = |index| LogStartMove { partition: partition(topic_id, index), offset: Some(Offset(round)) };
                // In the wrong order on purpose.
                let moves = (0..WIDTH).rev().map(to).collect();
                bench.metastore.move_log_start(moves).await.expect("log starts move");
                let other = bench.topic(&format!("other-{round}"), 3).await;
                bench.commit(&format!("other-{round}"), vec![range(partition(other, 0), 0, vec![plain(1, 1)])]).await;
                bench.metastore.delete_topics(vec![other]).await.expect("topics are deleted");
            }
        })
    };
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    mover.await.expect("the mover does not fail");
    for index in 0..WIDTH {
        let of = partition(topic_id, index);
        let bounds = bench.bounds(of).await;
        let extents = bench.extents(of, bounds.log_start_offset.0).await;
        let mut next = extents.first().map_or(bounds.high_watermark, |extent| extent.base_offset);
        assert!(next <= bounds.log_start_offset, "the log start is covered");
        for extent in &extents {
            assert_eq!(extent.base_offset, next, "{of} has no gap");
            next = extent.last_offset.plus(1);
        }
        assert_eq!(next, bounds.high_watermark);
        assert_eq!(bounds.byte_size, extents.iter().map(|extent| u64::from(extent.bytes.length)).sum::<u64>());
    }
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_fenced_through_one_agent_commits_nothing_through_another() {
    let Some(server) = postgres() else { return };
    let url = server.url();
    let (first, second) = (Agent::start(&url, 2).await, Agent::start(&url, 2).await);
    let bench = first.bench().await;
    let of = bench.partition("topic").await;
    let incarnation = bench.uuid();
    let zombie = first.metastore.register_node(new_node(None, incarnation, 60_000)).await.expect("registered");
    let mut commit = bench.commit_of("late", vec![range(of, 0, vec![plain(1, 1)])]);
    commit.node = zombie.identity;
    let wanted = Some(zombie.identity.node_id);
    second.metastore.register_node(new_node(wanted, incarnation, 60_000)).await.expect("registered anew");
    let outcome = first.metastore.commit_object(commit).await;
    assert!(matches!(outcome, Err(MetastoreError::Fenced { node_id, .. }) if Some(node_id) == wanted), "{outcome:?}");
    assert_eq!(bench.bounds(of).await.high_watermark, Offset(0));
    first.stop().await;
    second.stop().await;
}

// ---------------------------------------------------------------- lost answers

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_unknown_until_its_receipt_tells() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let cutter = Cutter::start(server.address()).await;
    let agent = Agent::start(&server.url_at(cutter.address, &schema), 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    let producer = ProducerId(7);
    let one =
        |name: &str, sequence| bench.commit_of(name, vec![range(of, 0, vec![produced(producer, 0, sequence, 1)])]);
    agent.metastore.commit_object(one("first", 0)).await.expect("committed");

    // One statement: the object's key is among its parameters.
    for (name, cut, applied) in [("answer", Cut::Answer, true), ("request", Cut::Request, false)] {
        let commit = one(name, if applied { 1 } else { 2 });
        cutter.arm(commit.object.as_str().as_bytes(), cut);
        let outcome = agent.metastore.commit_object(commit.clone()).await;
        assert!(matches!(outcome, Err(MetastoreError::Unknown(_))), "{name}: {outcome:?}");
        assert!(!cutter.is_armed(), "{name}: the connection was cut");
        let receipt = agent.metastore.receipt(&commit.object).await.expect("receipts can be asked for");
        assert_eq!(receipt.is_some(), applied, "{name}");
        let again = agent.metastore.commit_object(commit).await.expect("a repetition goes through");
        if let Some(receipt) = receipt {
            assert_eq!(again, receipt, "{name}: it was not applied twice");
        }
    }

    // A duplicate takes a transaction of several statements; the last is the commit.
    let commit = one("duplicate", 0);
    cutter.arm(b"COMMIT\0", Cut::Answer);
    let outcome = agent.metastore.commit_object(commit.clone()).await;
    assert!(matches!(outcome, Err(MetastoreError::Unknown(_))), "{outcome:?}");
    let receipt = agent.metastore.receipt(&commit.object).await.expect("receipts can be asked for").expect("applied");
    assert_eq!(duplicate(receipt.ranges[0].batches[0]), 0);
    assert_eq!(bench.bounds(of).await.high_watermark, Offset(3), "each batch counts once");

    // What precedes the commit is no commit: the step is made again by itself.
    let commit = one("early", 0);
    cutter.arm(b"LOCK TABLE steps", Cut::Answer);
    let receipt = agent.metastore.commit_object(commit).await.expect("retried");
    assert!(!cutter.is_armed());
    assert_eq!(duplicate(receipt.ranges[0].batches[0]), 0);

    // A read has no outcome that could be unknown.
    cutter.arm(of.topic_id.0.as_bytes(), Cut::Answer);
    assert_eq!(bench.bounds(of).await.high_watermark, Offset(3));
    assert!(!cutter.is_armed());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_database_is_unavailable() {
    let Some(server) = postgres() else { return };
    // A port that nobody listens on any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port");
    let outcome = open(&server.url_at(address, "nowhere"), 1, &Supervisor::default()).await;
    assert!(matches!(outcome, Err(MetastoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_metastore_is_unavailable_and_lets_waiters_go() {
    let Some(server) = postgres() else { return };
    let agent = Agent::start(&server.url(), 2).await;
    let position = agent.bench().await.follow().await.position;
    let waiting = {
        let metastore = Arc::clone(&agent.metastore);
        tokio::spawn(async move { metastore.feed(position, Duration::from_secs(3600)).await })
    };
    tokio::task::yield_now().await;
    agent.metastore.close().await.expect("closed");
    let outcome = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("released").expect("no panic");
    assert!(matches!(outcome, Err(MetastoreError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(agent.metastore.now().await, Err(MetastoreError::Unavailable(_))));
    agent.stop().await;
}

// ---------------------------------------------------------------- the feed

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_wakes_a_reader_on_another_agent() {
    const ROUNDS: i32 = 40;
    let Some(server) = postgres() else { return };
    let url = server.url();
    let (writer, reader) = (Agent::start(&url, 2).await, Agent::start(&url, 2).await);
    let bench = writer.bench().await;
    let of = bench.partition("topic").await;
    let mut follower = reader.bench().await.follow().await;
    let rounds = async {
        for round in 0..ROUNDS {
            let metastore = Arc::clone(&reader.metastore);
            let from = follower.position;
            let waiting = tokio::spawn(async move { metastore.feed(from, Duration::from_secs(3600)).await });
            bench.append(&format!("round-{round}"), of, vec![plain(1, 1)]).await;
            let page = waiting.await.expect("no panic").expect("news");
            assert_eq!(page.entries.len(), 1);
            assert_eq!(page.entries[0].bounds.high_watermark, Offset(i64::from(round) + 1));
            follower.position = page.position;
        }
    };
    // Without notifications each round would take the second after which the reader looks by itself.
    tokio::time::timeout(Duration::from_secs(ROUNDS as u64 / 2), rounds).await.expect("readers are woken");
    writer.stop().await;
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_every_commit_of_all_agents_in_order() {
    const COMMITS: i64 = 60;
    let Some(server) = postgres() else { return };
    let url = server.url();
    let agents = [Agent::start(&url, 3).await, Agent::start(&url, 3).await];
    let bench = agents[0].bench().await;
    let topic_id = bench.topic("topic", 4).await;
    let mut follower = agents[1].bench().await.follow().await;
    let mut writers = Vec::new();
    for writer in 0..4 {
        let bench = agents[writer % 2].bench().await;
        writers.push(tokio::spawn(async move {
            for commit in 0..COMMITS {
                let indexes = if commit % 3 == 0 { 0..4 } else { (commit % 4) as i32..(commit % 4) as i32 + 1 };
                let ranges = indexes.map(|index| range(partition(topic_id, index), 0, vec![plain(1, 1)])).collect();
                bench.commit(&format!("{writer}-{commit}"), ranges).await;
            }
        }));
    }
    let mut next = [0_i64; 4];
    let all = 4 * (COMMITS / 3 * 4 + (COMMITS - COMMITS / 3));
    let follow = async {
        while next.iter().sum::<i64>() < all {
            for FeedEntry { partition, bounds, extents } in follower.pull(Duration::from_secs(5)).await {
                let next = &mut next[partition.partition.0 as usize];
                assert_eq!(extents.len(), 1);
                assert_eq!(extents[0].base_offset, Offset(*next), "nothing of {partition} is skipped or out of order");
                *next = bounds.high_watermark.0;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), follow).await.expect("everything arrives");
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_waits_for_a_step_that_commits_late() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let agent = Agent::start(&server.url_at(server.address(), &schema), 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    let before = bench.follow().await.position;

    // A step that took its place in the feed and has not committed yet.
    let late = server.connect(&schema).await;
    late.batch_execute("BEGIN; LOCK TABLE steps IN ROW EXCLUSIVE MODE; SELECT catalog_changed()").await.expect("begun");
    bench.append("early", of, vec![plain(1, 1)]).await;
    let page = agent.metastore.feed(before, Duration::from_millis(300)).await.expect("the feed");
    assert_eq!((page.position, page.entries.len()), (before, 0), "what comes after it is held back");
    late.batch_execute("COMMIT").await.expect("committed");
    let version = agent.metastore.feed(before, Duration::ZERO).await.expect("the feed").catalog_version;
    let mut follower = bench.follow().await;
    assert!(follower.position > before);
    follower.position = before;
    assert_eq!(follower.news(of, 1).await.len(), 1, "and comes once it is there");
    assert!(version.0 > 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_does_not_wait_for_transactions_that_are_none_of_its_business() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let agent = Agent::start(&server.url_at(server.address(), &schema), 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    let mut follower = bench.follow().await;
    // An open transaction with an id of its own, as a long job of some other application would be.
    let other = server.connect("public").await;
    other.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("begun");
    bench.append("object", of, vec![plain(1, 1)]).await;
    assert_eq!(follower.news(of, 1).await.len(), 1);
    other.batch_execute("COMMIT").await.expect("committed");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_follow_offsets_even_when_an_older_transaction_wins_the_lock_later() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let agent = Agent::start(&server.url_at(server.address(), &schema), 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    let mut follower = bench.follow().await;
    let old = server.connect(&schema).await;
    let begin = "BEGIN; LOCK TABLE steps IN ROW EXCLUSIVE MODE; SELECT pg_current_xact_id()";
    old.batch_execute(begin).await.expect("an id lower than the commit's");
    bench.append("object", of, vec![plain(3, 1)]).await;
    // The older transaction touches the partition after the younger one.
    let (topic_id, index) = (of.topic_id.0, of.partition.0);
    let moved = old.query_one("SELECT (move_log_start($1, $2, 2, 10)).log_start", &[&topic_id, &index]).await;
    assert_eq!(moved.expect("moved").get::<_, i64>(0), 2);
    let noted = old
        .query(
            "SELECT bounds_moved(ARRAY[$1::uuid], ARRAY[$2::integer], '{2}', '{3}', '{1}', '')",
            &[&topic_id, &index],
        )
        .await;
    noted.expect("noted");
    old.batch_execute("COMMIT").await.expect("committed");
    let steps = old
        .query(
            "SELECT object_key IS NULL FROM steps WHERE position > $1 ORDER BY position",
            &[&(follower.position.0 as i64)],
        )
        .await;
    let steps: Vec<bool> = steps.expect("steps").iter().map(|row| row.get(0)).collect();
    assert_eq!(steps, [false, true], "the commit comes before the move");
    assert_eq!(follower.news(of, 1).await.len(), 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_too_far_behind_is_reset_and_old_receipts_are_gone() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let agent = Agent::start(&server.url_at(server.address(), &schema), 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    let early = bench.follow().await.position;
    for index in 0..10 {
        bench.append(&format!("object-{index}"), of, vec![plain(1, 1)]).await;
    }
    let raw = server.connect(&schema).await;
    let trim = "SELECT trim_steps(now_ms() + 1000, 3, 1000)";
    let removed: i64 = raw.query_one(trim, &[]).await.expect("trimmed").get(0);
    assert!(removed >= 7, "{removed}");
    let page = agent.metastore.feed(early, Duration::ZERO).await.expect("the feed");
    assert!(page.reset && page.entries.is_empty());
    bench.append("after", of, vec![plain(1, 1)]).await;
    // Whoever else works on the server may hold the horizon back. Then the reset leads to before what was trimmed, and
    // comes once more: who is reset looks the ends up. Or steps that are kept come again before the new one, in order
    // and without a gap.
    let (mut after, mut ends) = (page, Vec::new());
    while ends.last() != Some(&11) {
        after = agent.metastore.feed(after.position, Duration::from_secs(10)).await.expect("the feed");
        if after.reset {
            ends = vec![bench.bounds(of).await.high_watermark.0];
        } else {
            assert!(!after.entries.is_empty(), "it goes on from there: {after:?}");
            ends.extend(after.entries.iter().map(|entry| entry.bounds.high_watermark.0));
        }
    }
    assert!(ends.len() < 11, "what is trimmed does not come back: {ends:?}");
    assert!(ends.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{ends:?}");

    assert_eq!(agent.metastore.receipt(&bench.object("object-0")).await.expect("asked"), None);
    assert!(agent.metastore.receipt(&bench.object("object-9")).await.expect("asked").is_some());
    let again = agent.metastore.commit_object(bench.commit_of("object-0", vec![range(of, 0, vec![plain(1, 1)])])).await;
    assert!(matches!(again, Err(MetastoreError::Unknown(_))), "never twice, even without a receipt: {again:?}");
    let ahead = FeedPosition(after.position.0 + (1 << 60));
    assert!(agent.metastore.feed(ahead, Duration::ZERO).await.expect("the feed").reset, "not of this database");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_go_on_after_a_dump_is_restored_into_a_younger_server() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let url = server.url_at(server.address(), &schema);
    let agent = Agent::start(&url, 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    bench.append("before", of, vec![plain(1, 1)]).await;
    agent.stop().await;
    // As if the dump came from a server that had used up many more transaction ids.
    let raw = server.connect(&schema).await;
    let age = "UPDATE steps SET position = position + (1::bigint << 50); \
               UPDATE partitions SET last_position = last_position + (1::bigint << 50)";
    raw.batch_execute(age).await.expect("aged");

    let agent = Agent::start(&url, 2).await;
    let bench = agent.bench().await;
    let mut follower = bench.follow().await;
    assert!(follower.position.0 > 1 << 50, "what was there is seen");
    bench.append("after", of, vec![plain(1, 1)]).await;
    assert_eq!(follower.news(of, 1).await.len(), 1);
    agent.stop().await;
}

// ---------------------------------------------------------------- the schema

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_start_at_once_migrate_once() {
    let Some(server) = postgres() else { return };
    let url = server.url();
    let agents = futures::future::join_all((0..6).map(|_| Agent::start(&url, 1))).await;
    let ids =
        futures::future::join_all(agents.iter().map(|agent| agent.metastore.cluster_id(uuid::Uuid::from_u128(1))));
    assert!(ids.await.into_iter().all(|id| id == Ok(uuid::Uuid::from_u128(1))));
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_from_a_newer_version_is_refused_unless_it_says_that_it_fits() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let url = server.url_at(server.address(), &schema);
    Agent::start(&url, 1).await.stop().await;
    let raw = server.connect(&schema).await;
    let newer = "INSERT INTO schema_migrations (number, name, needs) SELECT max(number) + 1, 'newer', max(number) \
                 FROM schema_migrations";
    raw.batch_execute(newer).await.expect("an expanding migration");
    Agent::start(&url, 1).await.stop().await;
    raw.batch_execute("UPDATE schema_migrations SET needs = number WHERE name = 'newer'")
        .await
        .expect("a contracting one");
    match open(&url, 1, &Supervisor::default()).await {
        Err(MetastoreError::Unreadable(sentence)) => assert!(sentence.contains("newer version"), "{sentence}"),
        other => panic!("expected a refusal, got {:?}", other.map(|metastore| metastore.backend())),
    }
}

// ---------------------------------------------------------------- what only this backend can get wrong

/// The database keeps the remembered batches grouped by commit, and counts records beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_known_across_commits_of_many_batches() {
    let Some(server) = postgres() else { return };
    let agent = Agent::start(&server.url(), 2).await;
    let bench = agent.bench().await;
    let of = bench.partition("topic").await;
    let batch = |sequence| produced(ProducerId(9), 0, sequence, 1);
    bench.append("three", of, vec![batch(0), batch(1), batch(2)]).await;
    bench.append("one", of, vec![batch(3)]).await;
    bench.append("four", of, vec![batch(4), batch(5), batch(6), batch(7)]).await;
    let receipt = bench.append("again", of, vec![batch(3), batch(7), batch(2), batch(8), batch(4), batch(9)]).await;
    assert_eq!((duplicate(receipt.batches[0]), duplicate(receipt.batches[1])), (3, 7));
    assert_eq!(receipt.batches[2], BatchReceipt::Refused(BatchRefusal::DuplicateSequence));
    assert_eq!((appended(receipt.batches[3]), appended(receipt.batches[5])), (8, 9));
    assert_eq!(duplicate(receipt.batches[4]), 4);
    assert_eq!(receipt.extents.len(), 2, "a duplicate splits");
    // The next one goes the short way again.
    assert_eq!(appended(bench.append("on", of, vec![batch(10)]).await.batches[0]), 10);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_to_a_topic_deleted_meanwhile_keeps_its_other_ranges() {
    let Some(server) = postgres() else { return };
    let agent = Agent::start(&server.url(), 2).await;
    let bench = agent.bench().await;
    let mut partitions: Vec<TopicIdPartition> = Vec::new();
    for name in ["one", "two", "three"] {
        partitions.push(bench.partition(name).await);
    }
    partitions.sort();
    bench.metastore.delete_topics(vec![partitions[1].topic_id]).await.expect("deleted");
    let key = bench.document(DocumentKind::Group, "document");
    let ranges = partitions.iter().map(|of| range(*of, 0, vec![plain(2, 8)])).collect();
    let mut commit = bench.commit_of("object", ranges);
    commit.documents =
        DocumentWrite { puts: vec![DocumentPut { key: key.clone(), expect: Expect::Absent, change: body("state") }] };
    let receipt = agent.metastore.commit_object(commit.clone()).await.expect("committed");
    assert_eq!(receipt.ranges[1].batches, [BatchReceipt::Refused(BatchRefusal::UnknownPartition)]);
    assert_eq!((appended(receipt.ranges[0].batches[0]), appended(receipt.ranges[2].batches[0])), (0, 0));
    assert_eq!(bench.read(&key).await.map(|(version, _)| version), Some(1));
    assert_eq!(agent.metastore.receipt(&commit.object).await.expect("asked"), Some(receipt));
    agent.stop().await;
}

/// More extents than one transaction drops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_extents_are_dropped_in_pieces() {
    let Some(server) = postgres() else { return };
    let schema = server.schema();
    let agent = Agent::start(&server.url_at(server.address(), &schema), 2).await;
    let bench = agent.bench().await;
    let topic_id = bench.topic("topic", 2).await;
    let (of, other) = (partition(topic_id, 0), partition(topic_id, 1));
    bench.append("object", of, vec![plain(1, 7)]).await;
    let raw = server.connect(&schema).await;
    let multiply = "INSERT INTO extents SELECT partition_id, n, n, object_id, position, length, crc, max_timestamp, \
                    running_max_timestamp, append_time FROM extents, generate_series(1, 12000) n; \
                    UPDATE partitions SET high_watermark = 12001, byte_size = 12001 * 7 WHERE high_watermark = 1; \
                    UPDATE objects SET extent_count = 12001";
    raw.batch_execute(multiply).await.expect("multiplied");
    let to = |of, offset| LogStartMove { partition: of, offset };
    let moves = vec![to(other, None), to(of, Some(Offset(11_000))), to(of, Some(Offset(20_000)))];
    let receipts = agent.metastore.move_log_start(moves).await.expect("moved");
    assert_eq!(
        receipts,
        [LogStartReceipt::At(Offset(0)), LogStartReceipt::At(Offset(11_000)), LogStartReceipt::OutOfRange]
    );
    let bounds = bench.bounds(of).await;
    assert_eq!((bounds.log_start_offset, bounds.byte_size), (Offset(11_000), 1_001 * 7));
    let left: i64 = raw.query_one("SELECT count(*) FROM extents", &[]).await.expect("counted").get(0);
    assert_eq!(left, 1_001);
    bench.metastore.delete_topics(vec![topic_id]).await.expect("deleted");
    let left =
        raw.query_one("SELECT count(*), (SELECT extent_count FROM objects) FROM extents", &[]).await.expect("counted");
    assert_eq!((left.get::<_, i64>(0), left.get::<_, i32>(1)), (0, 0));
    let dereferenced = bench.metastore.dereferenced(Duration::ZERO, 10).await.expect("asked");
    assert_eq!(dereferenced, [bench.object("object")]);
    agent.stop().await;
}
