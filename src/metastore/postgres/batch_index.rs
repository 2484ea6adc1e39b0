//! Batch index: reads, and steps besides the commit (see `commit`).

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;

use crate::base::clock::Timestamp;
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::error::Result;
use crate::metastore::postgres::convert::{column, count, only, signed, unsigned_column};
use crate::metastore::postgres::error::Effect;
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::values::{
    CommitObject, CommitReceipt, Extent, ExtentQuery, FeedPage, FeedPosition, LogStartMove, LogStartReceipt,
    PartitionBounds, PartitionExtents, TimeQuery, TimeTarget,
};
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// How many producers one statement forgets: few enough that no commit waits noticeably for their rows.
const EXPIRED_MAX: i64 = 5_000;

#[async_trait]
impl BatchIndex for PostgresMetastore {
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt> {
        self.commit(&commit).await
    }

    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        self.stored_receipt(object).await
    }

    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        // Per partition as many rows are read as the query allows extents, however long the partition is.
        let statement = "SELECT r.n, p.log_start_offset, p.high_watermark, p.byte_size, \
                           x.base_offset, x.last_offset, x.key, x.position, x.length, x.crc, x.max_timestamp, x.append_time \
                         FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bigint[], $5::integer[]) \
                              WITH ORDINALITY r(topic_id, partition, start, bytes_max, extents_max, n) \
                         JOIN partitions p ON p.topic_id = r.topic_id AND p.partition = r.partition \
                         LEFT JOIN LATERAL ( \
                           SELECT w.*, o.key FROM ( \
                             SELECT e.*, sum(e.length) OVER (ORDER BY e.last_offset) - e.length AS bytes_before FROM ( \
                               SELECT * FROM extents \
                               WHERE partition_id = p.partition_id AND last_offset >= r.start \
                               AND r.start >= p.log_start_offset ORDER BY last_offset LIMIT r.extents_max) e) w \
                           JOIN objects o ON o.object_id = w.object_id \
                           WHERE w.bytes_before = 0 OR w.bytes_before < r.bytes_max) x ON true \
                         ORDER BY r.n, x.last_offset";
        let (topic_ids, partitions) = ids(queries.iter().map(|query| query.partition));
        let starts: Vec<_> = queries.iter().map(|query| query.offset.0).collect();
        let bytes: Vec<_> = queries.iter().map(|query| signed(query.bytes_max)).collect();
        let extents: Vec<_> = queries.iter().map(|query| count(query.extents_max)).collect();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&topic_ids, &partitions, &starts, &bytes, &extents];
        let rows = self.database.query(Effect::Read, statement, &parameters).await?;
        let mut found: Vec<Option<PartitionExtents>> = vec![None; queries.len()];
        for row in &rows {
            let place: usize = unsigned_column(row, 0)?;
            let Some(slot) = found.get_mut(place.wrapping_sub(1)) else { continue };
            let bounds = bounds_at(row, 1)?;
            let answer =
                slot.get_or_insert_with(|| PartitionExtents { bounds, extents: Vec::new(), aborted: Vec::new() });
            if column::<Option<i64>>(row, 4)?.is_some() {
                answer.extents.push(extent_at(row, 4)?);
            }
        }
        Ok(found)
    }

    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        let statement = "SELECT r.n, p.log_start_offset, p.high_watermark, p.byte_size \
                         FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY r(topic_id, partition, n) \
                         JOIN partitions p ON p.topic_id = r.topic_id AND p.partition = r.partition";
        let (topic_ids, indexes) = ids(partitions.iter().copied());
        let rows = self.database.query(Effect::Read, statement, &[&topic_ids, &indexes]).await?;
        let mut bounds = vec![None; partitions.len()];
        for row in &rows {
            let place: usize = unsigned_column(row, 0)?;
            if let Some(slot) = bounds.get_mut(place.wrapping_sub(1)) {
                *slot = Some(bounds_at(row, 1)?);
            }
        }
        Ok(bounds)
    }

    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        let statement = "SELECT r.n, e.base_offset, e.last_offset, o.key, e.position, e.length, e.crc, e.max_timestamp, \
                           e.append_time \
                         FROM unnest($1::uuid[], $2::integer[], $3::boolean[], $4::bigint[], $5::boolean[]) \
                              WITH ORDINALITY r(topic_id, partition, latest, wanted, by_append_time, n) \
                         CROSS JOIN LATERAL find_by_time(r.topic_id, r.partition, r.latest, r.wanted, r.by_append_time) f \
                         JOIN extents e ON e.partition_id = f.found_partition_id AND e.last_offset = f.found_last_offset \
                         JOIN objects o ON o.object_id = e.object_id";
        let (topic_ids, partitions) = ids(queries.iter().map(|query| query.partition));
        let latest: Vec<_> = queries.iter().map(|query| query.target == TimeTarget::Latest).collect();
        let wanted = queries.iter().map(|query| match query.target {
            TimeTarget::AtOrAfter(wanted) => wanted.0,
            TimeTarget::Latest => 0,
        });
        let wanted: Vec<_> = wanted.collect();
        let by_append_time: Vec<_> = queries.iter().map(|query| query.by_append_time).collect();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&topic_ids, &partitions, &latest, &wanted, &by_append_time];
        let rows = self.database.query(Effect::Read, statement, &parameters).await?;
        let mut found = vec![None; queries.len()];
        for row in &rows {
            let place: usize = unsigned_column(row, 0)?;
            if let Some(slot) = found.get_mut(place.wrapping_sub(1)) {
                *slot = Some(extent_at(row, 1)?);
            }
        }
        Ok(found)
    }

    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        self.move_log_starts(&moves).await
    }

    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        self.follow(after, wait).await
    }

    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        // Rows that a commit holds are not idle: they are passed over.
        let statement = "DELETE FROM producers s USING ( \
                           SELECT partition_id, producer_id FROM producers WHERE last_write <= now_ms() - $1 \
                           ORDER BY partition_id, producer_id LIMIT $2 FOR UPDATE SKIP LOCKED) d \
                         WHERE s.partition_id = d.partition_id AND s.producer_id = d.producer_id RETURNING 1";
        let idle_ms = signed(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let mut forgotten = 0;
        loop {
            let rows = self.database.query(Effect::Write, statement, &[&idle_ms, &EXPIRED_MAX]).await?;
            let some = rows.len() as u64;
            forgotten += some;
            if signed(some) < EXPIRED_MAX {
                return Ok(forgotten);
            }
        }
    }
}

