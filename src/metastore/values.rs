//! The values that cross the metastore's seam.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::clock::Timestamp;
use crate::model::group::GroupId;
use crate::model::node::{Endpoint, NodeId, NodeIdentity, Rack};
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::offset::Offset;
use crate::model::producer::{ProducerEpoch, ProducerId, Sequence};
use crate::model::topic::{TopicId, TopicIdPartition, TopicName};

// ---------------------------------------------------------------- catalog

/// Counts changes of the catalog (topics and configurations), from 1; 0 means "never read".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CatalogVersion(pub u64);

/// What a configuration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic, by identity.
    Topic(TopicId),
    /// One broker, or all of them.
    Broker(Option<NodeId>),
    /// A group.
    Group(GroupId),
}

/// Configuration entries by Kafka's names.
pub type Configs = BTreeMap<String, String>;

/// A topic as the catalog holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Identity.
    pub topic_id: TopicId,
    /// Name, unique among living topics.
    pub name: TopicName,
    /// How many partitions, numbered from 0.
    pub partition_count: i32,
    /// As asked for at creation; stored and echoed, without effect.
    pub replication_factor: i16,
    /// When the metastore created it.
    pub created_at: Timestamp,
    /// Entries set on the topic itself, not defaults.
    pub configs: Configs,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Identity, chosen by the caller so that a repeated step is recognised.
    pub topic_id: TopicId,
    /// Name.
    pub name: TopicName,
    /// At least 1.
    pub partition_count: i32,
    /// Stored and echoed.
    pub replication_factor: i16,
    /// Entries to set.
    pub configs: Configs,
}

/// Why a change of the catalog was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogRefusal {
    /// Another living topic has the name.
    #[error("topic '{0}' already exists")]
    TopicExists(TopicName),
    /// No such topic.
    #[error("topic {0} does not exist")]
    UnknownTopic(TopicId),
    /// Partitions can only be added.
    #[error("topic has {current} partitions, {asked} were asked for; the number can only grow")]
    PartitionCount {
        /// What it has.
        current: i32,
        /// What was asked for.
        asked: i32,
    },
}

/// One change of one configuration entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Set the entry.
    Set(String, String),
    /// Remove the entry, so that the default holds.
    Remove(String),
}

/// Everything agents need to know of topics and configurations, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogSnapshot {
    /// The version this is.
    pub version: CatalogVersion,
    /// Living topics by name.
    pub topics: BTreeMap<TopicName, Arc<TopicRecord>>,
    /// The same topics by identity.
    pub topics_by_id: BTreeMap<TopicId, Arc<TopicRecord>>,
    /// Entries of brokers and groups (a topic's are in its record).
    pub configs: BTreeMap<ConfigResource, Configs>,
}

/// A node's registration request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNode {
    /// A wanted id, or any free one.
    pub node_id: Option<NodeId>,
    /// Random, unique per process start: a repeated request of the same process is recognised by it.
    pub incarnation: uuid::Uuid,
    /// Where clients reach it.
    pub endpoint: Endpoint,
    /// Its zone.
    pub rack: Option<Rack>,
    /// After this long without a beat it counts as dead.
    pub session_ms: u32,
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Id and epoch.
    pub identity: NodeIdentity,
    /// Which process registered it.
    pub incarnation: uuid::Uuid,
    /// Where clients reach it.
    pub endpoint: Endpoint,
    /// Its zone.
    pub rack: Option<Rack>,
    /// It finishes what it has and wants no new work.
    pub draining: bool,
    /// Dead from then on, by the metastore's clock, unless it beats.
    pub expires_at: Timestamp,
}

/// A block of fresh producer ids: `first`, `first + 1`, … `first + count − 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: ProducerId,
    /// How many.
    pub count: u32,
}

// ---------------------------------------------------------------- batch index

/// One partition's contiguous batches in one object: a row of the index.
///
/// ```text
/// object   …|batch|batch|batch|…      partition   …|base_offset … last_offset|…
///           ^position     ^end()
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Where the bytes are.
    pub object: ObjectKey,
    /// Which bytes of the object.
    pub bytes: ByteRange,
    /// CRC-32C of those bytes, as stored.
    pub crc: u32,
    /// The largest record timestamp by the producers' clocks ([`Timestamp::NONE`] when none carries one).
    pub max_timestamp: Timestamp,
    /// When the metastore appended them, by its clock; never goes back within a partition.
    pub append_time: Timestamp,
}

