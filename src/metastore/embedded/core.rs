//! What has been applied, and one step upon it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use slatedb::{Db, WriteBatch};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::metastore::embedded::engine::{is_fenced, read_error, write_error};
use crate::metastore::embedded::keys::{self, Meta};
use crate::metastore::embedded::reader::Moment;
use crate::metastore::embedded::recent::Recent;
use crate::metastore::embedded::records::{self, StoredHead, StoredObject};
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::nodes::NodeTable;
use crate::metastore::sequencing::ProducerState;
use crate::metastore::topics::TopicTable;
use crate::metastore::values::{CatalogSnapshot, CatalogVersion, CommitReceipt, FeedEntry};
use crate::model::object::ObjectKey;
use crate::model::producer::ProducerId;
use crate::model::topic::TopicIdPartition;

/// How many partition heads stay in memory at least; some 100 bytes each.
const HEADS_KEPT: usize = 8_192;

/// How many producer states stay in memory at least; some 300 bytes each.
const PRODUCERS_KEPT: usize = 8_192;

/// The catalog's version before its first change; 0 means "never read".
const CATALOG_VERSION_FIRST: u64 = 1;

/// Everything that was applied, durable or not. Whoever holds it is the only step.
pub(super) struct Core {
    pub(super) db: Db,
    /// Counts the times that everything was read anew.
    pub(super) generation: u64,
    /// How many steps were applied.
    pub(super) applied: u64,
    /// The format record is in the store, or in a step that was applied.
    has_format: bool,
    /// A write failed: read everything anew before the next step.
    pub(super) broken: bool,
    /// Another agent took over: nothing goes on.
    pub(super) fenced: bool,
    /// A flush is on its way that will see what is applied now.
    pub(super) flush_asked: bool,
    /// Bytes applied and not yet durable, about.
    pub(super) waiting_bytes: u64,
    pub(super) cluster_id: Option<Uuid>,
    pub(super) next_producer_id: u64,
    pub(super) topics: TopicTable,
    /// What readers will see of `topics`.
    pub(super) snapshot: Arc<CatalogSnapshot>,
    pub(super) nodes: NodeTable,
    pub(super) feed_position: u64,
    /// News that are not durable yet.
    pub(super) news: Vec<Option<FeedEntry>>,
    /// Commits since old receipts were looked for.
    pub(super) commits: u32,
    /// The youngest receipt that was dropped, so that no scan walks over the dropped ones again.
    receipts_dropped: Bytes,
    heads: Recent<TopicIdPartition, StoredHead>,
    producers: Recent<(TopicIdPartition, ProducerId), Option<ProducerState>>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("generation", &self.generation).field("applied", &self.applied).finish()
    }
}

impl Core {
    /// Reads what must be in memory. A store that is new gets its format record with the first step.
    pub(super) async fn load(db: Db, generation: u64, applied: u64) -> Result<Self> {
        let moment = Moment::new(db.snapshot().map_err(read_error)?);
        let number = async |which, what| -> Result<Option<u64>> {
            moment.get(keys::meta(which)).await?.map(|bytes| records::number(what, &bytes)).transpose()
        };
        let layout = number(Meta::Format, "the layout").await?;
        match layout {
            None | Some(records::LAYOUT) => {}
            Some(other) => {
                let reason = format!("the embedded metastore has layout {other}, this build knows {}", records::LAYOUT);
                return Err(MetastoreError::Unreadable(reason));
            }
        }
        let version = number(Meta::CatalogVersion, "the catalog version").await?.unwrap_or(CATALOG_VERSION_FIRST);
        let next_producer_id = number(Meta::NextProducerId, "the next producer id").await?.unwrap_or(0);
        let feed_position = number(Meta::FeedPosition, "the feed position").await?.unwrap_or(0);
        let cluster_id = moment.get(keys::meta(Meta::ClusterId)).await?;
        let cluster_id = cluster_id.map(|bytes| records::uuid("the cluster id", &bytes)).transpose()?;
        let topics = load_topics(&moment, CatalogVersion(version)).await?;
        let mut nodes = Vec::new();
        let mut rows = moment.scan(keys::all_nodes()).await?;
        while let Some((_, value)) = rows.next().await? {
            nodes.push(records::node(&value)?);
        }
        Ok(Self {
            db,
            generation,
            applied,
            has_format: layout.is_some(),
            broken: false,
            fenced: false,
            flush_asked: false,
            waiting_bytes: 0,
            cluster_id,
            next_producer_id,
            snapshot: Arc::new(topics.snapshot().clone()),
            topics,
            nodes: NodeTable::from_stored(nodes),
            feed_position,
            news: Vec::new(),
            commits: 0,
            receipts_dropped: Bytes::new(),
            heads: Recent::new(HEADS_KEPT),
            producers: Recent::new(PRODUCERS_KEPT),
        })
    }
}

