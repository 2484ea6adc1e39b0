//! Writes what a round decided: one step for all of it, or two when dead letters go with some of it.
//!
//! ```text
//! done      every put is stored
//! conflict  read all of them: those that moved are decided anew by the caller, the others are written again at once
//! unknown   read all of them: ours is there, or our signature is in what others made of it → done; nothing moved → the
//!           very same write again
//! ```

use std::time::Duration;

use bytes::Bytes;
use futures::future::join;
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use crate::base::backoff::Backoff;
use crate::base::clock::Timestamp;
use crate::config::share_group::ShareDeadLetterConfig;
use crate::coordinator::share::delivery::board::PartitionKey;
use crate::coordinator::share::delivery::cache::Known;
use crate::coordinator::share::delivery::context::Context;
use crate::coordinator::share::letters::values::{LetterFailure, LetterRound};
use crate::coordinator::share::partition::document::{StoredPartition, decode, partition_key};
use crate::coordinator::share::partition::letter::DeadLetter;
use crate::coordinator::share::partition::signature::Signature;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{Document, DocumentChange, DocumentPut, DocumentVersion, DocumentWrite, Expect};
use crate::model::group::GroupId;
use crate::model::topic::TopicIdPartition;

/// How often a write is tried before those who wait hear of it.
const ATTEMPTS_MAX: u32 = 5;

/// A document to be written.
#[derive(Debug)]
pub(super) struct Planned {
    pub partition: TopicIdPartition,
    /// What was decided on.
    pub version: DocumentVersion,
    pub body: Bytes,
    /// What this agent signed it with.
    pub signature: Signature,
    /// What it gives up.
    pub letters: Vec<DeadLetter>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Stored {
    /// It is stored; its version, unless that must be read.
    Done(Option<DocumentVersion>),
    /// Somebody else changed the document, and what they made of it is in the cache: decide anew.
    Conflict,
    /// It is not known to be stored.
    Failed(String),
}

/// Writes all of `planned`; partitions in the answer are those of the question, in some order.
pub(super) async fn store(
    context: &Context,
    group_id: &GroupId,
    planned: Vec<Planned>,
    letters: Option<(&ShareDeadLetterConfig, Timestamp)>,
) -> Vec<(TopicIdPartition, Stored)> {
    let (with, without): (Vec<_>, Vec<_>) =
        planned.into_iter().partition(|planned| letters.is_some() && !planned.letters.is_empty());
    let step = |pending, letters| Step { context, group_id, letters, pending, outcomes: Vec::new() };
    if with.is_empty() {
        return step(without, None).run().await;
    }
    // Letters take an upload: whatever gives nothing up does not wait for it to be written, only to be answered.
    let (mut outcomes, others) = join(step(without, None).run(), Box::pin(step(with, letters).run())).await;
    outcomes.extend(others);
    outcomes
}

struct Step<'a> {
    context: &'a Context,
    group_id: &'a GroupId,
    /// Where dead letters go, and the time.
    letters: Option<(&'a ShareDeadLetterConfig, Timestamp)>,
    pending: Vec<Planned>,
    outcomes: Vec<(TopicIdPartition, Stored)>,
}

enum Fault {
    Conflict,
    Unknown(String),
    Unavailable(String),
    Final(String),
}

impl Step<'_> {
    async fn run(mut self) -> Vec<(TopicIdPartition, Stored)> {
        let (first, longest) = (Duration::from_millis(2), Duration::from_millis(50));
        let mut backoff = Backoff::new(first, longest, self.context.parts.rng.clone());
        let mut reason = String::from("other agents were faster again and again");
        for attempt in 0..ATTEMPTS_MAX {
            if self.pending.is_empty() {
                return self.outcomes;
            }
            if attempt > 1 {
                sleep(backoff.next_pause()).await;
            }
            let must_look = match self.write().await {
                Ok(versions) => {
                    self.context.counters.documents.inc_by(versions.len() as u64);
                    let stored = self.pending.drain(..).zip(versions);
                    self.outcomes.extend(stored.map(|(planned, version)| (planned.partition, Stored::Done(version))));
                    return self.outcomes;
                }
                Err(Fault::Conflict) => {
                    self.context.counters.conflicts.inc();
                    true
                }
                Err(Fault::Unknown(unknown)) => {
                    reason = unknown;
                    true
                }
                Err(Fault::Unavailable(unavailable)) => {
                    reason = unavailable;
                    false
                }
                Err(Fault::Final(fault)) => {
                    reason = fault;
                    break;
                }
            };
            if must_look && let Err(error) = self.look().await {
                reason = error.to_string();
            }
        }
        self.give_up(&reason)
    }

    fn give_up(mut self, reason: &str) -> Vec<(TopicIdPartition, Stored)> {
        if !self.pending.is_empty() {
            warn!(group = %self.group_id, partitions = self.pending.len(), reason, "share partitions not stored");
        }
        for planned in self.pending.drain(..) {
            // What is stored in the end is read when it is needed.
            self.context.cache.remove(&(self.group_id.clone(), planned.partition));
            self.outcomes.push((planned.partition, Stored::Failed(reason.to_owned())));
        }
        self.outcomes
    }

