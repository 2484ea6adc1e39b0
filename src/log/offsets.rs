//! Offsets by specification (ListOffsets).

use std::sync::Arc;

use futures::future::join_all;

use crate::base::clock::Timestamp;
use crate::config::topic::TimestampType;
use crate::log::fetch::assemble::{PlacedBatch, PlacedBatches};
use crate::log::fetch::load::Loader;
use crate::log::fetch::locate::failure_of;
use crate::log::fetch::reader::ReaderParts;
use crate::metastore::store::Metastore;
use crate::metastore::values::{Extent, ExtentQuery, PartitionBounds, TimeQuery, TimeTarget};
use crate::model::error::{Condition, Failure};
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;
use crate::object::cache::Heat;
use crate::object::error::ObjectError;
use crate::record::batch::BatchError;

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

impl FoundOffset {
    /// No record fits.
    pub const NONE: Self = Self { offset: Offset::NONE, timestamp: Timestamp::NONE };

    fn bound(offset: Offset) -> Self {
        Self { offset, timestamp: Timestamp::NONE }
    }
}

/// Answers offset queries from the metastore itself, never from what this agent remembers. Cloning shares it.
#[derive(Clone)]
pub struct OffsetFinder {
    metastore: Arc<dyn Metastore>,
    loader: Loader,
}

impl std::fmt::Debug for OffsetFinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OffsetFinder").field("loader", &self.loader).finish_non_exhaustive()
    }
}

/// The largest batch that is decompressed to find a record in it.
const BODY_BYTES_MAX: usize = 64 << 20;

/// How many extents are looked at from the one that the index names on. More than one only where the log start cuts
/// into that one, or where a batch's header promises a time that none of its records has.
const EXTENTS_MAX: u32 = 16;

impl OffsetFinder {
    /// A finder over what an agent shares.
    #[must_use]
    pub fn new(parts: ReaderParts) -> Self {
        let ReaderParts { metastore, storage, cache, .. } = parts;
        Self { metastore, loader: Loader { storage, cache } }
    }

    /// One answer per query, in order.
    pub async fn find(&self, queries: Vec<OffsetQuery>) -> Vec<Result<FoundOffset, Failure>> {
        let partitions = queries.iter().map(|query| query.partition).collect();
        let bounds = match self.metastore.bounds(partitions).await {
            Ok(bounds) => bounds,
            Err(error) => return vec![Err(failure_of(&error)); queries.len()],
        };
        let answers = queries.iter().zip(bounds).map(|(query, bounds)| self.find_one(query, bounds));
        join_all(answers).await
    }

    async fn find_one(&self, query: &OffsetQuery, bounds: Option<PartitionBounds>) -> Result<FoundOffset, Failure> {
        let Some(bounds) = bounds else {
            let message = "the topic was deleted or has no such partition";
            return Err(Failure::new(Condition::UnknownTopicOrPartition, message));
        };
        let end = if query.read_committed { bounds.last_stable_offset } else { bounds.high_watermark };
        let target = match query.spec {
            OffsetSpec::Earliest => return Ok(FoundOffset::bound(bounds.log_start_offset)),
            OffsetSpec::Latest => return Ok(FoundOffset::bound(end)),
            OffsetSpec::MaxTimestamp => TimeTarget::Latest,
            OffsetSpec::AtOrAfter(timestamp) => TimeTarget::AtOrAfter(timestamp),
        };
        let found = self.find_by_time(query, target, bounds.log_start_offset).await?;
        Ok(found.filter(|found| found.offset < end).unwrap_or(FoundOffset::NONE))
    }

    async fn find_by_time(
        &self,
        query: &OffsetQuery,
        target: TimeTarget,
        log_start: Offset,
    ) -> Result<Option<FoundOffset>, Failure> {
        let by_append_time = query.timestamp_type == TimestampType::LogAppendTime;
        let time_query = TimeQuery { partition: query.partition, target, by_append_time };
        let answer = self.metastore.find_by_time(vec![time_query]).await.map_err(|error| failure_of(&error))?;
        let Some(first) = answer.into_iter().next().flatten() else { return Ok(None) };
        if by_append_time {
            // Everything in an extent was appended at one moment.
            let offset = first.base_offset.max(log_start);
            return Ok(Some(FoundOffset { offset, timestamp: first.append_time }));
        }
        let target = match target {
            TimeTarget::AtOrAfter(timestamp) => timestamp,
            // No record carries a time.
            TimeTarget::Latest if first.max_timestamp < Timestamp(0) => return Ok(None),
            TimeTarget::Latest => first.max_timestamp,
        };
        if let Some(found) = self.find_in(&first, target, log_start).await? {
            return Ok(Some(found));
        }
        for extent in self.extents_behind(&first, query).await? {
            if extent.max_timestamp >= target
                && let Some(found) = self.find_in(&extent, target, log_start).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn extents_behind(&self, extent: &Extent, query: &OffsetQuery) -> Result<Vec<Extent>, Failure> {
        let offset = extent.last_offset.plus(1);
        let query = ExtentQuery { partition: query.partition, offset, bytes_max: u64::MAX, extents_max: EXTENTS_MAX };
        let answer = self.metastore.find_extents(vec![query]).await.map_err(|error| failure_of(&error))?;
        Ok(answer.into_iter().next().flatten().map(|found| found.extents).unwrap_or_default())
    }

    /// The first record of an extent, from the log start on, whose timestamp is at or after `target`.
    async fn find_in(
        &self,
        extent: &Extent,
        target: Timestamp,
        log_start: Offset,
    ) -> Result<Option<FoundOffset>, Failure> {
        let loaded = self.loader.load(&[(extent.clone(), Heat::Cold)]).await.into_iter().next();
        let slices = match loaded {
            Some(Ok(slices)) => slices,
            Some(Err(error @ ObjectError::Corrupt { .. })) => return Err(corrupt(&error)),
            Some(Err(error)) => return Err(Failure::new(Condition::KafkaStorageError, error.to_string())),
            None => return Ok(None),
        };
        for placed in PlacedBatches::new(extent, &slices) {
            let placed = placed.map_err(|error| corrupt(&error))?;
            if placed.batch.header().max_timestamp < target || placed.last_offset() < log_start {
                continue;
            }
            if let Some(found) = find_record(&placed, target, log_start).map_err(|error| corrupt(&error))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn find_record(placed: &PlacedBatch, target: Timestamp, log_start: Offset) -> Result<Option<FoundOffset>, BatchError> {
    let body = placed.batch.body(BODY_BYTES_MAX)?;
    for record in placed.batch.records(&body) {
        let record = record?;
        // Stored batches count from 0.
        let offset = Offset(placed.base_offset.0.saturating_add(record.offset.0));
        if record.timestamp >= target && offset >= log_start {
            return Ok(Some(FoundOffset { offset, timestamp: record.timestamp }));
        }
    }
    Ok(None)
}

fn corrupt(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Condition::CorruptMessage, error.to_string())
}

#[cfg(test)]
mod tests;
