//! What cases are made of: a bench with its own names, and short ways to write requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::rng::Rng;
use crate::metastore::error::Result;
use crate::metastore::store::Metastore;
use crate::metastore::values::{
    BatchCommit, BatchReceipt, CommitObject, CommitReceipt, Configs, DocumentChange, DocumentKey, DocumentKind,
    DocumentPut, DocumentWrite, Expect, Extent, ExtentQuery, FeedEntry, FeedPosition, NewNode, NewTopic,
    PartitionBounds, PartitionExtents, ProducerBatch, RangeCommit, RangeReceipt,
};
use crate::model::node::{Endpoint, NodeId, NodeIdentity};
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::{PartitionIndex, TopicId, TopicIdPartition, TopicName};

/// How long a case waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A metastore, a registered node, and names that no other bench uses.
#[derive(Clone)]
pub struct Bench {
    /// The metastore under test.
    pub metastore: Arc<dyn Metastore>,
    /// A node that may commit.
    pub node: NodeIdentity,
    /// What makes its names its own.
    pub tag: Uuid,
    /// Where fresh identities come from.
    pub rng: Rng,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("node", &self.node).field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl Bench {
    /// A bench over `metastore`.
    pub async fn new(metastore: Arc<dyn Metastore>) -> Self {
        let rng = Rng::from_entropy();
        let node = metastore.register_node(new_node(None, rng.uuid(), 600_000)).await.expect("a node registers");
        Self { metastore, node: node.identity, tag: rng.uuid(), rng }
    }

    /// A random identity.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.rng.uuid()
    }

    /// A topic name of this bench's own.
    #[must_use]
    pub fn topic_name(&self, name: &str) -> TopicName {
        TopicName::new(&format!("{}-{name}", self.tag)).expect("the name is legal")
    }

    /// An object key of this bench's own.
    #[must_use]
    pub fn object(&self, name: &str) -> ObjectKey {
        ObjectKey::from(format!("conformance/{}/{name}", self.tag).as_str())
    }

    /// A document key of this bench's own.
    #[must_use]
    pub fn document(&self, kind: DocumentKind, name: &str) -> DocumentKey {
        DocumentKey { kind, name: format!("{}/{name}", self.tag).into() }
    }

    /// A topic to create.
    #[must_use]
    pub fn new_topic(&self, name: &str, partition_count: i32) -> NewTopic {
        NewTopic {
            topic_id: TopicId(self.uuid()),
            name: self.topic_name(name),
            partition_count,
            replication_factor: 3,
            configs: Configs::new(),
        }
    }

    /// Creates a topic.
    pub async fn topic(&self, name: &str, partition_count: i32) -> TopicId {
        let topic = self.new_topic(name, partition_count);
        let topic_id = topic.topic_id;
        let outcome = self.metastore.create_topics(vec![topic]).await.expect("topics can be created");
        assert_eq!(outcome, [Ok(())], "the topic is new");
        topic_id
    }

    /// Creates a topic of one partition.
    pub async fn partition(&self, name: &str) -> TopicIdPartition {
        partition(self.topic(name, 1).await, 0)
    }

    /// A commit without documents.
    #[must_use]
    pub fn commit_of(&self, object: &str, ranges: Vec<RangeCommit>) -> CommitObject {
        let bytes = ranges.iter().flat_map(|range| &range.batches).map(|batch| u64::from(batch.length)).sum();
        let documents = DocumentWrite::default();
        let (node, object) = (self.node, self.object(object));
        CommitObject { node, object, byte_size: bytes, ranges, documents, all_or_nothing: false }
    }

    /// Commits ranges as one object.
    pub async fn commit(&self, object: &str, ranges: Vec<RangeCommit>) -> CommitReceipt {
        self.metastore.commit_object(self.commit_of(object, ranges)).await.expect("the commit succeeds")
    }

    /// Commits batches of one partition as one object.
    pub async fn append(&self, object: &str, to: TopicIdPartition, batches: Vec<BatchCommit>) -> RangeReceipt {
        let receipt = self.commit(object, vec![range(to, 0, batches)]).await;
        receipt.ranges.into_iter().next().expect("one receipt per range")
    }

    /// Bounds of a partition that exists.
    pub async fn bounds(&self, of: TopicIdPartition) -> PartitionBounds {
        let bounds = self.metastore.bounds(vec![of]).await.expect("bounds are known");
        bounds[0].expect("the partition exists")
    }

    /// Every extent from an offset on.
    pub async fn extents(&self, of: TopicIdPartition, from: i64) -> Vec<Extent> {
        self.find(of, from, u64::MAX, u32::MAX).await.extents
    }

    /// Extents within limits.
    pub async fn find(&self, of: TopicIdPartition, from: i64, bytes_max: u64, extents_max: u32) -> PartitionExtents {
        let query = ExtentQuery { partition: of, offset: Offset(from), bytes_max, extents_max };
        let found = self.metastore.find_extents(vec![query]).await.expect("extents are known");
        found.into_iter().next().flatten().expect("the partition exists")
    }