    async fn write(&self) -> Result<Vec<Option<DocumentVersion>>, Fault> {
        self.context.counters.writes.inc();
        let put = |planned: &Planned| DocumentPut {
            key: partition_key(self.group_id, planned.partition),
            expect: Expect::Version(planned.version),
            change: DocumentChange::Put(planned.body.clone()),
        };
        let documents = DocumentWrite { puts: self.pending.iter().map(put).collect() };
        let Some((config, now)) = self.letters else {
            let written = self.context.parts.metastore.write_documents(documents).await;
            return written.map(|versions| versions.into_iter().map(Some).collect()).map_err(Fault::from);
        };
        let letters = self.pending.iter().map(|planned| (planned.partition, planned.letters.clone())).collect();
        let (group_id, config) = (self.group_id.clone(), config.clone());
        let round = LetterRound { group_id, config, letters, documents, now };
        Box::pin(self.context.parts.letters.commit(round)).await.map(|receipt| receipt.documents).map_err(Fault::from)
    }

    /// Reads what is pending, and sorts out what is stored already and what somebody else changed.
    async fn look(&mut self) -> Result<(), MetastoreError> {
        let asked = Instant::now();
        let keys = self.pending.iter().map(|planned| partition_key(self.group_id, planned.partition)).collect();
        let found = self.context.parts.metastore.get_documents(keys).await?;
        let mut same = Vec::new();
        for (planned, found) in self.pending.drain(..).zip(found) {
            match found {
                Some(document) if document.version == planned.version => same.push(planned),
                found => {
                    let key = (self.group_id.clone(), planned.partition);
                    let found = remember(self.context, &key, found, asked);
                    self.outcomes.push((planned.partition, became_of(&planned, &found)));
                }
            }
        }
        self.pending = same;
        Ok(())
    }
}

/// Whether a document that moved on did so with our write.
fn became_of(planned: &Planned, found: &Found) -> Stored {
    let Found::Known(Known { stored, version, .. }) = found else { return Stored::Conflict };
    let StoredPartition::Decided(state) = &**stored else { return Stored::Conflict };
    let signatures = state.signatures();
    if signatures.newest() == Some(&planned.signature) {
        Stored::Done(Some(*version))
    } else if signatures.contains(&planned.signature) {
        Stored::Done(None)
    } else {
        Stored::Conflict
    }
}

impl From<MetastoreError> for Fault {
    fn from(error: MetastoreError) -> Self {
        match error {
            MetastoreError::Conflict { .. } => Self::Conflict,
            MetastoreError::Unknown(reason) => Self::Unknown(reason),
            MetastoreError::Unavailable(reason) => Self::Unavailable(reason),
            MetastoreError::Fenced { .. }
            | MetastoreError::Tombstoned { .. }
            | MetastoreError::Refused { .. }
            | MetastoreError::Unreadable(_) => Self::Final(error.to_string()),
        }
    }
}

impl From<LetterFailure> for Fault {
    fn from(failure: LetterFailure) -> Self {
        match failure {
            LetterFailure::Conflict(_) => Self::Conflict,
            LetterFailure::Unknown(reason) => Self::Unknown(reason),
            LetterFailure::Unavailable(_) | LetterFailure::Held { .. } | LetterFailure::Fenced(_) => {
                // It was tried for long enough there.
                Self::Final(failure.to_string())
            }
        }
    }
}

/// Takes what the metastore answered about a document into the cache. Answers it, decoded.
fn remember(context: &Context, key: &PartitionKey, found: Option<Document>, asked: Instant) -> Found {
    let Some(Document { version, body, .. }) = found else {
        context.cache.remove(key);
        return Found::Missing;
    };
    match decode(body) {
        Ok(stored) => {
            let known = Known { stored: stored.into(), version, confirmed: asked };
            context.cache.put(key, known.clone());
            Found::Known(known)
        }
        Err(unreadable) => {
            context.cache.remove(key);
            let (group_id, partition) = key;
            error!(group = %group_id, %partition, %unreadable, "document of a share partition can not be read");
            Found::Unreadable
        }
    }
}

/// What is stored of a partition.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Known(Known),
    /// No member's heartbeat has prepared it, or it was deleted.
    Missing,
    Unreadable,
    /// The metastore could not be asked.
    Unavailable(String),
}

/// Reads documents, at most this many at a time.
const READ_DOCUMENTS_MAX: usize = 500;

/// What is stored of `keys`, in order; the cache knows it from then on.
pub(super) async fn read(context: &Context, keys: &[PartitionKey]) -> Vec<Found> {
    let mut all = Vec::with_capacity(keys.len());
    for keys in keys.chunks(READ_DOCUMENTS_MAX) {
        let asked = Instant::now();
        let documents = keys.iter().map(|(group_id, partition)| partition_key(group_id, *partition)).collect();
        match context.parts.metastore.get_documents(documents).await {
            Ok(found) => {
                all.extend(keys.iter().zip(found).map(|(key, found)| remember(context, key, found, asked)));
            }
            Err(error) => {
                warn!(partitions = keys.len(), %error, "share partitions can not be read");
                all.extend(keys.iter().map(|_| Found::Unavailable(error.to_string())));
            }
        }
    }
    all
}
