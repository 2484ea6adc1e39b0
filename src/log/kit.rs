//! What tests of this room share: a log over a memory metastore and a memory store, both of which can misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use uuid::Uuid;

use crate::base::clock::{Clock, ManualClock, Timestamp};
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::log::LogSettings;
use crate::config::objects::ObjectSettings;
use crate::config::topic::{TimestampType, TopicConfig};
use crate::log::append::atomic::AtomicAppend;
use crate::log::append::parts::WriterParts;
use crate::log::append::values::{AppendOutcome, AppendRequest, Appended, PartitionAppend};
use crate::log::append::writer::Writer;
use crate::log::feed::{FeedFollower, FeedParts};
use crate::log::fetch::reader::{Reader, ReaderParts};
use crate::log::fetch::values::{FetchRequest, PartitionFetch};
use crate::log::offsets::OffsetFinder;
use crate::log::tail::Tail;
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::cached::CatalogCache;
use crate::metastore::catalog::Catalog;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::state_store::StateStore;
use crate::metastore::store::Metastore;
use crate::metastore::values::*;
use crate::model::node::{Endpoint, NodeIdentity};
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};
use crate::object::cache::RangeCache;
use crate::object::meter::Operation;
use crate::object::store::ObjectStorage;
use crate::record::batch::{Batches, RecordBatch};
use crate::record::build::{BatchBuilder, BatchShape};

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);

/// What the next commit does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It is applied, but the answer is lost.
    AnswerLost,
    /// It is not applied, and nobody knows.
    RequestLost,
    /// It is applied much later, and nobody knows when.
    Late(Duration),
    /// It is refused for now.
    Unavailable,
    /// It works, but takes a while.
    Slow(Duration),
    /// The object was tombstoned just before.
    Tombstoned,
}

/// What the next write of documents does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DocumentMishap {
    /// It is applied, but the answer is lost.
    AnswerLost,
    /// The same, and it takes as long until that is known.
    AnswerLostAfter(Duration),
    /// It is not applied, and nobody knows.
    RequestLost,
    /// It is refused for now.
    Unavailable,
    /// It works.
    None,
}

/// How documents misbehave, and how often they are asked for.
#[derive(Debug, Default)]
pub(crate) struct DocumentMishaps {
    pub next: Mutex<VecDeque<DocumentMishap>>,
    /// How long each write takes.
    pub write_time: Mutex<Duration>,
    /// How many puts each write had.
    pub writes: Mutex<Vec<usize>>,
    /// How often documents were read.
    pub reads: Mutex<u32>,
}

/// A memory metastore that misbehaves on demand.
#[derive(Debug)]
pub(crate) struct ToxicMetastore {
    pub inner: Arc<MemoryMetastore>,
    pub mishaps: Mutex<VecDeque<Mishap>>,
    /// Receipts can not be read as long as this many questions are left.
    pub receipts_unavailable: Mutex<u32>,
    /// Every commit that was tried, by object.
    pub commits: Mutex<Vec<ObjectKey>>,
    /// How often extents were asked for.
    pub lookups: Mutex<u32>,
    /// The same for documents.
    pub documents: DocumentMishaps,
}

#[async_trait]
impl BatchIndex for ToxicMetastore {
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt> {
        self.commits.lock().unwrap().push(commit.object.clone());
        let mishap = self.mishaps.lock().unwrap().pop_front();
        match mishap {
            None => self.inner.commit_object(commit).await,
            Some(Mishap::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                self.inner.commit_object(commit).await
            }
            Some(Mishap::AnswerLost) => {
                self.inner.commit_object(commit).await?;
                Err(MetastoreError::Unknown("answer lost".into()))
            }
            Some(Mishap::Late(pause)) => {
                let (inner, commit) = (Arc::clone(&self.inner), commit.clone());
                #[allow(clippy::disallowed_methods, reason = "a message in the network belongs to no agent")]
                tokio::task::spawn(async move {
                    tokio::time::sleep(pause).await;
                    inner.commit_object(commit).await
                });
                Err(MetastoreError::Unknown("late".into()))
            }
            Some(Mishap::RequestLost) => Err(MetastoreError::Unknown("request lost".into())),
            Some(Mishap::Unavailable) => Err(MetastoreError::Unavailable("down".into())),
            Some(Mishap::Tombstoned) => {
                self.inner.tombstone(vec![commit.object.clone()]).await?;
                self.inner.commit_object(commit).await
            }
        }
    }
    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        {
            let mut left = self.receipts_unavailable.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return Err(MetastoreError::Unavailable("down".into()));
            }
        }
        self.inner.receipt(object).await
    }
    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        *self.lookups.lock().unwrap() += 1;
        self.inner.find_extents(queries).await
    }
    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        self.inner.bounds(partitions).await
    }
    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        self.inner.find_by_time(queries).await
    }
    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        self.inner.move_log_start(moves).await
    }
    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        self.inner.feed(after, wait).await
    }
    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        self.inner.expire_producers(idle).await
    }
}

