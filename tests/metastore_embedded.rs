//! What the embedded metastore promises beyond the contract: durability, fencing, group commit, and silence.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use tokio::sync::watch;
use towpath::base::clock::SystemClock;
use towpath::base::rng::Rng;
use towpath::base::task::Supervisor;
use towpath::config::metastore::MetastoreSettings;
use towpath::metastore::conformance::kit::{Bench, appended, body, partition, plain, range};
use towpath::metastore::error::MetastoreError;
use towpath::metastore::open::{Surroundings, open};
use towpath::metastore::store::Metastore;
use towpath::metastore::values::{DocumentKind, Expect, FeedPosition};
use towpath::model::offset::Offset;

/// How the store treats writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writes {
    Taken,
    Held,
    Refused,
}

/// A store in memory that counts requests and can hold or refuse writes.
#[derive(Debug)]
struct Toxic {
    inner: InMemory,
    writes: watch::Sender<Writes>,
    puts: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
}

impl Toxic {
    fn new() -> Arc<Self> {
        let writes = watch::Sender::new(Writes::Taken);
        let (puts, gets, lists) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { inner: InMemory::new(), writes, puts, gets, lists })
    }

    fn set(&self, writes: Writes) {
        self.writes.send_replace(writes);
    }

    fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    /// Reads so far: of objects, and of listings, which cost as much as a write.
    fn reads(&self) -> (u64, u64) {
        (self.gets.load(Ordering::Relaxed), self.lists.load(Ordering::Relaxed))
    }

    async fn put_request(&self) -> object_store::Result<()> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let mut writes = self.writes.subscribe();
        let allowed = writes.wait_for(|writes| *writes != Writes::Held).await.map(|writes| *writes);
        match allowed {
            Ok(Writes::Refused) => Err(object_store::Error::NotSupported { source: "refused by the test".into() }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Toxic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("toxic")
    }
}

