//! How far a group is with its partitions (DescribeShareGroupOffsets), read from their documents.

use std::collections::BTreeMap;

use crate::coordinator::shards::condition_of;
use crate::coordinator::share::group::command::failure_of;
use crate::coordinator::share::group::context::ShareGroupParts;
use crate::coordinator::share::partition::document::{
    StoredPartition, decode, name_prefix, partition_key, partition_of,
};
use crate::coordinator::share::values::{OffsetSelection, ShareOffset, ShareTopicOffsets};
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{CatalogSnapshot, Document, DocumentKind, PartitionBounds};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::topic::{PartitionIndex, TopicIdPartition, TopicName};

/// How many documents one page of a listing holds: each may hold kilobytes.
const PAGE_DOCUMENTS_MAX: u32 = 250;

/// How far a group is with a partition: what its document says, if it can be read.
type Found = BTreeMap<TopicIdPartition, Result<StoredPartition, Failure>>;

/// How far a group is with the wanted partitions, or with all that it ever had a share in. A group that does not exist
/// is nowhere, which is no error.
///
/// # Errors
/// When the metastore can not be asked at all.
pub async fn describe(
    parts: &ShareGroupParts,
    group_id: &GroupId,
    wanted: Option<OffsetSelection>,
) -> Result<Vec<ShareTopicOffsets>, Failure> {
    let (found, catalog) = match &wanted {
        None => {
            let found = list(parts, group_id).await.map_err(refused)?;
            // Read after the documents: a topic that is not in it was deleted.
            (found, parts.catalog.refresh().await.map_err(refused)?)
        }
        Some(wanted) => {
            let catalog = parts.catalog.refresh().await.map_err(refused)?;
            (get(parts, group_id, wanted, &catalog).await.map_err(refused)?, catalog)
        }
    };
    let progress = progress(parts, found).await;
    let describe = |(topic, partitions): (TopicName, Vec<PartitionIndex>)| {
        let topic_id = catalog.topics.get(&topic).map(|record| record.topic_id);
        let of = |index| {
            let found = topic_id.and_then(|id| progress.get(&TopicIdPartition::new(id, index)).cloned());
            (index, found.unwrap_or_else(|| Ok(ShareOffset::default())))
        };
        ShareTopicOffsets { topic_id, partitions: partitions.into_iter().map(of).collect(), topic }
    };
    let wanted = wanted.unwrap_or_else(|| everything(&progress, &catalog));
    Ok(wanted.into_iter().map(describe).collect())
}

fn refused(error: MetastoreError) -> Failure {
    failure_of(condition_of(&error))
}

async fn list(parts: &ShareGroupParts, group_id: &GroupId) -> Result<Found, MetastoreError> {
    let prefix = name_prefix(group_id);
    let mut found = Found::new();
    let mut after = None;
    loop {
        let kind = DocumentKind::SharePartition;
        let page = parts.metastore.list_documents(kind, &prefix, after.take(), PAGE_DOCUMENTS_MAX).await?;
        after = page.last().map(|document| document.key.name.clone());
        let is_last = page.len() < usize::try_from(PAGE_DOCUMENTS_MAX).unwrap_or(usize::MAX);
        found.extend(
            page.iter().filter_map(|document| Some((partition_of(&document.key.name, &prefix)?, read(document)))),
        );
        if is_last {
            return Ok(found);
        }
    }
}

async fn get(
    parts: &ShareGroupParts,
    group_id: &GroupId,
    wanted: &OffsetSelection,
    catalog: &CatalogSnapshot,
) -> Result<Found, MetastoreError> {
    let partitions: Vec<_> = wanted
        .iter()
        .filter_map(|(topic, indexes)| Some((catalog.topics.get(topic)?.topic_id, indexes)))
        .flat_map(|(topic_id, indexes)| indexes.iter().map(move |index| TopicIdPartition::new(topic_id, *index)))
        .collect();
    let keys = partitions.iter().map(|partition| partition_key(group_id, *partition)).collect();
    let documents = parts.metastore.get_documents(keys).await?;
    let pair = |(partition, document): (_, Option<Document>)| Some((partition, read(&document?)));
    Ok(partitions.into_iter().zip(documents).filter_map(pair).collect())
}

fn read(document: &Document) -> Result<StoredPartition, Failure> {
    decode(document.body.clone()).map_err(|unreadable| {
        tracing::warn!(key = %document.key, %unreadable, "share partition can not be read");
        Failure::new(Condition::UnknownServerError, unreadable.to_string())
    })
}

/// Puts the documents beside the ends of the partitions.
async fn progress(parts: &ShareGroupParts, found: Found) -> BTreeMap<TopicIdPartition, Result<ShareOffset, Failure>> {
    let partitions: Vec<_> = found.keys().copied().collect();
    let bounds = match parts.metastore.bounds(partitions).await {
        Ok(bounds) => bounds.into_iter().map(|bounds| bounds.ok_or_else(no_partition)).collect(),
        Err(error) => vec![Err(refused(error)); found.len()],
    };
    let pair = |((partition, stored), bounds): ((_, Result<StoredPartition, _>), Result<_, _>)| {
        (partition, stored.and_then(|stored| offset_of(&stored, bounds)))
    };
    found.into_iter().zip(bounds).map(pair).collect()
}

fn no_partition() -> Failure {
    Failure::new(Condition::UnknownTopicOrPartition, "the topic was deleted or has no such partition")
}

fn offset_of(stored: &StoredPartition, bounds: Result<PartitionBounds, Failure>) -> Result<ShareOffset, Failure> {
    let StoredPartition::Decided(state) = stored else { return Ok(ShareOffset::default()) };
    let start = state.start_offset();
    let behind = u64::try_from(bounds?.high_watermark.0.saturating_sub(start.0)).unwrap_or(0);
    let lag = behind.saturating_sub(state.delivery_complete_count());
    Ok(ShareOffset { start_offset: Some(start), lag: Some(lag) })
}

/// Every partition that was found, by topic; those of deleted topics are left out.
fn everything(
    progress: &BTreeMap<TopicIdPartition, Result<ShareOffset, Failure>>,
    catalog: &CatalogSnapshot,
) -> OffsetSelection {
    let mut topics: BTreeMap<TopicName, Vec<PartitionIndex>> = BTreeMap::new();
    for TopicIdPartition { topic_id, partition } in progress.keys() {
        if let Some(record) = catalog.topics_by_id.get(topic_id) {
            topics.entry(record.name.clone()).or_default().push(*partition);
        }
    }
    topics.into_iter().collect()
}
