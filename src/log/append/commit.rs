//! Has an uploaded object sequenced by the metastore, through every doubt to a definite end.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::log::append::admit::BatchFacts;
use crate::log::append::buffer::PartitionBatches;
use crate::log::append::upload::Uploaded;
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::metastore::values::{
    BatchCommit, BatchRefusal, CommitObject, CommitReceipt, DocumentKey, DocumentWrite, RangeCommit,
};
use crate::model::node::NodeIdentity;
use crate::model::topic::TopicIdPartition;

/// What commits need, shared by the tasks that run them.
#[derive(Clone)]
pub(crate) struct Committer {
    pub metastore: Arc<dyn Metastore>,
    /// Who this agent is now; replaced when it registers again.
    pub node: Arc<ArcSwap<NodeIdentity>>,
    pub rng: Rng,
}

/// How a commit ended; every way is definite except `Lost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommitEnd {
    /// The object has its offsets.
    Done(CommitReceipt),
    /// The key can never be committed: upload the same batches under another one.
    Tombstoned,
    /// This agent's registration is over. Nothing was applied.
    Fenced(String),
    /// This agent's registration is over, and whether the commit was applied before can not be found out.
    Lost(String),
    /// The metastore could not be reached until nobody waited any more. Nothing was applied.
    GaveUp(String),
    /// A document is not at the expected version. Nothing was applied.
    Conflict {
        key: DocumentKey,
        /// The key can never be committed: an attempt in doubt had to be ruled out first.
        sealed: bool,
    },
    /// A batch of an all-or-nothing commit is refused. Nothing was applied.
    Refused { partition: TopicIdPartition, refusal: BatchRefusal, sealed: bool },
}

/// The first pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
/// The longest pause between attempts.
const PAUSE_LONGEST: Duration = Duration::from_secs(1);
/// After being fenced, a doubt about an earlier attempt gets this many questions.
const FENCED_QUESTIONS: u32 = 5;

/// What the metastore must know of an object.
pub(crate) fn commit_of(node: NodeIdentity, uploaded: &Uploaded, batches: &[PartitionBatches]) -> CommitObject {
    let ranges = batches
        .iter()
        .zip(&uploaded.ranges)
        .zip(&uploaded.batch_crcs)
        .map(|(((partition, batches), bytes), crcs)| {
            let batches = batches.iter().map(|batch| (batch.records.len(), &batch.facts));
            range_of(*partition, bytes.position, batches.zip(crcs.iter().copied()))
        })
        .collect();
    let byte_size = uploaded.byte_size;
    let (object, documents) = (uploaded.key.clone(), DocumentWrite::default());
    CommitObject { node, object, byte_size, ranges, documents, all_or_nothing: false }
}

/// What the metastore must know of one partition's batches: lengths and facts, with the CRC of each.
pub(crate) fn range_of<'a>(
    partition: TopicIdPartition,
    position: u64,
    batches: impl Iterator<Item = ((usize, &'a BatchFacts), u32)>,
) -> RangeCommit {
    let batches = batches.map(|((length, facts), crc)| BatchCommit {
        // A batch's length is a 32-bit number on the wire.
        length: u32::try_from(length).unwrap_or(u32::MAX),
        crc,
        record_count: facts.record_count,
        max_timestamp: facts.max_timestamp,
        producer: facts.producer,
    });
    RangeCommit { partition, position, batches: batches.collect() }
}

/// Commits, and asks and repeats until the outcome is known.
///
/// The step is idempotent by key, so it may be repeated after a doubt once the metastore says that the key is not
/// committed: an earlier attempt that arrives later changes nothing. While in doubt this never gives up, so that the
/// order of commits holds; without a doubt it gives up at `deadline`, when the last waiter has gone.
pub(crate) async fn resolve(committer: &Committer, mut commit: CommitObject, deadline: Instant) -> CommitEnd {
    let metastore = &*committer.metastore;
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_LONGEST, committer.rng.clone());
    let mut in_doubt = false;
    loop {
        let reason = match metastore.commit_object(commit.clone()).await {
            Ok(receipt) => return CommitEnd::Done(receipt),
            Err(MetastoreError::Tombstoned { .. }) => return CommitEnd::Tombstoned,
            Err(MetastoreError::Fenced { reason, .. }) => {
                let current = **committer.node.load();
                if current == commit.node {
                    return after_fencing(metastore, &commit, in_doubt, reason, &mut backoff).await;
                }
                // The node has registered again since: it is fenced as its former self only.
                commit.node = current;
                continue;
            }
            Err(MetastoreError::Unknown(reason)) => {
                in_doubt = true;
                reason
            }
            Err(MetastoreError::Unavailable(reason)) => reason,
            Err(MetastoreError::Conflict { key }) => {
                return refused(metastore, &commit, in_doubt, CommitEnd::Conflict { key, sealed: in_doubt }, backoff)
                    .await;
            }
            Err(MetastoreError::Refused { partition, refusal }) => {
                let end = CommitEnd::Refused { partition, refusal, sealed: in_doubt };
                return refused(metastore, &commit, in_doubt, end, backoff).await;
            }
            Err(other @ MetastoreError::Unreadable(_)) => {
                error!(object = %commit.object, failure = %other, "commit refused for a reason that an operator must see");
                other.to_string()
            }
        };
        if !in_doubt && Instant::now() >= deadline {
            return CommitEnd::GaveUp(reason);
        }
        warn!(object = %commit.object, in_doubt, %reason, "commit goes on trying");
        tokio::time::sleep(backoff.next_pause()).await;
        if in_doubt && let Ok(Some(receipt)) = metastore.receipt(&commit.object).await {
            return CommitEnd::Done(receipt);
        }
    }
}

/// After a doubt, a refusal speaks only for its own attempt: an earlier one that is still on its way might yet find
/// what it expects. A tombstone on the key rules that out, or finds that it was applied already.
async fn refused(
    metastore: &dyn Metastore,
    commit: &CommitObject,
    in_doubt: bool,
    end: CommitEnd,
    mut backoff: Backoff,
) -> CommitEnd {
    if !in_doubt {
        return end;
    }
    loop {
        match metastore.tombstone(vec![commit.object.clone()]).await.as_deref() {
            Ok([false]) => match metastore.receipt(&commit.object).await {
                Ok(Some(receipt)) => return CommitEnd::Done(receipt),
                outcome => warn!(object = %commit.object, ?outcome, "a committed object's receipt can not be read"),
            },
            Ok(_) => return end,
            Err(failure) => warn!(object = %commit.object, %failure, "a doubt can not be ruled out yet"),
        }
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

/// Once the epoch is over no attempt can be applied any more, so what is not committed now never will be.
async fn after_fencing(
    metastore: &dyn Metastore,
    commit: &CommitObject,
    in_doubt: bool,
    reason: String,
    backoff: &mut Backoff,
) -> CommitEnd {
    if !in_doubt {
        return CommitEnd::Fenced(reason);
    }
    for _ in 0..FENCED_QUESTIONS {
        match metastore.receipt(&commit.object).await {
            Ok(Some(receipt)) => return CommitEnd::Done(receipt),
            Ok(None) => return CommitEnd::Fenced(reason),
            Err(_) => tokio::time::sleep(backoff.next_pause()).await,
        }
    }
    CommitEnd::Lost(reason)
}