async fn load_topics(moment: &Moment, version: CatalogVersion) -> Result<TopicTable> {
    let (mut topics, mut configs) = (Vec::new(), Vec::new());
    let mut rows = moment.scan(keys::all_topics()).await?;
    while let Some((_, value)) = rows.next().await? {
        topics.push(records::topic(&value)?);
    }
    let mut rows = moment.scan(keys::all_configs()).await?;
    while let Some((key, value)) = rows.next().await? {
        configs.push((keys::config_resource(&key)?, records::configs(&value)?));
    }
    Ok(TopicTable::from_stored(version, topics, configs))
}

/// One step: what it reads is the moment it began at, what it changes is applied as one batch at its end.
pub(super) struct Step {
    core: OwnedMutexGuard<Core>,
    /// The metastore's time.
    pub(super) now: Timestamp,
    /// What was applied before this step.
    pub(super) moment: Moment,
    batch: WriteBatch,
    bytes: u64,
    topics: Option<TopicTable>,
    nodes: Option<NodeTable>,
    cluster_id: Option<Uuid>,
    next_producer_id: Option<u64>,
    heads: BTreeMap<TopicIdPartition, StoredHead>,
    producers: BTreeMap<(TopicIdPartition, ProducerId), Option<ProducerState>>,
    objects: BTreeMap<ObjectKey, StoredObject>,
    receipts_dropped: Option<Bytes>,
    forget_partitions: bool,
    news: Vec<Option<FeedEntry>>,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("core", &*self.core).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Step {
    /// Begins a step.
    pub(super) fn begin(core: OwnedMutexGuard<Core>, now: Timestamp) -> Result<Self> {
        let moment = Moment::new(core.db.snapshot().map_err(read_error)?);
        Ok(Self {
            core,
            now,
            moment,
            batch: WriteBatch::new(),
            bytes: 0,
            topics: None,
            nodes: None,
            cluster_id: None,
            next_producer_id: None,
            heads: BTreeMap::new(),
            producers: BTreeMap::new(),
            objects: BTreeMap::new(),
            receipts_dropped: None,
            forget_partitions: false,
            news: Vec::new(),
        })
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += (key.len() + value.len()) as u64;
        self.batch.put_bytes(Bytes::from(key), Bytes::from(value));
    }

    pub(super) fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.bytes += key.as_ref().len() as u64;
        self.batch.delete(key);
    }

    /// Tells readers of the feed; `None` when only the catalog changed.
    pub(super) fn tell(&mut self, entry: Option<FeedEntry>) {
        self.news.push(entry);
    }

    pub(super) fn topics(&self) -> &TopicTable {
        self.topics.as_ref().unwrap_or(&self.core.topics)
    }

    /// The topics, to be changed. Stored rows are the caller's affair, the version is not.
    pub(super) fn change_topics(&mut self) -> &mut TopicTable {
        self.topics.get_or_insert_with(|| self.core.topics.clone())
    }

    pub(super) fn nodes(&self) -> &NodeTable {
        self.nodes.as_ref().unwrap_or(&self.core.nodes)
    }

    pub(super) fn change_nodes(&mut self) -> &mut NodeTable {
        self.nodes.get_or_insert_with(|| self.core.nodes.clone())
    }

    pub(super) fn cluster_id(&self) -> Option<Uuid> {
        self.core.cluster_id
    }

    pub(super) fn set_cluster_id(&mut self, cluster_id: Uuid) {
        self.cluster_id = Some(cluster_id);
        self.put(keys::meta(Meta::ClusterId), records::uuid_bytes(cluster_id));
    }

    pub(super) fn next_producer_id(&self) -> u64 {
        self.core.next_producer_id
    }

    pub(super) fn set_next_producer_id(&mut self, next: u64) {
        self.next_producer_id = Some(next);
        self.put(keys::meta(Meta::NextProducerId), records::number_bytes(next));
    }

    /// Whether it is time to look for old receipts.
    pub(super) fn receipts_are_due(&mut self, every: u32) -> bool {
        self.core.commits = (self.core.commits + 1) % every;
        self.core.commits == 0
    }

    pub(super) async fn head(&mut self, partition: TopicIdPartition) -> Result<StoredHead> {
        if let Some(head) = self.heads.get(&partition) {
            return Ok(*head);
        }
        if let Some(head) = self.core.heads.get(&partition) {
            return Ok(head);
        }
        let head = self.moment.head(partition).await?;
        self.core.heads.insert(partition, head);
        Ok(head)
    }

    pub(super) fn set_head(&mut self, partition: TopicIdPartition, head: StoredHead) {
        self.heads.insert(partition, head);
        self.put(keys::head(partition), head.to_bytes());
    }