impl PostgresMetastore {
    /// Clears away what deleted topics left, in bounded pieces, until nothing is left.
    pub(super) async fn drop_extents(&self) -> Result<()> {
        loop {
            let rows = self.database.query(Effect::Write, "SELECT drop_extents(5000)", &[]).await?;
            if !column::<bool>(only(&rows)?, 0)? {
                return Ok(());
            }
        }
    }
}

/// Partitions as two columns.
pub(super) fn ids(partitions: impl Iterator<Item = TopicIdPartition>) -> (Vec<uuid::Uuid>, Vec<i32>) {
    partitions.map(|partition| (partition.topic_id.0, partition.partition.0)).unzip()
}

fn bounds_at(row: &Row, first: usize) -> Result<PartitionBounds> {
    let high_watermark = Offset(column(row, first + 1)?);
    Ok(PartitionBounds {
        log_start_offset: Offset(column(row, first)?),
        high_watermark,
        last_stable_offset: high_watermark,
        byte_size: unsigned_column(row, first + 2)?,
    })
}

fn extent_at(row: &Row, first: usize) -> Result<Extent> {
    Ok(Extent {
        base_offset: Offset(column(row, first)?),
        last_offset: Offset(column(row, first + 1)?),
        object: ObjectKey::from(column::<&str>(row, first + 2)?),
        bytes: ByteRange { position: unsigned_column(row, first + 3)?, length: unsigned_column(row, first + 4)? },
        crc: unsigned_column(row, first + 5)?,
        max_timestamp: Timestamp(column(row, first + 6)?),
        append_time: Timestamp(column(row, first + 7)?),
    })
}