#[async_trait]
impl ObjectStore for Toxic {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.put_request().await?;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.put_request().await?;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.put_request().await?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// A metastore, and what a crash of its agent would stop.
struct Agent {
    metastore: Arc<dyn Metastore>,
    supervisor: Supervisor,
}

async fn agent_with(store: &Arc<Toxic>, settings: &MetastoreSettings) -> Agent {
    let supervisor = Supervisor::default();
    let surroundings = Surroundings {
        store: Arc::clone(store) as Arc<dyn ObjectStore>,
        prefix: "metastore".into(),
        clock: Arc::new(SystemClock),
        rng: Rng::from_seed(7),
        supervisor: supervisor.clone(),
    };
    let metastore = open(settings, surroundings).await.expect("the metastore opens");
    Agent { metastore, supervisor }
}

async fn agent(store: &Arc<Toxic>) -> Agent {
    agent_with(store, &MetastoreSettings::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_nothing_that_was_answered() {
    let store = Toxic::new();
    let mut acknowledged: Vec<(String, i64)> = Vec::new();
    let mut known: Option<Bench> = None;
    for round in 0..4 {
        // Those whose flush dies with the agent are told so soon.
        let settings = MetastoreSettings { step_timeout_ms: 1_000, ..MetastoreSettings::default() };
        let Agent { metastore, supervisor } = agent_with(&store, &settings).await;
        let fresh = Bench::new(Arc::clone(&metastore)).await;
        let bench = match known.take() {
            Some(earlier) => Bench { metastore: Arc::clone(&metastore), node: fresh.node, ..earlier },
            None => fresh,
        };
        let to = match metastore.catalog(Default::default()).await.expect("readable") {
            Some(catalog) if !catalog.topics.is_empty() => {
                let topic = catalog.topics.values().next().expect("it is not empty");
                partition(topic.topic_id, 0)
            }
            _ => bench.partition("topic").await,
        };
        for (object, offset) in &acknowledged {
            let receipt = metastore.receipt(&bench.object(object)).await.expect("readable").expect("it was answered");
            assert_eq!(appended(receipt.ranges[0].batches[0]), *offset, "{object}");
        }
        let end = bench.bounds(to).await.high_watermark.0;
        let extents = bench.extents(to, 0).await;
        assert_eq!(extents.iter().map(|extent| extent.last_offset.0 - extent.base_offset.0 + 1).sum::<i64>(), end);
        assert!(end >= 3 * i64::try_from(acknowledged.len()).expect("few"));

        let writers = (0..8).map(|writer| {
            let bench = bench.clone();
            async move {
                let mut answered = Vec::new();
                for index in 0..1000 {
                    let object = format!("{round}-{writer}-{index}");
                    let commit = bench.commit_of(&object, vec![range(to, 0, vec![plain(3, 30)])]);
                    match bench.metastore.commit_object(commit).await {
                        Ok(receipt) => answered.push((object, appended(receipt.ranges[0].batches[0]))),
                        Err(_) => break,
                    }
                }
                answered
            }
        });
        let crash = async {
            tokio::time::sleep(Duration::from_millis(40)).await;
            // In the middle of whatever happens: every task of the agent is dropped where it stands.
            supervisor.kill();
        };
        let (answered, ()) = tokio::join!(join_all(writers), crash);
        let before = acknowledged.len();
        acknowledged.extend(answered.into_iter().flatten());
        assert!(acknowledged.len() > before, "something was answered in round {round}");
        known = Some(bench);
    }
    acknowledged.sort_by_key(|(_, offset)| *offset);
    assert!(acknowledged.windows(2).all(|pair| pair[0].1 + 3 <= pair[1].1), "no offset was given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_agent_fences_the_first_and_says_so() {
    let store = Toxic::new();
    let first = agent(&store).await;
    let bench = Bench::new(Arc::clone(&first.metastore)).await;
    let to = bench.partition("topic").await;
    bench.append("one", to, vec![plain(1, 10)]).await;
    let second = agent(&store).await;
    let fenced = |outcome: MetastoreError| match outcome {
        MetastoreError::Fenced { node_id, reason } => {
            assert_eq!(node_id, bench.node.node_id);
            assert!(reason.contains("another agent") && reason.contains("PostgreSQL"), "{reason}");
        }
        other => panic!("expected to be fenced, got {other:?}"),
    };
    for object in ["two", "three"] {
        let commit = bench.commit_of(object, vec![range(to, 0, vec![plain(1, 10)])]);
        fenced(first.metastore.commit_object(commit).await.expect_err("the first agent is fenced"));
    }
    fenced(first.metastore.beat(bench.node, false).await.expect_err("so are its beats"));
    let heir = Bench::new(Arc::clone(&second.metastore)).await;
    assert_eq!(heir.bounds(to).await.high_watermark, Offset(1));
    assert_eq!(appended(heir.append("two", to, vec![plain(1, 10)]).await.batches[0]), 1);
    drop(first);
    assert_eq!(appended(heir.append("three", to, vec![plain(1, 10)]).await.batches[0]), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_durable_is_not_shown() {
    let store = Toxic::new();
    let Agent { metastore, .. } = agent(&store).await;
    let bench = Bench::new(Arc::clone(&metastore)).await;
    let to = bench.partition("topic").await;
    let key = bench.document(DocumentKind::Group, "group");
    let position = bench.follow().await.position;
    store.set(Writes::Held);
    let commit = bench.append("one", to, vec![plain(2, 20)]);
    let write = bench.write(&key, Expect::Absent, body("content"));
    let look = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(bench.bounds(to).await.high_watermark, Offset(0));
        assert!(bench.extents(to, 0).await.is_empty());
        assert_eq!(bench.read(&key).await, None);
        assert_eq!(metastore.receipt(&bench.object("one")).await.expect("readable"), None);
        let page = metastore.feed(position, Duration::ZERO).await.expect("the feed");
        assert!(page.entries.is_empty() && page.position == position);
        store.set(Writes::Taken);
    };
    let (receipt, version, ()) = tokio::join!(commit, write, look);
    assert_eq!((appended(receipt.batches[0]), version), (0, Ok(1)));
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(2));
    assert_eq!(bench.read(&key).await, Some((1, "content".into())));
    assert_eq!(metastore.feed(position, Duration::ZERO).await.expect("the feed").entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_leaves_the_outcome_unknown_until_it_recovers() {
    let store = Toxic::new();
    let settings = MetastoreSettings { step_timeout_ms: 300, ..MetastoreSettings::default() };
    let Agent { metastore, .. } = agent_with(&store, &settings).await;
    let bench = Bench::new(Arc::clone(&metastore)).await;
    let to = bench.partition("topic").await;
    store.set(Writes::Held);
    let commit = bench.commit_of("one", vec![range(to, 0, vec![plain(2, 20)])]);
    let outcome = metastore.commit_object(commit.clone()).await;
    assert!(matches!(outcome, Err(MetastoreError::Unknown(_))), "{outcome:?}");
    store.set(Writes::Taken);
    let receipt = metastore.commit_object(commit).await.expect("asking again answers");
    assert_eq!(appended(receipt.ranges[0].batches[0]), 0);
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(2), "it was applied once");
    assert_eq!(metastore.receipt(&bench.object("one")).await, Ok(Some(receipt)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_stops_is_started_again() {
    let store = Toxic::new();
    let Agent { metastore, .. } = agent(&store).await;
    let bench = Bench::new(Arc::clone(&metastore)).await;
    let to = bench.partition("topic").await;
    bench.append("one", to, vec![plain(2, 20)]).await;
    let position = bench.follow().await.position;
    store.set(Writes::Refused);
    let commit = bench.commit_of("two", vec![range(to, 0, vec![plain(2, 20)])]);
    let outcome = metastore.commit_object(commit.clone()).await;
    assert!(matches!(outcome, Err(MetastoreError::Unknown(_))), "{outcome:?}");
    store.set(Writes::Taken);
    metastore.beat(bench.node, false).await.expect("its registration and its life outlast the engine");
    assert_eq!(metastore.receipt(&commit.object).await, Ok(None), "it was lost for certain");
    assert_eq!(bench.bounds(to).await.high_watermark, Offset(2), "and nothing of it is left");
    let receipt = metastore.commit_object(commit).await.expect("it commits");
    assert_eq!(appended(receipt.ranges[0].batches[0]), 2);
    let page = metastore.feed(position, Duration::ZERO).await.expect("the feed");
    assert!(page.reset, "news may have been lost: readers start over");
    let page = metastore.feed(FeedPosition(0), Duration::ZERO).await.expect("the feed");
    assert!(page.reset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_at_once_share_a_write() {
    let store = Toxic::new();
    let Agent { metastore, .. } = agent(&store).await;
    let bench = Bench::new(metastore).await;
    let to = bench.partition("topic").await;
    let before = store.puts();
    store.set(Writes::Held);
    let commits = join_all((0..64).map(|index| {
        let bench = bench.clone();
        async move { bench.append(&format!("object-{index}"), to, vec![plain(1, 10)]).await }
    }));
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.set(Writes::Taken);
    };
    let (receipts, ()) = tokio::join!(commits, release);
    let offsets: Vec<_> = receipts.iter().map(|receipt| appended(receipt.batches[0])).collect();
    assert_eq!(offsets, (0..64).collect::<Vec<_>>(), "in the order in which they arrived");
    // One for those that came first, one for those that waited behind it, and one more at worst.
    let writes = store.puts() - before;
    assert!(writes <= 3, "{writes} writes for 64 commits");
}

/// Virtual hours pass in no time: everything runs on tokio's clock over a store in memory.
#[tokio::test(start_paused = true)]
async fn an_idle_metastore_writes_nothing() {
    let store = Toxic::new();
    let Agent { metastore, .. } = agent(&store).await;
    let bench = Bench::new(Arc::clone(&metastore)).await;
    let to = bench.partition("topic").await;
    for index in 0..20 {
        bench.append(&format!("object-{index}"), to, vec![plain(1, 10)]).await;
    }
    // What the writes set off (tables, clearing away) ends first.
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let (puts, (gets, lists)) = (store.puts(), store.reads());
    for _ in 0..1200 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        metastore.beat(bench.node, false).await.expect("alive");
        metastore.bounds(vec![to]).await.expect("readable");
        metastore.feed(bench.follow().await.position, Duration::ZERO).await.expect("the feed");
        metastore.dereferenced(Duration::ZERO, 10).await.expect("readable");
    }
    assert_eq!(store.puts() - puts, 0, "an hour of beats and reads writes nothing");
    let (gets, lists) = (store.reads().0 - gets, store.reads().1 - lists);
    assert!(gets <= 300 && lists <= 30, "{gets} reads and {lists} listings an hour");
    assert_eq!(appended(bench.append("next", to, vec![plain(1, 10)]).await.batches[0]), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_metastore_refuses_and_leaves_everything() {
    let store = Toxic::new();
    let first = agent(&store).await;
    let bench = Bench::new(Arc::clone(&first.metastore)).await;
    let to = bench.partition("topic").await;
    bench.append("one", to, vec![plain(1, 10)]).await;
    first.metastore.close().await.expect("it closes");
    first.metastore.close().await.expect("closing twice is no error");
    let refused = first.metastore.bounds(vec![to]).await;
    assert!(matches!(refused, Err(MetastoreError::Unavailable(_))), "{refused:?}");
    let refused = first.metastore.commit_object(bench.commit_of("two", Vec::new())).await;
    assert!(matches!(refused, Err(MetastoreError::Unavailable(_))), "{refused:?}");
    let second = agent(&store).await;
    assert_eq!(
        second.metastore.bounds(vec![to]).await.expect("readable")[0].expect("it is there").high_watermark,
        Offset(1)
    );
}