/// An uploaded object, to be given offsets. Idempotent by `object`: a repeated step answers as the first did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitObject {
    /// Who commits; refused as fenced when its epoch is over.
    pub node: NodeIdentity,
    /// The object's key.
    pub object: ObjectKey,
    /// The object's whole size in bytes.
    pub byte_size: u64,
    /// What lies in it, sorted by partition, each partition once.
    pub ranges: Vec<RangeCommit>,
    /// Documents that change in the same step.
    pub documents: DocumentWrite,
    /// Whether a refused batch refuses the whole step, documents included. Without it the other batches get their
    /// offsets and the documents change. A duplicate is not refused: it is in the log.
    pub all_or_nothing: bool,
}

/// One partition's batches in an uploaded object, back to back from `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeCommit {
    /// The partition.
    pub partition: TopicIdPartition,
    /// Where its first batch begins in the object.
    pub position: u64,
    /// Its batches in order of admission.
    pub batches: Vec<BatchCommit>,
}

/// What the index must know of one record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchCommit {
    /// Whole batch in bytes, header included.
    pub length: u32,
    /// CRC-32C of the whole batch as stored.
    pub crc: u32,
    /// How many offsets it takes: last offset delta + 1.
    pub record_count: u32,
    /// The largest record timestamp in it.
    pub max_timestamp: Timestamp,
    /// The idempotent producer it comes from.
    pub producer: Option<ProducerBatch>,
}

/// An idempotent producer's claim about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Who.
    pub producer_id: ProducerId,
    /// Which incarnation.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence; the last one's follows from the record count.
    pub base_sequence: Sequence,
    /// Whether a partition that knows nothing of the producer lets it begin anywhere. Without it only sequence 0
    /// begins: a batch before this one may still be on its way through another agent.
    pub begins_anywhere: bool,
}

/// What a commit did. The same for every repetition of the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitReceipt {
    /// When, by the metastore's clock.
    pub committed_at: Timestamp,
    /// One receipt per range of the request, in its order.
    pub ranges: Vec<RangeReceipt>,
}

/// What a commit did to one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeReceipt {
    /// The partition.
    pub partition: TopicIdPartition,
    /// Its bounds right after the commit.
    pub bounds: PartitionBounds,
    /// One receipt per batch, in order.
    pub batches: Vec<BatchReceipt>,
    /// The extents the commit added.
    pub extents: Vec<Extent>,
}

/// What a commit did with one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchReceipt {
    /// It has offsets now.
    Appended {
        /// The first record's.
        base_offset: Offset,
        /// When, by the metastore's clock.
        append_time: Timestamp,
    },
    /// It was appended before; this is where.
    Duplicate {
        /// The first record's, then.
        base_offset: Offset,
        /// When, by the metastore's clock.
        append_time: Timestamp,
    },
    /// It has no offsets and never will have in this object.
    Refused(BatchRefusal),
}

/// Why a batch got no offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchRefusal {
    /// The topic was deleted or the partition never existed.
    UnknownPartition,
    /// Records before it are missing; the sequence that would fit.
    OutOfOrderSequence {
        /// What the partition expects next of this producer.
        expected: Sequence,
    },
    /// Seen before, but so long ago that its offset is forgotten.
    DuplicateSequence,
    /// A newer incarnation of the producer has written.
    InvalidProducerEpoch {
        /// The newest epoch seen.
        current: ProducerEpoch,
    },
}

/// A partition's extremes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionBounds {
    /// The first offset that can be read.
    pub log_start_offset: Offset,
    /// The offset the next record gets; everything before it can be read.
    pub high_watermark: Offset,
    /// Where read_committed readers stop: the first offset of the oldest transaction that is still open, else the high
    /// watermark. In bounds that come with a step (receipts, news) it is what it was right after that step, so that
    /// nothing of what the step appended below it is in doubt: no transaction wrote it that may still be aborted.
    pub last_stable_offset: Offset,
    /// Bytes of all its extents.
    pub byte_size: u64,
}

/// Asks for extents of one partition from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentQuery {
    /// The partition.
    pub partition: TopicIdPartition,
    /// The first wanted offset; the answer begins with the extent that holds it.
    pub offset: Offset,
    /// Stop once the extents found hold this many bytes (at least one is given).
    pub bytes_max: u64,
    /// Stop after this many extents; at least 1.
    pub extents_max: u32,
}