    pub(super) async fn producer(
        &mut self,
        partition: TopicIdPartition,
        producer_id: ProducerId,
    ) -> Result<Option<ProducerState>> {
        let of = (partition, producer_id);
        if let Some(state) = self.producers.get(&of) {
            return Ok(state.clone());
        }
        if let Some(state) = self.core.producers.get(&of) {
            return Ok(state);
        }
        let found = self.moment.get(keys::producer(partition, producer_id)).await?;
        let state = found.map(|bytes| records::producer(&bytes)).transpose()?;
        self.core.producers.insert(of, state.clone());
        Ok(state)
    }

    pub(super) fn set_producer(
        &mut self,
        partition: TopicIdPartition,
        producer_id: ProducerId,
        state: Option<ProducerState>,
    ) {
        match &state {
            Some(state) => self.put(keys::producer(partition, producer_id), records::producer_bytes(state)),
            None => self.delete(keys::producer(partition, producer_id)),
        }
        self.producers.insert((partition, producer_id), state);
    }

    /// What the ledger knows of an object, this step's changes included.
    pub(super) async fn object(&self, object: &ObjectKey) -> Result<Option<StoredObject>> {
        match self.objects.get(object) {
            Some(known) => Ok(Some(*known)),
            None => self.moment.object(object).await,
        }
    }

    pub(super) fn set_object(&mut self, object: &ObjectKey, state: StoredObject) {
        if let StoredObject::Committed { dereferenced_at: Some(since), .. } = state {
            self.put(keys::dereferenced(since, object), Vec::new());
        }
        self.put(keys::object(object), state.to_bytes());
        self.objects.insert(object.clone(), state);
    }

    /// An extent of `object` goes.
    pub(super) async fn dereference(&mut self, object: &ObjectKey) -> Result<()> {
        let Some(StoredObject::Committed { extent_count, byte_size, committed_at, .. }) = self.object(object).await?
        else {
            return Ok(());
        };
        let extent_count = extent_count.saturating_sub(1);
        let dereferenced_at = (extent_count == 0).then_some(self.now);
        let left = StoredObject::Committed { extent_count, byte_size, committed_at, dereferenced_at };
        self.set_object(object, left);
        Ok(())
    }

    pub(super) fn set_receipt(&mut self, object: &ObjectKey, receipt: &CommitReceipt) {
        self.put(keys::receipt(object), records::receipt_bytes(receipt));
        self.put(keys::receipt_age(receipt.committed_at, object), Vec::new());
    }

    /// The youngest receipt that was dropped.
    pub(super) fn receipts_dropped(&self) -> &[u8] {
        self.receipts_dropped.as_ref().unwrap_or(&self.core.receipts_dropped)
    }

    pub(super) fn set_receipts_dropped(&mut self, key: Bytes) {
        self.receipts_dropped = Some(key);
    }

    /// A topic went: what is remembered of partitions may be out of date.
    pub(super) fn forget_partitions(&mut self) {
        self.forget_partitions = true;
    }

    /// The state of things without this step.
    pub(super) fn abandon(self) -> OwnedMutexGuard<Core> {
        self.core
    }

    /// Applies the step and hands the core back.
    ///
    /// # Errors
    /// `Unknown` or `Fenced`; the core is marked accordingly.
    pub(super) async fn apply(mut self) -> (OwnedMutexGuard<Core>, Result<()>) {
        if let Some(topics) = &self.topics
            && topics.version() != self.core.topics.version()
        {
            let version = topics.version().0;
            self.put(keys::meta(Meta::CatalogVersion), records::number_bytes(version));
        }
        let feed_position = self.core.feed_position + self.news.len() as u64;
        if !self.news.is_empty() {
            self.put(keys::meta(Meta::FeedPosition), records::number_bytes(feed_position));
        }
        let mut core = self.core;
        if !self.batch.is_empty() {
            if !core.has_format {
                self.batch.put(keys::meta(Meta::Format), records::number_bytes(records::LAYOUT));
            }
            if let Err(error) = core.db.write(self.batch).await {
                core.broken = true;
                core.fenced |= is_fenced(&error);
                return (core, Err(write_error(error)));
            }
            core.applied += 1;
            core.has_format = true;
            core.waiting_bytes += self.bytes;
        }
        core.feed_position = feed_position;
        core.news.append(&mut self.news);
        core.cluster_id = self.cluster_id.or(core.cluster_id);
        core.next_producer_id = self.next_producer_id.unwrap_or(core.next_producer_id);
        if let Some(nodes) = self.nodes {
            core.nodes = nodes;
        }
        if let Some(topics) = self.topics {
            core.snapshot = Arc::new(topics.snapshot().clone());
            core.topics = topics;
        }
        if let Some(key) = self.receipts_dropped {
            core.receipts_dropped = key;
        }
        if self.forget_partitions {
            core.heads.clear();
            core.producers.clear();
        }
        self.heads.into_iter().for_each(|(partition, head)| core.heads.insert(partition, head));
        self.producers.into_iter().for_each(|(of, state)| core.producers.insert(of, state));
        (core, Ok(()))
    }
}
