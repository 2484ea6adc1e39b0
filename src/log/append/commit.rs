//! Has an uploaded object sequenced by the metastore, through every doubt to a definite end.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::base::backoff::Backoff;
use crate::base::rng::Rng;
use crate::log::append::buffer::PartitionBatches;
use crate::log::append::upload::Uploaded;
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::metastore::values::{BatchCommit, CommitObject, CommitReceipt, DocumentWrite, RangeCommit};
use crate::model::node::NodeIdentity;

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
        .map(|((partition, batches), bytes)| RangeCommit {
            partition: *partition,
            position: bytes.position,
            batches: batches
                .iter()
                .map(|batch| BatchCommit {
                    // A batch's length is a 32-bit number on the wire.
                    length: u32::try_from(batch.records.len()).unwrap_or(u32::MAX),
                    crc: batch.facts.crc,
                    record_count: batch.facts.record_count,
                    max_timestamp: batch.facts.max_timestamp,
                    producer: batch.facts.producer,
                })
                .collect(),
        })
        .collect();
    let byte_size = uploaded.byte_size;
    CommitObject { node, object: uploaded.key.clone(), byte_size, ranges, documents: DocumentWrite::default() }
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
            Err(other @ (MetastoreError::Conflict { .. } | MetastoreError::Unreadable(_))) => {
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
