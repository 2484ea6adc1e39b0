//! An agent's link to the metastore, with faults: late, lost before the step, lost after it, cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use towpath::base::clock::Timestamp;
use towpath::base::rng::Rng;
use towpath::coordinator::share::partition::document::{StoredPartition, decode, encode};
use towpath::coordinator::share::partition::run::{RecordState, Run};
use towpath::coordinator::share::partition::signature::Signatures;
use towpath::coordinator::share::partition::start::move_log_start;
use towpath::coordinator::share::partition::state::SharePartitionState;
use towpath::metastore::batch_index::BatchIndex;
use towpath::metastore::catalog::Catalog;
use towpath::metastore::error::{MetastoreError, Result};
use towpath::metastore::object_ledger::ObjectLedger;
use towpath::metastore::state_store::StateStore;
use towpath::metastore::store::Metastore;
use towpath::metastore::values::*;
use towpath::model::node::NodeIdentity;
use towpath::model::object::ObjectKey;
use towpath::model::offset::Offset;
use towpath::model::topic::{TopicId, TopicIdPartition};
use uuid::Uuid;

use crate::mutants::Mutant;
use crate::trace::note;
use crate::transactions::Transactions;

/// How bad a link is; probabilities per call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weather {
    /// Refused, surely not applied.
    pub(crate) unavailable: f64,
    /// Lost on the way there: unknown, and not applied.
    pub(crate) lost_before: f64,
    /// Lost on the way back: unknown, but applied.
    pub(crate) lost_after: f64,
    /// Applied much later than the caller was told that nothing is known.
    pub(crate) late: f64,
    /// The longest one-way delay.
    pub(crate) delay: Duration,
    /// Nothing passes.
    pub(crate) cut: bool,
}

/// A metastore seen through a faulty link.
pub(crate) struct Linked {
    inner: Arc<dyn Metastore>,
    weather: Arc<Mutex<Weather>>,
    transactions: Arc<Transactions>,
    rng: Rng,
    mutant: Option<Mutant>,
    /// What the agent saw first of every committed offset, for the mutant that answers from it.
    first_seen: Mutex<BTreeMap<DocumentKey, Option<Document>>>,
}

impl Linked {
    pub(crate) fn new(
        inner: Arc<dyn Metastore>,
        weather: Arc<Mutex<Weather>>,
        transactions: Arc<Transactions>,
        rng: Rng,
        mutant: Option<Mutant>,
    ) -> Self {
        Self { inner, weather, transactions, rng, mutant, first_seen: Mutex::default() }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("no panic while held")
    }

    /// One call across the link. `step` runs once, or not at all.
    async fn call<T, F>(&self, step: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let weather = self.weather();
        tokio::time::sleep(self.rng.jitter(weather.delay)).await;
        if weather.cut {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Err(MetastoreError::Unknown("link cut".into()));
        }
        if self.rng.chance(weather.unavailable) {
            return Err(MetastoreError::Unavailable("simulated".into()));
        }
        if self.rng.chance(weather.lost_before) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(MetastoreError::Unknown("request lost".into()));
        }
        if self.rng.chance(weather.late) {
            // The caller gives up; the step still happens, some time later, whatever the caller does meanwhile.
            let pause = self.rng.jitter(Duration::from_secs(3));
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                drop(step.await);
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(MetastoreError::Unknown("request late".into()));
        }
        // A caller that is dropped meanwhile (a crash) does not undo a step that is under way.
        let outcome = tokio::spawn(step).await.expect("steps do not panic");
        tokio::time::sleep(self.rng.jitter(weather.delay)).await;
        if self.rng.chance(weather.lost_after) || self.weather().cut {
            return Err(MetastoreError::Unknown("answer lost".into()));
        }
        outcome
    }
}

impl Linked {
    /// Bounds as they were with the transactions that were open then.
    fn hold_back(&self, of: TopicIdPartition, bounds: &mut PartitionBounds) {
        if self.mutant != Some(Mutant::ForgetOpen) {
            self.transactions.hold_back(of, bounds);
        }
    }

    fn hold_back_all(&self, receipt: &mut CommitReceipt) {
        receipt.ranges.iter_mut().for_each(|range| self.hold_back(range.partition, &mut range.bounds));
    }

    /// The bug of an agent that answers from what it remembers.
    fn age(&self, bounds: &mut PartitionBounds) {
        if self.mutant == Some(Mutant::StaleBounds) && bounds.high_watermark.0 > 3 {
            bounds.high_watermark = Offset(bounds.high_watermark.0 - 2);
            bounds.last_stable_offset = bounds.high_watermark;
        }
    }
}

impl Linked {
    /// The bug of an agent that answers from what it read once.
    fn remember(&self, keys: &[DocumentKey], found: &mut [Option<Document>]) {
        let mut first_seen = self.first_seen.lock().expect("no panic while held");
        for (key, document) in keys.iter().zip(found) {
            if key.kind == DocumentKind::CommittedOffset {
                *document = first_seen.entry(key.clone()).or_insert_with(|| document.clone()).clone();
            }
        }
    }

