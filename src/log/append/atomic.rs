//! Appends that change documents in the same metastore step: both happen, or neither.
//!
//! ```text
//! batches ─► prepare: admit, lay out, PUT ─► Prepared ─► commit with documents ─► receipt
//!                                               ▲              │
//!                                               └── conflict ──┘  the same object with other documents
//! ```
//!
//! For the server's own records: dead letters now, whatever else must go with a document later. Such a batch does not
//! wait for company, since whoever commits it waits for the documents; it is an object of its own. It has no producer,
//! and its timestamps are not judged: the bounds of a topic are for the clocks of clients.
//!
//! *Failure.* An outcome is not called a failure while it is unknown. An object that is not committed in the end is
//! referred to by nobody, and is swept some day.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tracing::error;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::log::append::admit::{BatchFacts, admit};
use crate::log::append::commit::{CommitEnd, Committer, range_of, resolve};
use crate::log::append::parts::WriterParts;
use crate::log::append::settle::slices_of;
use crate::log::append::upload::{Uploaded, upload};
use crate::log::append::values::PartitionAppend;
use crate::log::tail::Tail;
use crate::metastore::values::{
    BatchReceipt, BatchRefusal, CommitObject, CommitReceipt, DocumentChange, DocumentKey, DocumentPut, DocumentVersion,
    DocumentWrite, Expect,
};
use crate::model::error::Failure;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;
use crate::object::cache::RangeCache;
use crate::object::layout::WalBatch;
use crate::object::store::ObjectStorage;
use crate::record::batch::BatchHeader;

/// How long a commit is tried while the metastore is certainly away. Whoever waits has a better idea of what to do next.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often batches are uploaded anew when their object was swept before it was committed.
const UPLOADS_MAX: u32 = 3;

/// The newest version of Produce: the server's own batches may be whatever a topic allows.
const PRODUCE_VERSION: i16 = 13;

/// Appends batches together with conditional changes of documents. Cloning shares it.
#[derive(Clone)]
pub struct AtomicAppend {
    committer: Committer,
    cluster_id: Uuid,
    storage: ObjectStorage,
    tail: Tail,
    cache: RangeCache,
    objects: Counter,
    bytes: Counter,
}

/// What an atomic append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtomicReceipt {
    /// When, by the metastore's clock.
    pub committed_at: Timestamp,
    /// The first record's offset of each batch, in the order they were given in.
    pub base_offsets: Vec<Offset>,
    /// The documents' versions after the step, one per put. What expects a version says by itself what follows it;
    /// `None` for a put that expects none, whose version must be read.
    pub documents: Vec<Option<DocumentVersion>>,
}

/// Why nothing was appended and no document was changed, except for `Unknown`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtomicFailure {
    /// A batch breaks the rules of its topic: these batches never will be appended.
    #[error("a batch for partition {partition} is not valid: {}", failure.message)]
    Invalid {
        /// Where it was to go.
        partition: TopicIdPartition,
        /// What is wrong with it.
        failure: Failure,
    },
    /// A document is not at the expected version: read it and decide again.
    #[error("document {0} is not at the expected version")]
    Conflict(DocumentKey),
    /// A batch gets no offsets; as a rule because its topic was deleted.
    #[error("a batch for partition {partition} is refused: {refusal:?}")]
    Refused {
        /// Where it was to go.
        partition: TopicIdPartition,
        /// Why it can not.
        refusal: BatchRefusal,
    },
    /// The store or the metastore can not be reached: try again.
    #[error("{0}")]
    Unavailable(String),
    /// This agent's registration is over: stop.
    #[error("this agent is fenced: {0}")]
    Fenced(String),
    /// Whether it happened can not be found out: read the documents before anything else.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Why a prepared append was not committed.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub failure: AtomicFailure,
    /// The same batches in the same object, for another try with other documents; `None` when the object is of no use
    /// any more.
    pub prepared: Option<Prepared>,
}

/// Batches in the store that have no offsets yet. Dropping it leaves the object to be swept.
#[derive(Debug)]
pub struct Prepared {
    append: AtomicAppend,
    partitions: Vec<PartitionParts>,
    /// How many batches there are.
    count: usize,
    uploaded: Uploaded,
}