#[async_trait]
impl Catalog for ToxicMetastore {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        self.inner.cluster_id(proposed).await
    }
    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }
    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        self.inner.catalog(known).await
    }
    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        self.inner.create_topics(topics).await
    }
    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        self.inner.delete_topics(topics).await
    }
    async fn create_partitions(
        &self,
        topic_id: TopicId,
        count: i32,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        self.inner.create_partitions(topic_id, count).await
    }
    async fn alter_configs(
        &self,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        self.inner.alter_configs(resource, changes).await
    }
    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        self.inner.register_node(node).await
    }
    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        self.inner.beat(node, draining).await
    }
    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        self.inner.deregister_node(node).await
    }
    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        self.inner.allocate_producer_ids(count).await
    }
}

#[async_trait]
impl ObjectLedger for ToxicMetastore {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        self.inner.object_states(keys).await
    }
    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        self.inner.tombstone(keys).await
    }
    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        self.inner.dereferenced(grace, limit).await
    }
    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        self.inner.forget(keys).await
    }
}

#[async_trait]
impl StateStore for ToxicMetastore {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        *self.documents.reads.lock().unwrap() += 1;
        self.inner.get_documents(keys).await
    }
    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        self.inner.list_documents(kind, prefix, after, limit).await
    }
    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        self.documents.writes.lock().unwrap().push(write.puts.len());
        let pause = *self.documents.write_time.lock().unwrap();
        tokio::time::sleep(pause).await;
        let mishap = self.documents.next.lock().unwrap().pop_front();
        match mishap.unwrap_or(DocumentMishap::None) {
            DocumentMishap::None => self.inner.write_documents(write).await,
            DocumentMishap::Unavailable => Err(MetastoreError::Unavailable("down".into())),
            DocumentMishap::RequestLost => Err(MetastoreError::Unknown("request lost".into())),
            DocumentMishap::AnswerLost => {
                self.inner.write_documents(write).await?;
                Err(MetastoreError::Unknown("answer lost".into()))
            }
            DocumentMishap::AnswerLostAfter(pause) => {
                self.inner.write_documents(write).await?;
                tokio::time::sleep(pause).await;
                Err(MetastoreError::Unknown("answer lost".into()))
            }
        }
    }
}

#[async_trait]
impl Metastore for ToxicMetastore {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

/// A memory store whose PUTs take a chosen time each, and may fail.
#[derive(Debug)]
pub(crate) struct SlowStore {
    pub inner: InMemory,
    /// How long the next PUTs take; the last one stays.
    pub puts: Mutex<VecDeque<Duration>>,
    /// How long GETs take.
    pub get_time: Mutex<Duration>,
    /// Whether PUTs are refused for good.
    pub refuses: Mutex<bool>,
    pub puts_now: Mutex<(u32, u32)>,
}

impl std::fmt::Display for SlowStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("slow")
    }
}

#[async_trait]
impl ObjectStore for SlowStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let pause = {
            let mut puts = self.puts.lock().unwrap();
            if puts.len() > 1 { puts.pop_front() } else { puts.front().copied() }.unwrap_or_default()
        };
        {
            let mut now = self.puts_now.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
        }
        tokio::time::sleep(pause).await;
        self.puts_now.lock().unwrap().0 -= 1;
        if *self.refuses.lock().unwrap() {
            let source = "no such rights".into();
            return Err(object_store::Error::PermissionDenied { path: location.to_string(), source });
        }
        self.inner.put_opts(location, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let pause = *self.get_time.lock().unwrap();
        tokio::time::sleep(pause).await;
        self.inner.get_opts(location, options).await
    }
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let pause = *self.get_time.lock().unwrap();
        tokio::time::sleep(pause).await;
        self.inner.get_ranges(location, ranges).await
    }
    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// What all agents of a test share.