    /// The bugs of an agent that writes the states of share partitions: spoils them, or leaves some out. Says which
    /// were left out, with the versions that are to be pretended.
    fn spoil(&self, write: &mut DocumentWrite) -> Vec<(usize, DocumentVersion)> {
        let mut forgotten = Vec::new();
        let puts = std::mem::take(&mut write.puts);
        for (place, mut put) in puts.into_iter().enumerate() {
            if put.key.kind == DocumentKind::SharePartition {
                match self.mutant {
                    Some(Mutant::IgnoreVersions) => put.expect = Expect::Any,
                    Some(Mutant::ForgetCounts) => rewrite(&mut put, forget_counts),
                    Some(Mutant::ForgetSignatures) => rewrite(&mut put, forget_signatures),
                    Some(Mutant::SkipRecords) if self.rng.chance(0.1) => rewrite(&mut put, skip_record),
                    Some(Mutant::AnswerWithoutState) if self.rng.chance(0.1) => {
                        if let Expect::Version(version) = put.expect {
                            forgotten.push((place, DocumentVersion(version.0 + 1)));
                            continue;
                        }
                    }
                    _ => {}
                }
            }
            write.puts.push(put);
        }
        forgotten
    }
}

/// Makes another state of the one that is to be put.
fn rewrite(put: &mut DocumentPut, spoil: fn(SharePartitionState) -> SharePartitionState) {
    if let DocumentChange::Put(body) = &mut put.change
        && let Ok(StoredPartition::Decided(state)) = decode(body.clone())
    {
        *body = encode(&StoredPartition::Decided(spoil(state)));
    }
}

fn forget_counts(state: SharePartitionState) -> SharePartitionState {
    let mut runs: Vec<Run> = Vec::new();
    for run in state.runs() {
        let run = Run { delivery_count: run.delivery_count.min(1), ..*run };
        match runs.last_mut().filter(|last| last.goes_on_in(&run)) {
            Some(last) => last.last = run.last,
            None => runs.push(run),
        }
    }
    let forgetful = SharePartitionState::from_parts(state.start_offset(), runs, state.holders().to_vec());
    forgetful.expect("a whole state").signed(state.signatures().clone())
}

fn forget_signatures(state: SharePartitionState) -> SharePartitionState {
    state.signed(Signatures::default())
}

/// The first record that waits for its next delivery is finished, says the state.
fn skip_record(state: SharePartitionState) -> SharePartitionState {
    match state.runs().first() {
        Some(first) if matches!(first.state, RecordState::Available { .. }) => {
            let mut state = state.clone();
            move_log_start(&mut state, first.first.plus(1));
            state
        }
        _ => state,
    }
}

fn forget_producers(commit: &mut CommitObject) {
    for batch in commit.ranges.iter_mut().flat_map(|range| &mut range.batches) {
        batch.producer = None;
    }
}

fn begin_anywhere(commit: &mut CommitObject) {
    let batches = commit.ranges.iter_mut().flat_map(|range| &mut range.batches);
    batches.filter_map(|batch| batch.producer.as_mut()).for_each(|producer| producer.begins_anywhere = true);
}

/// A receipt for a commit that was never made.
fn pretend(commit: &CommitObject, receipt: CommitReceipt) -> CommitReceipt {
    let append_time = receipt.committed_at;
    let ranges = commit.ranges.iter().map(|range| RangeReceipt {
        partition: range.partition,
        bounds: PartitionBounds {
            log_start_offset: Offset(0),
            high_watermark: Offset(0),
            last_stable_offset: Offset(0),
            byte_size: 0,
        },
        batches: (0..)
            .zip(&range.batches)
            .map(|(at, _)| BatchReceipt::Appended { base_offset: Offset(at), append_time })
            .collect(),
        extents: Vec::new(),
    });
    CommitReceipt { ranges: ranges.collect(), ..receipt }
}

fn shift_offsets(receipt: &mut CommitReceipt) {
    for batch in receipt.ranges.iter_mut().flat_map(|range| &mut range.batches) {
        if let BatchReceipt::Appended { base_offset, .. } = batch {
            *base_offset = base_offset.plus(1);
        }
    }
}

/// Forwards a method across the link.
macro_rules! across {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {{
        let inner = Arc::clone(&$self.inner);
        note(concat!("-> ", stringify!($method)));
        let answer = $self.call(async move { inner.$method($($argument),*).await }).await;
        note(if answer.is_ok() { concat!("<- ", stringify!($method)) } else { concat!("<! ", stringify!($method)) });
        answer
    }};
}