/// One partition's batches.
#[derive(Debug)]
struct PartitionParts {
    partition: TopicIdPartition,
    batches: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    /// Where it stood among the batches that were given.
    place: usize,
    records: Bytes,
    facts: BatchFacts,
}

impl std::fmt::Debug for AtomicAppend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtomicAppend").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}

impl AtomicAppend {
    /// Appends beside the writer that is built from the same parts.
    #[must_use]
    pub fn new(parts: &WriterParts) -> Self {
        let counter = |name, help| parts.metrics.register(name, help, Counter::default());
        Self {
            committer: Committer {
                metastore: Arc::clone(&parts.metastore),
                node: Arc::clone(&parts.node),
                rng: parts.rng.clone(),
            },
            cluster_id: parts.cluster_id,
            storage: parts.storage.clone(),
            tail: parts.tail.clone(),
            cache: parts.cache.clone(),
            objects: counter("atomic_append_objects", "Objects committed together with documents"),
            bytes: counter("atomic_append_bytes", "Bytes of record batches committed together with documents"),
        }
    }

    /// Appends `batches` (at least one; one record batch each, several may go to one partition) and changes
    /// `documents`, in one step. On return readers find what was appended.
    ///
    /// # Errors
    /// Nothing was applied, except when it is `Unknown`. Dropping the future leaves it unknown too.
    pub async fn commit(
        &self,
        batches: Vec<PartitionAppend>,
        documents: DocumentWrite,
    ) -> Result<AtomicReceipt, AtomicFailure> {
        self.prepare(batches).await?.commit(documents).await.map_err(|rejected| rejected.failure)
    }

    /// Puts batches into the store, to be committed with documents.
    ///
    /// # Errors
    /// `Invalid` or `Unavailable`.
    pub async fn prepare(&self, batches: Vec<PartitionAppend>) -> Result<Prepared, AtomicFailure> {
        let count = batches.len();
        let partitions = admit_all(batches)?;
        let uploaded = self.upload(&partitions).await?;
        Ok(Prepared { append: self.clone(), partitions, count, uploaded })
    }

    async fn upload(&self, partitions: &[PartitionParts]) -> Result<Uploaded, AtomicFailure> {
        let batch = |part: &Part| WalBatch { bytes: part.records.clone(), crc: part.facts.crc };
        let parts = partitions.iter().map(|part| (part.partition, part.batches.iter().map(batch).collect())).collect();
        let node = **self.committer.node.load();
        let uploaded = upload(&self.storage, self.cluster_id, node, &self.committer.rng, parts).await;
        uploaded.map_err(|failure| AtomicFailure::Unavailable(format!("the object could not be written: {failure}")))
    }
}

impl PartitionParts {
    fn records(&self) -> impl Iterator<Item = &Bytes> {
        self.batches.iter().map(|part| &part.records)
    }
}

/// Judges the batches and sorts them by partition; those of one partition keep their order.
fn admit_all(batches: Vec<PartitionAppend>) -> Result<Vec<PartitionParts>, AtomicFailure> {
    let mut parts = Vec::with_capacity(batches.len());
    for (place, append) in batches.into_iter().enumerate() {
        let partition = append.partition;
        // Within its own time no batch is too early or too late.
        let now = BatchHeader::parse(&append.records).map_or(Timestamp::NONE, |header| header.max_timestamp);
        let facts = admit(&append, PRODUCE_VERSION, now)
            .map_err(|refused| AtomicFailure::Invalid { partition, failure: refused.failure })?;
        parts.push((partition, Part { place, records: append.records, facts }));
    }
    parts.sort_by_key(|(partition, part)| (*partition, part.place));
    let mut partitions: Vec<PartitionParts> = Vec::new();
    for (partition, part) in parts {
        match partitions.last_mut().filter(|last| last.partition == partition) {
            Some(last) => last.batches.push(part),
            None => partitions.push(PartitionParts { partition, batches: vec![part] }),
        }
    }
    Ok(partitions)
}

