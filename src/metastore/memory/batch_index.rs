//! Batch index, in memory.

use std::time::Duration;

use async_trait::async_trait;

use crate::base::clock::Timestamp;
use crate::metastore::batch_index::BatchIndex;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::feed::follow;
use crate::metastore::memory::state::{ObjectRecord, PartitionLog, RECEIPTS_KEPT, State};
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::sequencing::{refusal_of, sequence_range, unknown_partition_receipt};
use crate::metastore::values::{
    CommitObject, CommitReceipt, Extent, ExtentQuery, FeedEntry, FeedPage, FeedPosition, LogStartMove, LogStartReceipt,
    PartitionBounds, PartitionExtents, RangeCommit, RangeReceipt, TimeQuery, TimeTarget,
};
use crate::model::object::ObjectKey;
use crate::model::topic::TopicIdPartition;

#[async_trait]
impl BatchIndex for MemoryMetastore {
    async fn commit_object(&self, commit: CommitObject) -> Result<CommitReceipt> {
        let mut state = self.step()?;
        let receipt = state.commit_object(&commit, self.clock_now())?;
        self.announce(&state);
        Ok(receipt)
    }

    async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        Ok(self.step()?.receipts.get(object).cloned())
    }

    async fn find_extents(&self, queries: Vec<ExtentQuery>) -> Result<Vec<Option<PartitionExtents>>> {
        let state = self.step()?;
        Ok(queries.iter().map(|query| Some(state.logs.get(&query.partition)?.find_extents(query))).collect())
    }

    async fn bounds(&self, partitions: Vec<TopicIdPartition>) -> Result<Vec<Option<PartitionBounds>>> {
        let state = self.step()?;
        Ok(partitions.iter().map(|partition| Some(state.logs.get(partition)?.head.bounds())).collect())
    }

    async fn find_by_time(&self, queries: Vec<TimeQuery>) -> Result<Vec<Option<Extent>>> {
        let state = self.step()?;
        Ok(queries.iter().map(|query| state.logs.get(&query.partition)?.find_by_time(query).cloned()).collect())
    }

    async fn move_log_start(&self, moves: Vec<LogStartMove>) -> Result<Vec<LogStartReceipt>> {
        let (mut state, now) = (self.step()?, self.clock_now());
        let receipts = moves.iter().map(|one| state.move_log_start(one, now)).collect();
        self.announce(&state);
        Ok(receipts)
    }

    async fn feed(&self, after: FeedPosition, wait: Duration) -> Result<FeedPage> {
        let page = || {
            let state = self.step()?;
            Ok(state.feed.page(after, state.topics.version()))
        };
        follow(self.news.subscribe(), after, wait, page).await
    }

    async fn expire_producers(&self, idle: Duration) -> Result<u64> {
        let (mut state, now) = (self.step()?, self.clock_now());
        let mut forgotten = 0;
        for log in state.logs.values_mut() {
            log.producers.retain(|_, producer| {
                let expired = producer.last_write.plus(idle) <= now;
                forgotten += u64::from(expired);
                !expired
            });
        }
        Ok(forgotten)
    }
}

impl State {
    fn commit_object(&mut self, commit: &CommitObject, now: Timestamp) -> Result<CommitReceipt> {
        if let Some(receipt) = self.receipts.get(&commit.object) {
            return Ok(receipt.clone());
        }
        self.nodes.check(commit.node)?;
        match self.objects.get(&commit.object) {
            None => {}
            Some(ObjectRecord::Tombstoned) => return Err(MetastoreError::Tombstoned { key: commit.object.clone() }),
            Some(ObjectRecord::Committed { .. }) => {
                let reason = format!("object {} was committed so long ago that its receipt is gone", commit.object);
                return Err(MetastoreError::Unknown(reason));
            }
        }
        self.check_documents(&commit.documents)?;
        if commit.all_or_nothing {
            self.check_ranges(commit, now)?;
        }

        self.apply_documents(&commit.documents);
        let ranges: Vec<_> = commit.ranges.iter().map(|range| self.append(&commit.object, range, now)).collect();
        let extent_count = ranges.iter().map(|range| u32::try_from(range.extents.len()).unwrap_or(u32::MAX)).sum();
        let dereferenced_at = (extent_count == 0).then_some(now);
        self.objects.insert(commit.object.clone(), ObjectRecord::Committed { extent_count, dereferenced_at });
        let receipt = CommitReceipt { committed_at: now, ranges };
        self.keep_receipt(&commit.object, &receipt);
        Ok(receipt)
    }