#[derive(Clone)]
pub(crate) struct World {
    pub clock: Arc<ManualClock>,
    pub metastore: Arc<ToxicMetastore>,
    pub store: Arc<SlowStore>,
    pub topic_id: TopicId,
}

/// One agent's log.
pub(crate) struct Agent {
    pub supervisor: Supervisor,
    pub node: Arc<ArcSwap<NodeIdentity>>,
    pub storage: ObjectStorage,
    pub tail: Tail,
    pub writer: Writer,
    pub atomic: AtomicAppend,
    pub reader: Reader,
    pub offsets: OffsetFinder,
}

impl World {
    /// A world with one topic of eight partitions. Must be called in paused time.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        let metastore = Arc::new(ToxicMetastore {
            inner: Arc::new(MemoryMetastore::new(Arc::<ManualClock>::clone(&clock))),
            mishaps: Mutex::default(),
            receipts_unavailable: Mutex::default(),
            commits: Mutex::default(),
            lookups: Mutex::default(),
            documents: DocumentMishaps::default(),
        });
        let store = SlowStore {
            inner: InMemory::new(),
            puts: Mutex::default(),
            get_time: Mutex::default(),
            refuses: Mutex::default(),
            puts_now: Mutex::default(),
        };
        let topic_id = TopicId(Uuid::from_u128(77));
        let topic = NewTopic {
            topic_id,
            name: TopicName::new("events").expect("legal"),
            partition_count: 8,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        let created = metastore.create_topics(vec![topic]).await.expect("available");
        assert_eq!(created, [Ok(())]);
        Self { clock, metastore, store: Arc::new(store), topic_id }
    }

    /// An agent of this world.
    pub(crate) async fn agent(&self, seed: u64, settings: LogSettings) -> Agent {
        let node = NewNode {
            node_id: None,
            incarnation: Uuid::from_u128(u128::from(seed)),
            endpoint: Endpoint { host: "h".into(), port: 1 },
            rack: None,
            session_ms: 600_000_000,
        };
        let identity = self.metastore.register_node(node).await.expect("free").identity;
        let node = Arc::new(ArcSwap::from_pointee(identity));
        let (supervisor, metrics, rng) = (Supervisor::default(), Metrics::default(), Rng::from_seed(seed));
        let object_settings = ObjectSettings { hedge: false, attempts_max: 1, ..ObjectSettings::default() };
        let store = Arc::<SlowStore>::clone(&self.store);
        let storage = ObjectStorage::over(store, "", &object_settings, rng.clone(), &metrics);
        let (tail, cache) = (Tail::new(&settings), RangeCache::new(&object_settings, &metrics));
        let metastore: Arc<dyn Metastore> = Arc::<ToxicMetastore>::clone(&self.metastore);
        let feed = FeedParts {
            metastore: Arc::clone(&metastore),
            catalog: CatalogCache::new(Arc::clone(&metastore)),
            tail: tail.clone(),
            rng: rng.clone(),
            settings: settings.clone(),
        };
        FeedFollower::start(&supervisor, feed);
        let parts = WriterParts {
            node: Arc::clone(&node),
            cluster_id: Uuid::from_u128(5),
            storage: storage.clone(),
            metastore: Arc::clone(&metastore),
            tail: tail.clone(),
            cache: cache.clone(),
            settings: settings.clone(),
            rng,
            metrics,
            clock: Arc::<ManualClock>::clone(&self.clock) as Arc<dyn Clock>,
        };
        let atomic = AtomicAppend::new(&parts);
        let writer = Writer::start(&supervisor, parts);
        let parts = ReaderParts { metastore, tail: tail.clone(), storage: storage.clone(), cache, settings };
        let offsets = OffsetFinder::new(parts.clone());
        Agent { supervisor, node, storage, tail, writer, atomic, reader: Reader::new(parts), offsets }
    }

    pub(crate) fn partition(&self, index: i32) -> TopicIdPartition {
        TopicIdPartition::new(self.topic_id, PartitionIndex(index))
    }

    /// How long the next PUTs take, in milliseconds; the last one stays.
    pub(crate) fn put_times(&self, milliseconds: &[u64]) {
        *self.store.puts.lock().unwrap() = milliseconds.iter().copied().map(Duration::from_millis).collect();
    }

    pub(crate) fn mishaps(&self, mishaps: &[Mishap]) {
        self.metastore.mishaps.lock().unwrap().extend(mishaps);
    }

    /// Every object in the store.
    pub(crate) async fn objects(&self) -> Vec<Path> {
        use futures::TryStreamExt;
        let objects: Vec<ObjectMeta> = self.store.inner.list(None).try_collect().await.expect("listed");
        objects.into_iter().map(|object| object.location).collect()
    }

    /// Flips one bit of every object.
    pub(crate) async fn corrupt_all(&self) {
        for path in self.objects().await {
            self.flip(&path).await;
        }
    }

    /// Flips one bit of an object, behind its header and its first batch's: in a record.
    pub(crate) async fn flip(&self, path: &Path) {
        let bytes = self.store.inner.get(path).await.expect("there").bytes().await.expect("whole");
        let mut bytes = bytes.to_vec();
        bytes[64 + 61 + 8] ^= 1;
        self.store.inner.put(path, bytes.into()).await.expect("written");
    }

    pub(crate) async fn delete_all(&self) {
        for path in self.objects().await {
            self.store.inner.delete(&path).await.expect("deleted");
        }
    }
}

