//! Batch index, embedded.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::base::clock::Timestamp;
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::embedded::core::Step;
use crate::metastore::embedded::reader::Moment;
use crate::metastore::embedded::records::{StoredExtent, StoredObject};
use crate::metastore::embedded::store::{EmbeddedMetastore, View};
use crate::metastore::embedded::{keys, records, time_index};
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::feed::follow;
use crate::metastore::sequencing::{refusal_of, sequence_range, unknown_partition_receipt};
use crate::metastore::values::{
    CommitObject, CommitReceipt, Extent, ExtentQuery, FeedEntry, FeedPage, FeedPosition, LogStartMove, LogStartReceipt,
    PartitionBounds, PartitionExtents, RangeCommit, RangeReceipt, TimeQuery,
};
use crate::model::object::ObjectKey;
use crate::model::topic::TopicIdPartition;

/// How long receipts are kept; callers rely on an hour.
const RECEIPTS_KEPT: Duration = Duration::from_secs(2 * 3600);

/// Old receipts are looked for once in so many commits, and at most so many times that number are dropped then.
const COMMITS_PER_RECEIPT_SWEEP: u32 = 64;

/// How many extents one step of a log start's move drops: bounded work between two commits.
const EXTENTS_PER_STEP: usize = 1_000;

/// How many producers one step of an expiry looks at.
const PRODUCERS_PER_STEP: usize = 1_000;

#[async_trait]
impl BatchIndex for EmbeddedMetastore {
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt> {
        self.step(move |step| Box::pin(step.commit_object(commit))).await
    }

    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        let view = self.view()?;
        self.read(view.moment.receipt(object)).await
    }

    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        let view = self.view()?;
        let find = async {
            let mut found = Vec::with_capacity(queries.len());
            for query in &queries {
                found.push(if view.has(query.partition) {
                    Some(find_extents(&view.moment, query).await?)
                } else {
                    None
                });
            }
            Ok(found)
        };
        self.read(find).await
    }

    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        let view = self.view()?;
        let read = async {
            let mut bounds = Vec::with_capacity(partitions.len());
            for partition in partitions {
                let exists = view.has(partition);
                bounds.push(if exists { Some(view.moment.head(partition).await?.head.bounds()) } else { None });
            }
            Ok(bounds)
        };
        self.read(read).await
    }

    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        let view = self.view()?;
        let find = async {
            let mut found = Vec::with_capacity(queries.len());
            for query in &queries {
                let exists = view.has(query.partition);
                found.push(if exists { time_index::find(&view.moment, query).await? } else { None });
            }
            Ok(found)
        };
        self.read(find).await
    }

    /// Each move is a step of its own; one that drops very many extents is several, each of them a valid move.
    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        let mut receipts = Vec::with_capacity(moves.len());
        for one in moves {
            receipts.push(loop {
                let moved = self.step(move |step| Box::pin(step.move_log_start(one))).await?;
                if let Some(receipt) = moved {
                    break receipt;
                }
            });
        }
        Ok(receipts)
    }

    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        let page = || {
            let view = self.view()?;
            Ok(self.with_feed(|feed| feed.page(after, view.catalog.version)))
        };
        follow(self.0.news.subscribe(), after, wait, page).await
    }

    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        let (mut after, mut forgotten) = (Vec::new(), 0);
        loop {
            let view = self.view()?;
            let before = self.clock_now().minus(idle);
            let (last, due) = self.read(idle_producers(&view.moment, after, before)).await?;
            forgotten += self.step(move |step| Box::pin(step.forget_producers(due, before))).await?;
            match last {
                Some(last) => after = last,
                None => return Ok(forgotten),
            }
        }
    }
}

impl View {
    fn has(&self, partition: TopicIdPartition) -> bool {
        let topic = self.catalog.topics_by_id.get(&partition.topic_id);
        topic.is_some_and(|topic| (0..topic.partition_count).contains(&partition.partition.0))
    }
}

async fn find_extents(moment: &Moment, query: &ExtentQuery) -> Result<PartitionExtents> {
    let bounds = moment.head(query.partition).await?.head.bounds();
    let mut found = PartitionExtents { bounds, extents: Vec::new(), aborted: Vec::new() };
    if query.offset < bounds.log_start_offset || query.offset >= bounds.high_watermark {
        return Ok(found);
    }
    let mut bytes = 0_u64;
    let mut rows = moment.scan(keys::extents_from(query.partition, query.offset)).await?;
    while found.extents.len() < query.extents_max as usize
        && let Some(StoredExtent { extent, .. }) = rows.next_extent().await?
    {
        bytes = bytes.saturating_add(u64::from(extent.bytes.length));
        found.extents.push(extent);
        if bytes >= query.bytes_max {
            break;
        }
    }
    Ok(found)
}

/// Keys of producers that wrote nothing since `before`, among the first after a key; and where to go on.
async fn idle_producers(moment: &Moment, after: Vec<u8>, before: Timestamp) -> Result<(Option<Vec<u8>>, Vec<Vec<u8>>)> {
    let mut due = Vec::new();
    let mut rows = moment.scan(keys::producers_after(&after)).await?;
    let mut last = None;
    for _ in 0..PRODUCERS_PER_STEP {
        let Some((key, value)) = rows.next().await? else { return Ok((None, due)) };
        if records::producer(&value)?.last_write <= before {
            due.push(key.to_vec());
        }
        last = Some(key.to_vec());
    }
    Ok((last, due))
}

