//! Finds extents by time, by halving.
//!
//! Append times never go back, and neither does the largest timestamp so far that every extent carries: the first
//! extent at or after a time is found with a handful of reads, however long the log is.

use crate::base::clock::Timestamp;
use crate::metastore::embedded::keys;
use crate::metastore::embedded::reader::Moment;
use crate::metastore::embedded::records::{StoredExtent, StoredHead};
use crate::metastore::error::Result;
use crate::metastore::values::{Extent, TimeQuery, TimeTarget};
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// Answers one query.
pub(super) async fn find(moment: &Moment, query: &TimeQuery) -> Result<Option<Extent>> {
    let stored = moment.head(query.partition).await?;
    let log = Log { moment, partition: query.partition, stored };
    match (query.target, query.by_append_time) {
        (TimeTarget::AtOrAfter(wanted), true) => log.first(|row| row.extent.append_time >= wanted).await,
        (TimeTarget::Latest, true) => log.first(|row| row.extent.append_time >= stored.head.append_time).await,
        (TimeTarget::AtOrAfter(wanted), false) => log.first_stamped(wanted).await,
        (TimeTarget::Latest, false) => log.latest_stamped().await,
    }
}

struct Log<'moment> {
    moment: &'moment Moment,
    partition: TopicIdPartition,
    stored: StoredHead,
}

impl Log<'_> {
    /// The first extent for which something holds that holds for all after it, too.
    async fn first(&self, holds: impl Fn(&StoredExtent) -> bool) -> Result<Option<Extent>> {
        Ok(self.first_row(holds).await?.map(|row| row.extent))
    }

    async fn first_row(&self, holds: impl Fn(&StoredExtent) -> bool) -> Result<Option<StoredExtent>> {
        let mut found = None;
        // The first extent for which it holds has its last offset in low … high − 1, or is `found`.
        let (mut low, mut high) = (self.stored.head.log_start_offset, self.stored.head.high_watermark);
        while low < high {
            let middle = Offset(low.0 + (high.0 - low.0) / 2);
            let Some(row) = self.moment.extent(self.partition, middle).await? else {
                high = middle;
                continue;
            };
            if holds(&row) {
                high = row.extent.base_offset.min(middle);
                found = Some(row);
            } else {
                low = row.extent.last_offset.plus(1);
            }
        }
        Ok(found)
    }

    /// The first extent with a record timestamp at or after `wanted`.
    async fn first_stamped(&self, wanted: Timestamp) -> Result<Option<Extent>> {
        let wanted = wanted.max(Timestamp(0));
        let Some(row) = self.first_row(|row| row.largest_timestamp >= wanted).await? else { return Ok(None) };
        if row.extent.max_timestamp >= wanted {
            return Ok(Some(row.extent));
        }
        // The timestamp that is large enough lies in an extent that was dropped: walk on from here.
        let mut rows = self.moment.scan(keys::extents_from(self.partition, row.extent.base_offset)).await?;
        while let Some(row) = rows.next_extent().await? {
            if row.extent.max_timestamp >= wanted {
                return Ok(Some(row.extent));
            }
        }
        Ok(None)
    }

    /// The first extent among those with the largest record timestamp.
    async fn latest_stamped(&self) -> Result<Option<Extent>> {
        let largest = self.stored.largest_timestamp;
        if largest == Timestamp::NONE {
            return Ok(None);
        }
        let Some(row) = self.first_row(|row| row.largest_timestamp >= largest).await? else { return Ok(None) };
        if row.extent.max_timestamp == largest {
            return Ok(Some(row.extent));
        }
        // The largest was dropped: look through what is left.
        let mut latest: Option<Extent> = None;
        let mut rows = self.moment.scan(keys::extents_from(self.partition, self.stored.head.log_start_offset)).await?;
        while let Some(row) = rows.next_extent().await? {
            let known = latest.as_ref().map_or(Timestamp::NONE, |latest| latest.max_timestamp);
            if row.extent.max_timestamp > known {
                latest = Some(row.extent);
            }
        }
        Ok(latest)
    }
}