    /// Whether no batch would be refused.
    fn check_ranges(&self, commit: &CommitObject, now: Timestamp) -> Result<()> {
        for range in &commit.ranges {
            let batches = match self.logs.get(&range.partition) {
                None => unknown_partition_receipt(range).batches,
                Some(log) => {
                    let mut producers = log.producers.clone();
                    sequence_range(log.head, &mut producers, &commit.object, range, now).batches
                }
            };
            if let Some(refusal) = refusal_of(range.partition, &batches) {
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn append(&mut self, object: &ObjectKey, range: &RangeCommit, now: Timestamp) -> RangeReceipt {
        let Some(log) = self.logs.get_mut(&range.partition) else { return unknown_partition_receipt(range) };
        let sequenced = sequence_range(log.head, &mut log.producers, object, range, now);
        log.head = sequenced.head;
        log.extents.extend(sequenced.extents.iter().map(|extent| (extent.last_offset, extent.clone())));
        let (partition, bounds) = (range.partition, log.head.bounds());
        if !sequenced.extents.is_empty() {
            self.feed.push(Some(FeedEntry { partition, bounds, extents: sequenced.extents.clone() }));
        }
        RangeReceipt { partition, bounds, batches: sequenced.batches, extents: sequenced.extents }
    }

    fn keep_receipt(&mut self, object: &ObjectKey, receipt: &CommitReceipt) {
        while let Some((committed_at, key)) = self.receipt_ages.front()
            && committed_at.plus(RECEIPTS_KEPT) <= receipt.committed_at
        {
            self.receipts.remove(key);
            self.receipt_ages.pop_front();
        }
        self.receipts.insert(object.clone(), receipt.clone());
        self.receipt_ages.push_back((receipt.committed_at, object.clone()));
    }

    fn move_log_start(&mut self, one: &LogStartMove, now: Timestamp) -> LogStartReceipt {
        let Some(log) = self.logs.get_mut(&one.partition) else { return LogStartReceipt::UnknownPartition };
        let wanted = one.offset.unwrap_or(log.head.high_watermark);
        if wanted > log.head.high_watermark {
            return LogStartReceipt::OutOfRange;
        }
        if wanted <= log.head.log_start_offset {
            return LogStartReceipt::At(log.head.log_start_offset);
        }
        log.head.log_start_offset = wanted;
        let kept = log.extents.split_off(&wanted);
        let dropped = std::mem::replace(&mut log.extents, kept);
        let dropped_bytes: u64 = dropped.values().map(|extent| u64::from(extent.bytes.length)).sum();
        log.head.byte_size = log.head.byte_size.saturating_sub(dropped_bytes);
        let entry = FeedEntry { partition: one.partition, bounds: log.head.bounds(), extents: Vec::new() };
        self.feed.push(Some(entry));
        for extent in dropped.values() {
            self.dereference(&extent.object, now);
        }
        LogStartReceipt::At(wanted)
    }
}

impl PartitionLog {
    fn find_extents(&self, query: &ExtentQuery) -> PartitionExtents {
        let bounds = self.head.bounds();
        let mut found = PartitionExtents { bounds, extents: Vec::new(), aborted: Vec::new() };
        if query.offset < bounds.log_start_offset {
            return found;
        }
        let mut bytes = 0;
        for extent in self.extents.range(query.offset..).map(|(_, extent)| extent).take(query.extents_max as usize) {
            found.extents.push(extent.clone());
            bytes += u64::from(extent.bytes.length);
            if bytes >= query.bytes_max {
                break;
            }
        }
        found
    }

    fn find_by_time(&self, query: &TimeQuery) -> Option<&Extent> {
        let time = |extent: &Extent| if query.by_append_time { extent.append_time } else { extent.max_timestamp };
        let mut timed = self.extents.values().filter(|extent| time(extent) != Timestamp::NONE);
        match query.target {
            TimeTarget::AtOrAfter(wanted) => timed.find(|extent| time(extent) >= wanted),
            TimeTarget::Latest => {
                timed.reduce(|latest, extent| if time(extent) > time(latest) { extent } else { latest })
            }
        }
    }
}
