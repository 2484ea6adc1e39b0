//! Role: which offsets lie where (the log's manifest), and who wrote them.

use std::time::Duration;

use async_trait::async_trait;

use crate::metastore::error::Result;
use crate::metastore::values::{
    CommitObject, CommitReceipt, Extent, ExtentQuery, FeedPage, FeedPosition, LogStartMove, LogStartReceipt,
    PartitionBounds, PartitionExtents, TimeQuery,
};
use crate::model::object::ObjectKey;
use crate::model::topic::TopicIdPartition;

/// Which offsets lie where. Every method is one atomic step; what it answers is durable.
#[async_trait]
pub trait BatchIndex: Send + Sync {
    /// Gives an uploaded object's batches their offsets: epoch check, de-duplication, offsets, index and
    /// documents in one step. Idempotent by object key.
    ///
    /// Per producer and partition the last five batches are remembered; a batch that equals one of them (epoch,
    /// first and last sequence) is a duplicate and gets its offset again. A producer that the partition does not
    /// know starts at sequence 0, or anywhere when its batch says that it has waited. A higher epoch must start at
    /// sequence 0.
    ///
    /// # Errors
    /// `Fenced`, `Tombstoned`, `Conflict` (a document), `Refused` (a batch, if it is all or nothing),
    /// `Unavailable`: nothing was applied, and the key may be committed later. `Unknown`: ask
    /// [`BatchIndex::receipt`] before anything else.
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt>;

    /// What the commit of `object` did, or `None` when it was not committed (yet). Receipts are kept for at
    /// least an hour.
    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>>;

    /// Extents from an offset on, for several partitions at one moment; `None` for a partition that does not
    /// exist. Below the log start and at or beyond the high watermark the list is empty. Names the aborted transactions
    /// that reach into them, at the same moment.
    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>>;

    /// Bounds of several partitions at one moment; `None` for one that does not exist.
    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>>;

    /// One extent by time, for several partitions; `None` when there is none.
    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>>;

    /// Moves log starts forward and drops the extents that lie wholly before them.
    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>>;

    /// News after a position. Returns at once when there are any, else when there are or after `wait`,
    /// whichever comes first. The feed remembers at least the last 10,000 entries.
    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage>;

    /// Forgets producers that have written nothing to a partition for `idle`; says how many.
    async fn expire_producers(&self, idle: Duration) -> Result<u64>;
}
