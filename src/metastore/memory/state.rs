//! Everything the metastore knows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::feed::FeedLog;
use crate::metastore::nodes::NodeTable;
use crate::metastore::sequencing::{PartitionHead, ProducerState};
use crate::metastore::topics::TopicTable;
use crate::metastore::values::{CommitReceipt, DocumentKey, Extent, FeedPosition};
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::producer::ProducerId;
use crate::model::topic::TopicIdPartition;

/// How long receipts are kept; callers rely on an hour.
pub(super) const RECEIPTS_KEPT: Duration = Duration::from_secs(2 * 3600);

/// Everything the metastore knows.
#[derive(Debug)]
pub(super) struct State {
    /// Later calls answer `Unavailable`.
    pub(super) closed: bool,
    pub(super) cluster_id: Option<Uuid>,
    pub(super) topics: TopicTable,
    pub(super) nodes: NodeTable,
    pub(super) next_producer_id: i64,
    /// A log for every partition that exists.
    pub(super) logs: BTreeMap<TopicIdPartition, PartitionLog>,
    pub(super) receipts: BTreeMap<ObjectKey, CommitReceipt>,
    /// Receipts by age, oldest first.
    pub(super) receipt_ages: VecDeque<(Timestamp, ObjectKey)>,
    pub(super) objects: BTreeMap<ObjectKey, ObjectRecord>,
    pub(super) documents: BTreeMap<DocumentKey, DocumentRecord>,
    pub(super) feed: FeedLog,
}

impl Default for State {
    fn default() -> Self {
        Self {
            closed: false,
            cluster_id: None,
            topics: TopicTable::default(),
            nodes: NodeTable::default(),
            next_producer_id: 0,
            logs: BTreeMap::new(),
            receipts: BTreeMap::new(),
            receipt_ages: VecDeque::new(),
            objects: BTreeMap::new(),
            documents: BTreeMap::new(),
            feed: FeedLog::starting_at(FeedPosition::default()),
        }
    }
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    pub(super) head: PartitionHead,
    /// By last offset, so that the first entry at or after an offset is the extent that holds it.
    pub(super) extents: BTreeMap<Offset, Extent>,
    pub(super) producers: BTreeMap<ProducerId, ProducerState>,
}

/// What the ledger knows of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum ObjectRecord {
    Tombstoned,
    Committed { extent_count: u32, dereferenced_at: Option<Timestamp> },
}

/// A document, or what is left of one: the version stays so that it never repeats.
#[derive(Clone, Debug)]
pub(super) struct DocumentRecord {
    pub(super) version: u64,
    pub(super) body: Option<Bytes>,
}

impl State {
    /// An extent of `object` is gone.
    pub(super) fn dereference(&mut self, object: &ObjectKey, now: Timestamp) {
        if let Some(ObjectRecord::Committed { extent_count, dereferenced_at }) = self.objects.get_mut(object) {
            *extent_count = extent_count.saturating_sub(1);
            if *extent_count == 0 {
                *dereferenced_at = Some(now);
            }
        }
    }
}
