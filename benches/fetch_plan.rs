//! How much a fetch costs whose bytes are in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use object_store::memory::InMemory;
use towpath::base::clock::{SystemClock, Timestamp};
use towpath::base::crc::crc32c_of;
use towpath::base::metrics::Metrics;
use towpath::base::rng::Rng;
use towpath::config::log::LogSettings;
use towpath::config::objects::ObjectSettings;
use towpath::config::topic::TimestampType;
use towpath::log::fetch::reader::{Reader, ReaderParts};
use towpath::log::fetch::values::{FetchRequest, PartitionFetch};
use towpath::log::tail::Tail;
use towpath::metastore::catalog::Catalog;
use towpath::metastore::memory::store::MemoryMetastore;
use towpath::metastore::values::{Extent, NewTopic, PartitionBounds};
use towpath::model::object::{ByteRange, ObjectKey};
use towpath::model::offset::Offset;
use towpath::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};
use towpath::object::cache::RangeCache;
use towpath::object::store::ObjectStorage;
use towpath::record::build::BatchBuilder;
use uuid::Uuid;

const TOPIC: TopicId = TopicId(Uuid::from_u128(7));
const PARTITIONS: i32 = 100;
const EXTENTS: i64 = 4;
const BATCHES: usize = 4;

fn partition(index: i32) -> TopicIdPartition {
    TopicIdPartition::new(TOPIC, PartitionIndex(index))
}

/// A reader with `EXTENTS` extents of `BATCHES` batches in memory for every partition.
async fn reader(batch: &Bytes) -> Reader {
    let (metrics, objects) = (Metrics::default(), ObjectSettings { cache_tail_bytes: 1 << 30, ..Default::default() });
    let (settings, cache) = (LogSettings::default(), RangeCache::new(&objects, &metrics));
    let tail = Tail::new(&settings);
    let metastore = Arc::new(MemoryMetastore::new(Arc::new(SystemClock)));
    let name = TopicName::new("bench").expect("legal");
    let configs = BTreeMap::new();
    let topic = NewTopic { topic_id: TOPIC, name, partition_count: PARTITIONS, replication_factor: 1, configs };
    metastore.create_topics(vec![topic]).await.expect("available");
    for index in 0..PARTITIONS {
        let slices = vec![batch.clone(); BATCHES];
        let length = u32::try_from(batch.len() * BATCHES).expect("small");
        let extent = |number: i64| Extent {
            base_offset: Offset(number * BATCHES as i64),
            last_offset: Offset((number + 1) * BATCHES as i64 - 1),
            object: ObjectKey::from(format!("wal/{number}").as_str()),
            bytes: ByteRange { position: index.unsigned_abs() as u64 * u64::from(length), length },
            crc: crc32c_of(&slices),
            max_timestamp: Timestamp(0),
            append_time: Timestamp(0),
        };
        let extents: Vec<Extent> = (0..EXTENTS).map(extent).collect();
        let end = Offset(EXTENTS * BATCHES as i64);
        let bounds =
            PartitionBounds { log_start_offset: Offset(0), high_watermark: end, last_stable_offset: end, byte_size: 0 };
        tail.apply(partition(index), bounds, &extents);
        for extent in &extents {
            cache.insert(&extent.object, extent.bytes, slices.clone());
        }
    }
    let storage = ObjectStorage::over(Arc::new(InMemory::new()), "", &objects, Rng::from_seed(1), &metrics);
    Reader::new(ReaderParts { metastore, tail, storage, cache, settings })
}

fn request() -> FetchRequest {
    let fetch = |index| PartitionFetch {
        partition: partition(index),
        offset: Offset(0),
        bytes_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
    };
    FetchRequest {
        partitions: (0..PARTITIONS).map(fetch).collect(),
        bytes_min: 1,
        wait_max: Duration::ZERO,
        bytes_max: u32::MAX,
        read_committed: false,
    }
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fetch");
    for bytes in [200, 16 << 10] {
        let mut builder = BatchBuilder::default();
        builder.push_value(Timestamp(0), &vec![b'v'; bytes]);
        let batch = builder.build().expect("builds");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let reader = runtime.block_on(reader(&batch));
        let total = batch.len() as u64 * BATCHES as u64 * EXTENTS.unsigned_abs() * PARTITIONS.unsigned_abs() as u64;
        group.throughput(Throughput::Bytes(total));
        group.bench_function(BenchmarkId::from_parameter(format!("{bytes}B batches")), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let outcomes = reader.fetch(request()).await;
                let fetched = outcomes.iter().flatten().flat_map(|fetched| &fetched.records);
                assert_eq!(fetched.map(|slice| slice.len() as u64).sum::<u64>(), total);
            });
        });
    }
    group.finish();
}

criterion_group!(fetch_plan, benches);
criterion_main!(fetch_plan);