/// A partition's extents, or `None` in the answer when the partition does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionExtents {
    /// Its bounds at that moment.
    pub bounds: PartitionBounds,
    /// In offset order, without overlap.
    pub extents: Vec<Extent>,
    /// Every transaction that was aborted before that moment and reaches into the extents: it begins at or before their
    /// last offset, and its marker lies at or behind their first. In the order of their first offsets. Complete below
    /// the last stable offset of `bounds`, and final there: whoever remembers extents may remember this with them.
    /// Empty where nothing was aborted; the log has no transactions yet, so it always is.
    pub aborted: Vec<AbortedTransaction>,
}

/// A transaction that was aborted, as one partition saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransaction {
    /// Its first record in the partition.
    pub first_offset: Offset,
    /// Its marker: what this producer wrote in transactions between the two does not count.
    pub last_offset: Offset,
    /// Whose.
    pub producer_id: ProducerId,
}

/// Asks for one extent by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeQuery {
    /// The partition.
    pub partition: TopicIdPartition,
    /// Which extent.
    pub target: TimeTarget,
    /// Whether the topic stamps by append time (else by the producers' time).
    pub by_append_time: bool,
}

/// Which extent a [`TimeQuery`] wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeTarget {
    /// The first extent, by offset, whose largest timestamp is at or after this.
    AtOrAfter(Timestamp),
    /// The first extent, by offset, among those with the largest timestamp.
    Latest,
}

/// How far a reader has followed the commit feed. Opaque but ordered; the default is the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FeedPosition(pub u64);

/// News since a position, in an order that agrees with every partition's offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// Ask on from here.
    pub position: FeedPosition,
    /// The catalog's version now.
    pub catalog_version: CatalogVersion,
    /// What changed.
    pub entries: Vec<FeedEntry>,
    /// News were dropped before this page (the reader was too far behind): forget what was known and go on from here.
    pub reset: bool,
}

/// One partition's news from one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// The partition.
    pub partition: TopicIdPartition,
    /// Its bounds after the step.
    pub bounds: PartitionBounds,
    /// Extents the step added, none when only the bounds moved.
    pub extents: Vec<Extent>,
}

/// Moves a partition's log start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStartMove {
    /// The partition.
    pub partition: TopicIdPartition,
    /// The new log start; `None` means the high watermark.
    pub offset: Option<Offset>,
}

/// What moving the log start did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStartReceipt {
    /// The log start now (unchanged when the asked one lay before it).
    At(Offset),
    /// The asked offset lies beyond the high watermark.
    OutOfRange,
    /// No such partition.
    UnknownPartition,
}

// ---------------------------------------------------------------- object ledger

/// What the ledger knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// Never committed, no tombstone.
    Unknown,
    /// Committed.
    Committed {
        /// How many extents refer to it.
        extent_count: u32,
    },
    /// Can never be committed.
    Tombstoned,
}

// ---------------------------------------------------------------- state store

/// The kinds of documents, each owned by one coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A classic or consumer group's membership; name: the group id.
    Group,
    /// A committed offset; name: group id, topic and partition as `coordinator/group` joins them.
    CommittedOffset,
    /// A share group's membership; name: the group id.
    ShareGroup,
    /// A share partition's acquisition state.
    SharePartition,
    /// A transactional id's state.
    Transaction,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Group, Self::CommittedOffset, Self::ShareGroup, Self::SharePartition, Self::Transaction];

    /// A short name, stable in stored keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::CommittedOffset => "offset",
            Self::ShareGroup => "share-group",
            Self::SharePartition => "share-partition",
            Self::Transaction => "transaction",
        }
    }
}

/// A document's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    /// Whose.
    pub kind: DocumentKind,
    /// Which; any text.
    pub name: Arc<str>,
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// Counts a document's changes, from 1 at its creation. A document that was deleted and created again
/// does not start from 1: versions of one key never repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentVersion(pub u64);

/// A coordinator's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub key: DocumentKey,
    /// Its version.
    pub version: DocumentVersion,
    /// Its content, which only its owner reads.
    pub body: Bytes,
}

/// What must hold of a document for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// It does not exist.
    Absent,
    /// It exists at exactly this version.
    Version(DocumentVersion),
}

/// Several conditional changes in one step: all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentWrite {
    /// Changes; each key at most once.
    pub puts: Vec<DocumentPut>,
}

/// One conditional change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPut {
    /// Which document.
    pub key: DocumentKey,
    /// What must hold.
    pub expect: Expect,
    /// What to do.
    pub change: DocumentChange,
}

/// What happens to a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentChange {
    /// Its content becomes this. Where version `v` was expected it is at `v + 1` afterwards.
    Put(Bytes),
    /// It ceases to exist (no error when it does not).
    Delete,
    /// Nothing: only the expectation counts.
    Check,
}
