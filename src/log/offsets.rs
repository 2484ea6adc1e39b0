//! Offsets by specification (ListOffsets).

use crate::base::clock::Timestamp;
use crate::config::topic::TimestampType;
use crate::model::error::Failure;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// Which offset is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start (−2, and −4: there is no local log apart from the bucket).
    Earliest,
    /// The end (−1): the high watermark, or the last stable offset for read_committed.
    Latest,
    /// The record with the largest timestamp (−3, KIP-734).
    MaxTimestamp,
    /// The first record at or after a time.
    AtOrAfter(Timestamp),
}

/// Asks for one offset.
#[derive(Clone, Copy, Debug)]
pub struct OffsetQuery {
    /// Which partition.
    pub partition: TopicIdPartition,
    /// Which offset.
    pub spec: OffsetSpec,
    /// How the topic stamps records.
    pub timestamp_type: TimestampType,
    /// Whether the reader stops at the last stable offset.
    pub read_committed: bool,
}

/// An offset and the timestamp of its record (−1 where Kafka gives none); offset −1 when no record fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// Its record's timestamp.
    pub timestamp: Timestamp,
}

/// Answers offset queries from the metastore itself, never from what this agent remembers. Cloning shares it.
#[derive(Clone, Debug)]
pub struct OffsetFinder {}

impl OffsetFinder {
    /// temp
    pub fn new(_: crate::log::fetch::reader::ReaderParts) -> Self { Self {} }
    /// One answer per query, in order.
    pub async fn find(&self, queries: Vec<OffsetQuery>) -> Vec<Result<FoundOffset, Failure>> {
        let _ = queries;
        Vec::new()
    }
}