impl Step {
    async fn commit_object(&mut self, commit: CommitObject) -> Result<CommitReceipt> {
        if let Some(receipt) = self.moment.receipt(&commit.object).await? {
            return Ok(receipt);
        }
        self.nodes().check(commit.node)?;
        match self.moment.object(&commit.object).await? {
            None => {}
            Some(StoredObject::Tombstoned) => return Err(MetastoreError::Tombstoned { key: commit.object }),
            Some(StoredObject::Committed { .. }) => {
                let reason = format!("object {} was committed so long ago that its receipt is gone", commit.object);
                return Err(MetastoreError::Unknown(reason));
            }
        }
        self.write_documents(&commit.documents).await?;

        let mut ranges = Vec::with_capacity(commit.ranges.len());
        for range in &commit.ranges {
            let receipt = self.append(&commit.object, range).await?;
            if commit.all_or_nothing
                && let Some(refusal) = refusal_of(receipt.partition, &receipt.batches)
            {
                // The step is abandoned with all that was prepared in it.
                return Err(refusal);
            }
            ranges.push(receipt);
        }
        let extent_count = ranges.iter().map(|range| u32::try_from(range.extents.len()).unwrap_or(u32::MAX)).sum();
        let object = StoredObject::Committed {
            extent_count,
            byte_size: commit.byte_size,
            committed_at: self.now,
            dereferenced_at: (extent_count == 0).then_some(self.now),
        };
        self.set_object(&commit.object, object);
        let receipt = CommitReceipt { committed_at: self.now, ranges };
        self.set_receipt(&commit.object, &receipt);
        if self.receipts_are_due(COMMITS_PER_RECEIPT_SWEEP) {
            self.drop_old_receipts().await?;
        }
        Ok(receipt)
    }

    async fn append(&mut self, object: &ObjectKey, range: &RangeCommit) -> Result<RangeReceipt> {
        let partition = range.partition;
        if !self.topics().has(partition) {
            return Ok(unknown_partition_receipt(range));
        }
        let mut stored = self.head(partition).await?;
        let mut known = BTreeMap::new();
        for producer in range.batches.iter().filter_map(|batch| batch.producer) {
            if let Some(state) = self.producer(partition, producer.producer_id).await? {
                known.insert(producer.producer_id, state);
            }
        }
        let mut producers = known.clone();
        let sequenced = sequence_range(stored.head, &mut producers, object, range, self.now);
        stored.head = sequenced.head;
        for extent in &sequenced.extents {
            stored.largest_timestamp = stored.largest_timestamp.max(extent.max_timestamp);
            let row = StoredExtent { extent: extent.clone(), largest_timestamp: stored.largest_timestamp };
            self.put(keys::extent(partition, extent.last_offset), row.to_bytes());
        }
        let changed = producers.into_iter().filter(|(producer_id, state)| known.get(producer_id) != Some(state));
        changed.for_each(|(producer_id, state)| self.set_producer(partition, producer_id, Some(state)));
        let bounds = stored.head.bounds();
        if !sequenced.extents.is_empty() {
            self.set_head(partition, stored);
            self.tell(Some(FeedEntry { partition, bounds, extents: sequenced.extents.clone() }));
        }
        Ok(RangeReceipt { partition, bounds, batches: sequenced.batches, extents: sequenced.extents })
    }

    async fn drop_old_receipts(&mut self) -> Result<()> {
        let until = self.now.minus(RECEIPTS_KEPT);
        let mut rows = self.moment.scan(keys::receipts_until(until, self.receipts_dropped())).await?;
        for _ in 0..4 * COMMITS_PER_RECEIPT_SWEEP {
            let Some((key, _)) = rows.next().await? else { break };
            self.delete(keys::receipt(&keys::timed_object(&key)?));
            self.delete(&key);
            self.set_receipts_dropped(key);
        }
        Ok(())
    }

    /// Moves a log start, or as far as one step may; `None` when it is not there yet.
    async fn move_log_start(&mut self, one: LogStartMove) -> Result<Option<LogStartReceipt>> {
        let partition = one.partition;
        if !self.topics().has(partition) {
            return Ok(Some(LogStartReceipt::UnknownPartition));
        }
        let mut stored = self.head(partition).await?;
        let wanted = one.offset.unwrap_or(stored.head.high_watermark);
        if wanted > stored.head.high_watermark {
            return Ok(Some(LogStartReceipt::OutOfRange));
        }
        if wanted <= stored.head.log_start_offset {
            return Ok(Some(LogStartReceipt::At(stored.head.log_start_offset)));
        }
        let mut reached = stored.head.log_start_offset;
        let mut rows = self.moment.scan(keys::extents_between(partition, reached, wanted)).await?;
        let mut left = EXTENTS_PER_STEP;
        while left > 0
            && let Some(StoredExtent { extent, .. }) = rows.next_extent().await?
        {
            self.dereference(&extent.object).await?;
            self.delete(keys::extent(partition, extent.last_offset));
            stored.head.byte_size = stored.head.byte_size.saturating_sub(u64::from(extent.bytes.length));
            reached = extent.last_offset.plus(1);
            left -= 1;
        }
        let is_there = left > 0;
        stored.head.log_start_offset = if is_there { wanted } else { reached };
        self.set_head(partition, stored);
        self.tell(Some(FeedEntry { partition, bounds: stored.head.bounds(), extents: Vec::new() }));
        Ok(is_there.then_some(LogStartReceipt::At(wanted)))
    }

    /// Forgets those of the producers that still have written nothing since `before`.
    async fn forget_producers(&mut self, due: Vec<Vec<u8>>, before: Timestamp) -> Result<u64> {
        let mut forgotten = 0;
        for key in due {
            let (partition, producer_id) = keys::producer_of(&key)?;
            let state = self.producer(partition, producer_id).await?;
            if state.is_some_and(|state| state.last_write <= before) {
                self.set_producer(partition, producer_id, None);
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}