#[async_trait]
impl Catalog for Linked {
    async fn cluster_id(&self, proposed: Uuid) -> Result<Uuid> {
        across!(self, cluster_id(proposed))
    }
    async fn now(&self) -> Result<Timestamp> {
        across!(self, now())
    }
    async fn catalog(&self, known: CatalogVersion) -> Result<Option<CatalogSnapshot>> {
        across!(self, catalog(known))
    }
    async fn create_topics(&self, topics: Vec<NewTopic>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        across!(self, create_topics(topics))
    }
    async fn delete_topics(&self, topics: Vec<TopicId>) -> Result<Vec<std::result::Result<(), CatalogRefusal>>> {
        across!(self, delete_topics(topics))
    }
    async fn create_partitions(
        &self,
        topic_id: TopicId,
        count: i32,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        across!(self, create_partitions(topic_id, count))
    }
    async fn alter_configs(
        &self,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
    ) -> Result<std::result::Result<(), CatalogRefusal>> {
        across!(self, alter_configs(resource, changes))
    }
    async fn register_node(&self, node: NewNode) -> Result<NodeRecord> {
        across!(self, register_node(node))
    }
    async fn beat(&self, node: NodeIdentity, draining: bool) -> Result<Vec<NodeRecord>> {
        across!(self, beat(node, draining))
    }
    async fn deregister_node(&self, node: NodeIdentity) -> Result<()> {
        across!(self, deregister_node(node))
    }
    async fn allocate_producer_ids(&self, count: u32) -> Result<ProducerIdBlock> {
        across!(self, allocate_producer_ids(count))
    }
}

#[async_trait]
impl BatchIndex for Linked {
    async fn commit_object(&self, mut commit: CommitObject) -> Result<CommitReceipt> {
        match self.mutant {
            Some(Mutant::ForgetProducers) => forget_producers(&mut commit),
            Some(Mutant::BeginAnywhere) => begin_anywhere(&mut commit),
            Some(Mutant::ForgetReceipts) => {
                commit.object = ObjectKey::from(format!("{}/{}", commit.object, self.rng.next_u64()).as_str());
            }
            Some(Mutant::AnswerWithoutCommit) if self.rng.chance(0.05) => {
                let empty = CommitObject { ranges: Vec::new(), ..commit.clone() };
                let receipt = across!(self, commit_object(empty))?;
                return Ok(pretend(&commit, receipt));
            }
            _ => {}
        }
        if self.mutant == Some(Mutant::LoseLetters) && !commit.documents.puts.is_empty() && self.rng.chance(0.3) {
            let empty = CommitObject { ranges: Vec::new(), ..commit.clone() };
            let receipt = across!(self, commit_object(empty))?;
            return Ok(pretend(&commit, receipt));
        }
        let mut receipt = across!(self, commit_object(commit))?;
        self.hold_back_all(&mut receipt);
        if self.mutant == Some(Mutant::WrongOffset) && self.rng.chance(0.1) {
            shift_offsets(&mut receipt);
        }
        Ok(receipt)
    }
    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        let object = object.clone();
        let mut receipt = across!(self, receipt(&object))?;
        receipt.iter_mut().for_each(|receipt| self.hold_back_all(receipt));
        Ok(receipt)
    }
    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        let asked: Vec<_> = queries.iter().map(|query| query.partition).collect();
        let mut found = across!(self, find_extents(queries))?;
        for (of, partition) in asked.into_iter().zip(&mut found) {
            let Some(partition) = partition else { continue };
            self.hold_back(of, &mut partition.bounds);
            if self.mutant != Some(Mutant::ForgetAborted) {
                partition.aborted = self.transactions.aborted(of, partition);
            }
            if self.mutant == Some(Mutant::LoseExtent) && partition.extents.len() > 1 {
                partition.extents.remove(0);
            }
            self.age(&mut partition.bounds);
        }
        Ok(found)
    }
    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        let asked = partitions.clone();
        let mut found = across!(self, bounds(partitions))?;
        for (of, bounds) in asked.into_iter().zip(&mut found) {
            let Some(bounds) = bounds else { continue };
            self.hold_back(of, bounds);
            self.age(bounds);
        }
        Ok(found)
    }
    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        across!(self, find_by_time(queries))
    }
    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        across!(self, move_log_start(moves))
    }
    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        let mut page = across!(self, feed(after, wait))?;
        page.entries.iter_mut().for_each(|entry| self.hold_back(entry.partition, &mut entry.bounds));
        Ok(page)
    }
    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        across!(self, expire_producers(idle))
    }
}

#[async_trait]
impl ObjectLedger for Linked {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        across!(self, object_states(keys))
    }
    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        across!(self, tombstone(keys))
    }
    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        across!(self, dereferenced(grace, limit))
    }
    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        across!(self, forget(keys))
    }
}

#[async_trait]
impl StateStore for Linked {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        let asked = keys.clone();
        let mut found = across!(self, get_documents(keys))?;
        if self.mutant == Some(Mutant::StaleOffsets) {
            self.remember(&asked, &mut found);
        }
        Ok(found)
    }
    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        let prefix = prefix.to_owned();
        across!(self, list_documents(kind, &prefix, after, limit))
    }
    async fn write_documents(&self, mut write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        let forgotten = self.spoil(&mut write);
        let asked = write.puts.len();
        if self.mutant == Some(Mutant::AnswerWithoutOffsets) && self.rng.chance(0.1) {
            write.puts.retain(|put| put.key.kind != DocumentKind::CommittedOffset);
        }
        let mut versions = across!(self, write_documents(write))?;
        versions.resize(asked, DocumentVersion(1));
        for (place, version) in forgotten {
            versions.insert(place, version);
        }
        Ok(versions)
    }
}

#[async_trait]
impl Metastore for Linked {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
