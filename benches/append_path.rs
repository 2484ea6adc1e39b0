//! How much the whole write path costs, from a batch's bytes to its offset, when store and metastore cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use object_store::memory::InMemory;
use towpath::base::clock::{Clock, SystemClock, Timestamp};
use towpath::base::metrics::Metrics;
use towpath::base::rng::Rng;
use towpath::base::task::Supervisor;
use towpath::config::log::LogSettings;
use towpath::config::objects::ObjectSettings;
use towpath::config::topic::TopicConfig;
use towpath::log::append::parts::WriterParts;
use towpath::log::append::values::{AppendRequest, PartitionAppend};
use towpath::log::append::writer::Writer;
use towpath::log::tail::Tail;
use towpath::metastore::catalog::Catalog;
use towpath::metastore::memory::store::MemoryMetastore;
use towpath::metastore::values::{NewNode, NewTopic};
use towpath::model::node::Endpoint;
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};
use towpath::object::cache::RangeCache;
use towpath::object::store::ObjectStorage;
use towpath::record::build::BatchBuilder;
use uuid::Uuid;

const TOPIC: TopicId = TopicId(Uuid::from_u128(7));
const PARTITIONS: i32 = 64;
const APPENDS: i32 = 256;

async fn writer(supervisor: &Supervisor) -> Writer {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metastore = Arc::new(MemoryMetastore::new(Arc::clone(&clock)));
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
    let node = metastore.register_node(node).await.expect("free").identity;
    let (rng, metrics) = (Rng::from_seed(1), Metrics::default());
    let objects = ObjectSettings { cache_tail_bytes: 64 << 20, ..ObjectSettings::default() };
    let settings = LogSettings { puts_per_second: 0.0, linger_idle_us: 0, ..LogSettings::default() };
    let parts = WriterParts {
        node: Arc::new(ArcSwap::from_pointee(node)),
        cluster_id: Uuid::from_u128(2),
        storage: ObjectStorage::over(Arc::new(InMemory::new()), "", &objects, rng.clone(), &metrics),
        metastore,
        tail: Tail::new(&settings),
        cache: RangeCache::new(&objects, &metrics),
        settings,
        rng,
        metrics,
        clock,
    };
    Writer::start(supervisor, parts)
}

fn batch(bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::default();
    builder.push_value(Timestamp(1_700_000_000_000), &vec![b'v'; bytes]);
    builder.build().expect("builds")
}

async fn append_all(writer: &Writer, batch: &Bytes, config: &Arc<TopicConfig>) {
    let append = |number: i32| {
        let partition = TopicIdPartition::new(TOPIC, PartitionIndex(number % PARTITIONS));
        let append = PartitionAppend { partition, config: Arc::clone(config), records: batch.clone() };
        let timeout = Duration::from_secs(30);
        writer.append(AppendRequest { partitions: vec![append], timeout, produce_version: 11 })
    };
    let outcomes = join_all((0..APPENDS).map(append).collect::<Vec<_>>()).await;
    assert!(outcomes.iter().flatten().all(Result::is_ok));
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for kibibytes in [1, 16, 64] {
        let batch = batch(kibibytes << 10);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let supervisor = Supervisor::default();
        let writer = runtime.block_on(writer(&supervisor));
        let config = Arc::new(TopicConfig { timestamp_after_max_ms: i64::MAX, ..TopicConfig::default() });
        group.throughput(Throughput::Bytes(batch.len() as u64 * APPENDS.unsigned_abs() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(format!("{kibibytes}KiB")), &batch, |bencher, batch| {
            bencher.to_async(&runtime).iter(|| append_all(&writer, batch, &config));
        });
        runtime.block_on(supervisor.stop(Duration::from_secs(1)));
    }
    group.finish();
}

criterion_group!(append_path, benches);
criterion_main!(append_path);
