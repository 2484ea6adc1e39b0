//! What a fetch asks and answers.

use std::time::Duration;

use bytes::Bytes;

use crate::config::topic::TimestampType;
use crate::metastore::values::{AbortedTransaction, PartitionBounds};
use crate::model::error::Failure;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// One Fetch request's partitions.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// Partitions in order of priority.
    pub partitions: Vec<PartitionFetch>,
    /// Wait until this many bytes are there …
    pub bytes_min: u32,
    /// … but never for longer than this.
    pub wait_max: Duration,
    /// Stop at this many bytes over all partitions; the first non-empty partition gives at least one batch.
    pub bytes_max: u32,
    /// Stop at the last stable offset and name aborted transactions.
    pub read_committed: bool,
}

/// One partition's share of a Fetch request.
#[derive(Clone, Copy, Debug)]
pub struct PartitionFetch {
    /// Which partition.
    pub partition: TopicIdPartition,
    /// The first wanted offset; batches may begin before it.
    pub offset: Offset,
    /// Stop at this many bytes of this partition.
    pub bytes_max: u32,
    /// How the topic stamps records.
    pub timestamp_type: TimestampType,
}

/// What a partition gave.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its bounds, never older than what any earlier answer of this agent said.
    pub bounds: PartitionBounds,
    /// Whole record batches, back to back, with real offsets in their headers.
    pub records: Vec<Bytes>,
    /// Aborted transactions that reach into the records, in the order of their first offsets (read_committed only). None
    /// whose marker lies before them.
    pub aborted: Vec<AbortedTransaction>,
}

/// The answer for one partition.
pub type FetchOutcome = Result<Fetched, Failure>;