impl Prepared {
    /// Gives the batches their offsets and changes `documents`, in one step.
    ///
    /// # Errors
    /// With the prepared batches for another try, as long as their object can still be committed.
    pub async fn commit(mut self, documents: DocumentWrite) -> Result<AtomicReceipt, Box<Rejected>> {
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..UPLOADS_MAX {
            let commit = self.commit_object(&documents);
            let (failure, sealed) = match resolve(&self.append.committer, commit, deadline).await {
                CommitEnd::Done(receipt) => return self.settle(receipt, &documents).await,
                CommitEnd::Tombstoned => {
                    match self.append.upload(&self.partitions).await {
                        Ok(uploaded) => self.uploaded = uploaded,
                        Err(failure) => return Err(Box::new(Rejected { failure, prepared: None })),
                    }
                    continue;
                }
                CommitEnd::Conflict { key, sealed } => (AtomicFailure::Conflict(key), sealed),
                CommitEnd::Refused { partition, refusal, sealed } => {
                    (AtomicFailure::Refused { partition, refusal }, sealed)
                }
                CommitEnd::GaveUp(reason) => (AtomicFailure::Unavailable(reason), false),
                CommitEnd::Fenced(reason) => (AtomicFailure::Fenced(reason), true),
                CommitEnd::Lost(reason) => (AtomicFailure::Unknown(reason), true),
            };
            return Err(Box::new(Rejected { failure, prepared: (!sealed).then_some(self) }));
        }
        let failure = AtomicFailure::Unavailable("the object was swept again and again before its commit".to_owned());
        Err(Box::new(Rejected { failure, prepared: None }))
    }

    fn commit_object(&self, documents: &DocumentWrite) -> CommitObject {
        let ranges = self.partitions.iter().zip(&self.uploaded.ranges).map(|(part, bytes)| {
            let batches = part.batches.iter().map(|part| (part.records.len(), &part.facts));
            range_of(part.partition, bytes.position, batches)
        });
        CommitObject {
            node: **self.append.committer.node.load(),
            object: self.uploaded.key.clone(),
            byte_size: self.uploaded.byte_size,
            ranges: ranges.collect(),
            documents: documents.clone(),
            all_or_nothing: true,
        }
    }

    /// Readers first: whoever is answered finds what was appended.
    async fn settle(self, receipt: CommitReceipt, documents: &DocumentWrite) -> Result<AtomicReceipt, Box<Rejected>> {
        let Self { append, partitions, count, uploaded } = self;
        let mut base_offsets = vec![Offset::NONE; count];
        let mut told = 0;
        for ((part, range), bytes) in partitions.iter().zip(receipt.ranges).zip(&uploaded.ranges) {
            for (batch, receipt) in part.batches.iter().zip(&range.batches) {
                if let BatchReceipt::Appended { base_offset, .. } | BatchReceipt::Duplicate { base_offset, .. } =
                    receipt
                {
                    base_offsets[batch.place] = *base_offset;
                    told += 1;
                }
            }
            for (range, slices) in slices_of(&range.extents, bytes.position, part.records()) {
                append.cache.insert(&uploaded.key, range, slices);
            }
            append.tail.apply(range.partition, range.bounds, &range.extents);
        }
        if told < count {
            error!(object = %uploaded.key, "the metastore's receipt does not match its commit");
            let failure = AtomicFailure::Unknown("the metastore's receipt does not match its commit".to_owned());
            return Err(Box::new(Rejected { failure, prepared: None }));
        }
        append.objects.inc();
        append
            .bytes
            .inc_by(partitions.iter().flat_map(PartitionParts::records).map(|records| records.len() as u64).sum());
        let documents = documents.puts.iter().map(version_after).collect();
        Ok(AtomicReceipt { committed_at: receipt.committed_at, base_offsets, documents })
    }
}

/// The version that a put leaves behind, where that follows from what it expects.
#[must_use]
pub fn version_after(put: &DocumentPut) -> Option<DocumentVersion> {
    match (put.expect, &put.change) {
        (Expect::Version(version), DocumentChange::Put(_)) => Some(DocumentVersion(version.0 + 1)),
        (Expect::Version(version), DocumentChange::Check | DocumentChange::Delete) => Some(version),
        (Expect::Any | Expect::Absent, _) => None,
    }
}

#[cfg(test)]
mod tests;