    /// Writes one document.
    pub async fn write(&self, key: &DocumentKey, expect: Expect, change: DocumentChange) -> Result<u64> {
        let write = DocumentWrite { puts: vec![DocumentPut { key: key.clone(), expect, change }] };
        self.metastore.write_documents(write).await.map(|versions| versions[0].0)
    }

    /// A document's version and content.
    pub async fn read(&self, key: &DocumentKey) -> Option<(u64, Bytes)> {
        let found = self.metastore.get_documents(vec![key.clone()]).await.expect("documents can be read");
        assert_eq!(found.len(), 1, "one answer per key");
        let document = found.into_iter().next().flatten()?;
        assert_eq!(document.key, *key);
        Some((document.version.0, document.body))
    }

    /// A follower of the feed that has seen everything so far.
    pub async fn follow(&self) -> Follower {
        let mut follower = Follower::new(Arc::clone(&self.metastore));
        follower.catch_up().await;
        follower
    }
}

/// Somebody who follows the feed.
pub struct Follower {
    metastore: Arc<dyn Metastore>,
    /// How far it has come.
    pub position: FeedPosition,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Follower {
    /// A follower at the beginning.
    #[must_use]
    pub fn new(metastore: Arc<dyn Metastore>) -> Self {
        Self { metastore, position: FeedPosition::default() }
    }

    /// Skips everything so far.
    pub async fn catch_up(&mut self) {
        loop {
            let before = self.position;
            self.pull(Duration::ZERO).await;
            if self.position == before {
                return;
            }
        }
    }

    /// One page.
    pub async fn pull(&mut self, wait: Duration) -> Vec<FeedEntry> {
        let page = self.metastore.feed(self.position, wait).await.expect("the feed can be read");
        assert!(page.position >= self.position || page.reset, "a position never goes back");
        self.position = page.position;
        page.entries
    }

    /// News of one partition until `count` came; panics when they do not come.
    pub async fn news(&mut self, of: TopicIdPartition, count: usize) -> Vec<FeedEntry> {
        let mut news = Vec::new();
        let collect = async {
            while news.len() < count {
                let page = self.pull(Duration::from_secs(1)).await;
                news.extend(page.into_iter().filter(|entry| entry.partition == of));
            }
        };
        tokio::time::timeout(PATIENCE, collect).await.expect("the news come in time");
        news
    }
}

/// Names a partition.
#[must_use]
pub fn partition(topic_id: TopicId, index: i32) -> TopicIdPartition {
    TopicIdPartition::new(topic_id, PartitionIndex(index))
}

/// A node to register.
#[must_use]
pub fn new_node(node_id: Option<NodeId>, incarnation: Uuid, session_ms: u32) -> NewNode {
    let endpoint = Endpoint { host: "agent.example".to_owned(), port: 9092 };
    NewNode { node_id, incarnation, endpoint, rack: None, session_ms }
}

/// A range of a commit.
#[must_use]
pub fn range(partition: TopicIdPartition, position: u64, batches: Vec<BatchCommit>) -> RangeCommit {
    RangeCommit { partition, position, batches }
}

/// A batch without producer: `record_count` records in `length` bytes.
#[must_use]
pub fn plain(record_count: u32, length: u32) -> BatchCommit {
    BatchCommit {
        length,
        crc: length.wrapping_mul(0x9E37_79B1),
        record_count,
        max_timestamp: Timestamp(1),
        producer: None,
    }
}

/// A batch with a largest timestamp.
#[must_use]
pub fn timed(max_timestamp: i64) -> BatchCommit {
    BatchCommit { max_timestamp: Timestamp(max_timestamp), ..plain(1, 10) }
}

/// A batch of a producer.
#[must_use]
pub fn produced(producer_id: ProducerId, producer_epoch: i16, base_sequence: i32, record_count: u32) -> BatchCommit {
    let producer = ProducerBatch {
        producer_id,
        producer_epoch: ProducerEpoch(producer_epoch),
        base_sequence: Sequence(base_sequence),
        begins_anywhere: false,
    };
    BatchCommit { producer: Some(producer), ..plain(record_count, 100) }
}

/// A batch of a producer that has waited for what might come before it.
#[must_use]
pub fn waited(producer_id: ProducerId, producer_epoch: i16, base_sequence: i32, record_count: u32) -> BatchCommit {
    let mut batch = produced(producer_id, producer_epoch, base_sequence, record_count);
    batch.producer.iter_mut().for_each(|producer| producer.begins_anywhere = true);
    batch
}

/// The offset of a batch that was appended; panics otherwise.
#[must_use]
pub fn appended(receipt: BatchReceipt) -> i64 {
    match receipt {
        BatchReceipt::Appended { base_offset, .. } => base_offset.0,
        other => panic!("expected an appended batch, got {other:?}"),
    }
}

/// The offset of a duplicate; panics otherwise.
#[must_use]
pub fn duplicate(receipt: BatchReceipt) -> i64 {
    match receipt {
        BatchReceipt::Duplicate { base_offset, .. } => base_offset.0,
        other => panic!("expected a duplicate, got {other:?}"),
    }
}

/// A document's content.
#[must_use]
pub fn body(text: &'static str) -> DocumentChange {
    DocumentChange::Put(Bytes::from_static(text.as_bytes()))
}