impl Agent {
    /// Appends values to one partition; each value is a record of one batch.
    pub(crate) fn append(
        &self,
        partition: TopicIdPartition,
        values: &[&str],
    ) -> impl Future<Output = AppendOutcome> + Send + 'static + use<> {
        self.append_batch(partition, batch(None, values))
    }

    /// Appends as an idempotent producer would.
    pub(crate) fn append_as(
        &self,
        (producer_id, sequence): (i64, i32),
        partition: TopicIdPartition,
        values: &[&str],
    ) -> impl Future<Output = AppendOutcome> + Send + 'static + use<> {
        let producer = (ProducerId(producer_id), ProducerEpoch(0), Sequence(sequence));
        self.append_batch(partition, batch(Some(producer), values))
    }

    pub(crate) fn append_batch(
        &self,
        partition: TopicIdPartition,
        records: Bytes,
    ) -> impl Future<Output = AppendOutcome> + Send + 'static + use<> {
        let request = request(partition, records, Duration::from_secs(30));
        let outcomes = self.writer.append(request);
        async move { outcomes.await.pop().expect("one outcome") }
    }

    /// Values of one partition from an offset on, with their offsets.
    pub(crate) async fn read(&self, partition: TopicIdPartition, offset: i64) -> Vec<(i64, String)> {
        let outcome = self.reader.fetch(fetch(partition, offset)).await.pop().expect("one outcome");
        records(&outcome.expect("readable").records)
    }

    pub(crate) fn puts(&self) -> u64 {
        self.storage.counters().total(Operation::Put).requests
    }

    pub(crate) fn gets(&self) -> u64 {
        self.storage.counters().total(Operation::Get).requests
    }
}

pub(crate) fn request(partition: TopicIdPartition, records: Bytes, timeout: Duration) -> AppendRequest {
    let config = Arc::new(TopicConfig::default());
    AppendRequest { partitions: vec![PartitionAppend { partition, config, records }], timeout, produce_version: 13 }
}

/// A fetch that does not wait.
pub(crate) fn fetch(partition: TopicIdPartition, offset: i64) -> FetchRequest {
    let fetch = PartitionFetch {
        partition,
        offset: Offset(offset),
        bytes_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
    };
    FetchRequest {
        partitions: vec![fetch],
        bytes_min: 1,
        wait_max: Duration::ZERO,
        bytes_max: 50 << 20,
        read_committed: false,
    }
}

pub(crate) fn batch(producer: Option<(ProducerId, ProducerEpoch, Sequence)>, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchShape { producer, ..BatchShape::default() });
    for value in values {
        builder.push_value(START, value.as_bytes());
    }
    builder.build().expect("builds")
}

/// What an answer's slices hold.
pub(crate) fn records(slices: &[Bytes]) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for batch in Batches::new(Bytes::from(slices.concat())) {
        let batch: RecordBatch = batch.expect("whole batches");
        batch.verify().expect("a good checksum");
        let body = batch.body(1 << 24).expect("decompresses");
        for record in batch.records(&body) {
            let record = record.expect("well-formed");
            found.push((record.offset.0, String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned()));
        }
    }
    found
}

pub(crate) fn appended(base_offset: i64) -> AppendOutcome {
    let (log_append_time, log_start_offset) = (Timestamp::NONE, Offset(0));
    Ok(Appended { base_offset: Offset(base_offset), log_append_time, log_start_offset })
}
