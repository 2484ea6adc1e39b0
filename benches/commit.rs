//! How long the `postgres` metastore takes to commit an object, beside the smallest transactions of the same run.
//!
//! The kinds take turns, one after the other over one connection each, so that whatever else the machine does meets
//! all of them alike. Read the ratios. Skipped, loudly, where PostgreSQL is not installed.
#![allow(clippy::print_stdout, reason = "a bench without criterion prints what it found")]
#![allow(clippy::disallowed_methods, reason = "the client's connection is driven by a task of its own")]

#[path = "../tests/kit/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use more of it")]
mod postgres;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use towpath::base::clock::Timestamp;
use towpath::base::task::Supervisor;
use towpath::metastore::postgres::store::open;
use towpath::metastore::store::Metastore;
use towpath::metastore::values::{
    BatchCommit, BatchReceipt, CommitObject, DocumentWrite, NewNode, NewTopic, ProducerBatch, RangeCommit,
};
use towpath::model::node::{Endpoint, NodeIdentity};
use towpath::model::object::ObjectKey;
use towpath::model::producer::{ProducerEpoch, ProducerId, Sequence};
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};
use uuid::Uuid;

const TOPIC: TopicId = TopicId(Uuid::from_u128(7));
const PARTITIONS: i32 = 400;
const WIDE: i32 = 200;
const ROUNDS: u32 = 1_000;
const WARM_UP: u32 = 100;
const BATCH_BYTES: u32 = 16 << 10;
const RECORDS: u32 = 16;

/// Takes an id and writes nothing: the smallest transaction there is.
const EMPTY: &str = "SELECT pg_current_xact_id()";
/// Changes one row: the smallest transaction that writes.
const ONE_ROW: &str = "UPDATE one_row SET number = number + 1";

/// A kind of commit: how wide, and whether its batches come from idempotent producers.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    width: i32,
    /// Kinds have their own partitions as far as they can, and their own producers.
    producer: Option<i64>,
}

const KINDS: [Kind; 4] = [
    Kind { name: "1 partition", width: 1, producer: None },
    Kind { name: "1 partition, producer", width: 1, producer: Some(1) },
    Kind { name: "200 partitions", width: WIDE, producer: None },
    Kind { name: "200 partitions, producers", width: WIDE, producer: Some(1_000) },
];

fn commit(node: NodeIdentity, kind: Kind, round: u32) -> CommitObject {
    let number = u64::from(round);
    let range = |index: i32| RangeCommit {
        partition: TopicIdPartition::new(TOPIC, PartitionIndex(index)),
        position: 64 + u64::from(BATCH_BYTES) * u64::from(index.unsigned_abs()),
        batches: vec![BatchCommit {
            length: BATCH_BYTES,
            crc: 7,
            record_count: RECORDS,
            max_timestamp: Timestamp(1_700_000_000_000 + i64::from(round)),
            producer: kind.producer.map(|first| ProducerBatch {
                producer_id: ProducerId(first + i64::from(index)),
                producer_epoch: ProducerEpoch(0),
                base_sequence: Sequence((round * RECORDS).cast_signed()),
                begins_anywhere: false,
            }),
        }],
    };
    CommitObject {
        node,
        object: ObjectKey::from(format!("wal/{}/{number}", kind.name).as_str()),
        byte_size: 8 << 20,
        ranges: (0..kind.width).map(range).collect(),
        documents: DocumentWrite::default(),
        all_or_nothing: false,
    }
}

async fn prepare(metastore: &dyn Metastore) -> NodeIdentity {
    let topic = NewTopic {
        topic_id: TOPIC,
        name: TopicName::new("bench").expect("legal"),
        partition_count: PARTITIONS,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    metastore.create_topics(vec![topic]).await.expect("available");
    let node = NewNode {
        node_id: None,
        incarnation: Uuid::from_u128(1),
        endpoint: Endpoint { host: "bench".into(), port: 1 },
        rack: None,
        session_ms: u32::MAX,
    };
    metastore.register_node(node).await.expect("free").identity
}

fn microseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

async fn measure(server: &postgres::Postgres) -> Vec<(&'static str, Histogram<u64>)> {
    let supervisor = Supervisor::default();
    let schema = server.schema();
    let metastore: Arc<dyn Metastore> =
        open(&server.url_at(server.address(), &schema), 2, &supervisor).await.expect("the metastore opens");
    let node = prepare(&*metastore).await;
    let client = server.connect(&schema).await;
    client.batch_execute("CREATE TABLE one_row AS SELECT 1 AS number").await.expect("creates");
    let empty = client.prepare(EMPTY).await.expect("prepares");
    let one_row = client.prepare(ONE_ROW).await.expect("prepares");

    let histogram = || Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("possible bounds");
    let mut found = vec![("empty transaction", histogram()), ("one row changed", histogram())];
    found.extend(KINDS.map(|kind| (kind.name, histogram())));
    for round in 0..WARM_UP + ROUNDS {
        let mut note = |index: usize, since: Instant| {
            if round >= WARM_UP {
                found[index].1.saturating_record(microseconds(since));
            }
        };
        let since = Instant::now();
        client.query(&empty, &[]).await.expect("answers");
        note(0, since);
        let since = Instant::now();
        client.execute(&one_row, &[]).await.expect("answers");
        note(1, since);
        for (index, kind) in KINDS.into_iter().enumerate() {
            let commit = commit(node, kind, round);
            let since = Instant::now();
            let receipt = metastore.commit_object(commit).await.expect("commits");
            note(index + 2, since);
            let batches = receipt.ranges.iter().flat_map(|range| &range.batches);
            assert!(batches.clone().all(|batch| matches!(batch, BatchReceipt::Appended { .. })), "a batch was refused");
            assert_eq!(batches.count(), kind.width.unsigned_abs() as usize);
        }
    }
    metastore.close().await.expect("closes");
    supervisor.stop(Duration::from_secs(10)).await;
    found
}

fn main() {
    let Some(server) = postgres::postgres() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let found = runtime.block_on(measure(server));
    let Some((_, smallest)) = found.first() else { return };
    let base = [0.5, 0.99].map(|quantile| smallest.value_at_quantile(quantile).max(1) as f64);
    println!("{ROUNDS} rounds; microseconds, and how many times the empty transaction's");
    println!("{:28} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "p50 ÷", "p99 ÷");
    for (name, histogram) in &found {
        let [p50, p99] = [0.5, 0.99].map(|quantile| histogram.value_at_quantile(quantile));
        println!("{name:28} {p50:8} {p99:8} {:8.1} {:8.1}", p50 as f64 / base[0], p99 as f64 / base[1]);
    }
}
