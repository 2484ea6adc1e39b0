//! What administrators do to a share group: start offsets are set and deleted, and the group is.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::info;

use crate::coordinator::shards::condition_of;
use crate::coordinator::share::group::command::failure_of;
use crate::coordinator::share::group::heartbeat::not_found;
use crate::coordinator::share::group::run::vanish;
use crate::coordinator::share::group::shard::Shard;
use crate::coordinator::share::group::state::ShareGroup;
use crate::coordinator::share::group::store::DOCUMENTS_MAX;
use crate::coordinator::share::partition::document::{
    StoredPartition, encode, name_prefix, partition_key, partition_of,
};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{AlterTopicOffsets, AlteredTopicOffsets, DeletedTopicOffsets};
use crate::metastore::values::{CatalogSnapshot, DocumentChange, DocumentKind, DocumentPut, Expect, TopicRecord};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::offset::Offset;
use crate::model::topic::{PartitionIndex, TopicIdPartition, TopicName};

/// New start offsets, by partition; of two for one partition the later one counts.
type Starts = BTreeMap<TopicIdPartition, Offset>;

impl Shard {
    /// Makes share partitions begin anew at given offsets, whatever was acquired of them; makes the group if there is
    /// none. What agents remember of these partitions is void with it: their documents' versions change.
    ///
    /// # Errors
    /// `NonEmptyGroup` while somebody is in it, else when it can not be stored. What was stored by then stays.
    pub async fn alter_offsets(&mut self, topics: Vec<AlterTopicOffsets>) -> Result<Vec<AlteredTopicOffsets>, Failure> {
        self.without_members()?;
        let catalog = self.catalog().await?;
        let mut starts = Starts::new();
        let judged = topics.into_iter().map(|topic| judge(topic, &catalog, &mut starts)).collect();
        let starts: Vec<_> = starts.into_iter().collect();
        for chunk in starts.chunks(DOCUMENTS_MAX) {
            let mut group = self.loaded()?.clone();
            group.begin_at(chunk, &catalog);
            let puts = chunk.iter().map(|(partition, start)| begin(&self.group_id, *partition, *start)).collect();
            self.store(Some(&group), puts).await?;
            self.group = Some(group);
        }
        info!(group = %self.group_id, partitions = starts.len(), "start offsets of share group altered");
        Ok(judged)
    }

    /// Forgets topics; when they are next subscribed to, they begin as new ones do.
    ///
    /// # Errors
    /// `GroupIdNotFound`, `NonEmptyGroup` while somebody is in it, else when it can not be stored.
    pub async fn delete_offsets(&mut self, topics: Vec<TopicName>) -> Result<Vec<DeletedTopicOffsets>, Failure> {
        self.existing()?;
        self.without_members()?;
        let catalog = self.catalog().await?;
        let mut deleted = Vec::with_capacity(topics.len());
        for topic in topics {
            let topic_id = catalog.topics.get(&topic).map(|record| record.topic_id);
            let known = topic_id.and_then(|topic_id| Some((topic_id, self.loaded().ok()?.topics.get(&topic_id)?)));
            let outcome = match (topic_id, known) {
                (None, _) => Err(unknown_topic(&topic)),
                (Some(_), None) => Err(nothing_to_delete()),
                (Some(_), Some((topic_id, known))) => {
                    let partition = |index: &PartitionIndex| TopicIdPartition::new(topic_id, *index);
                    let partitions: Vec<_> = known.initialised.iter().map(partition).collect();
                    self.forget(&partitions).await?;
                    Ok(())
                }
            };
            deleted.push(DeletedTopicOffsets { topic, topic_id, outcome });
        }
        Ok(deleted)
    }

    /// Deletes the group with its share partitions, in steps that each leave it whole.
    ///
    /// # Errors
    /// `GroupIdNotFound`, `NonEmptyGroup` while somebody is in it, else when it can not be done; then it can be tried
    /// again.
    pub async fn delete(&mut self) -> Result<(), Failure> {
        self.existing()?;
        self.without_members()?;
        let prefix = name_prefix(&self.group_id);
        let limit = u32::try_from(DOCUMENTS_MAX).unwrap_or(u32::MAX);
        loop {
            // By listing, not by what the group knows: nothing may be left behind.
            let metastore = self.context.parts.metastore.clone();
            let page = metastore.list_documents(DocumentKind::SharePartition, &prefix, None, limit).await;
            let page = page.map_err(|error| failure_of(condition_of(&error)))?;
            let is_last = page.len() < DOCUMENTS_MAX;
            let mut group = self.loaded()?.clone();
            page.iter().filter_map(|found| partition_of(&found.key.name, &prefix)).for_each(|gone| group.forget(gone));
            let delete = |key| DocumentPut { key, expect: Expect::Any, change: DocumentChange::Delete };
            let changes = page.into_iter().map(|found| delete(found.key)).collect();
            self.store((!is_last).then_some(&group), changes).await?;
            if is_last {
                self.unload();
                info!(group = %self.group_id, "share group deleted");
                return Ok(());
            }
            self.group = Some(group);
        }
    }

    async fn forget(&mut self, partitions: &[TopicIdPartition]) -> Result<(), Failure> {
        for chunk in partitions.chunks(DOCUMENTS_MAX) {
            let mut group = self.loaded()?.clone();
            chunk.iter().for_each(|partition| group.forget(*partition));
            let changes = chunk.iter().map(|partition| vanish(&self.group_id, *partition)).collect();
            self.store(Some(&group), changes).await?;
            self.group = Some(group);
        }
        Ok(())
    }

    fn loaded(&self) -> Result<&ShareGroup, Failure> {
        self.group.as_ref().ok_or_else(|| failure_of(Condition::CoordinatorNotAvailable))
    }

    fn existing(&self) -> Result<(), Failure> {
        if self.loaded()?.exists { Ok(()) } else { Err(not_found(&self.group_id)) }
    }

    fn without_members(&self) -> Result<(), Failure> {
        match self.loaded()?.members.len() {
            0 => Ok(()),
            count => {
                let members =
                    if count == 1 { "1 member: stop it".to_owned() } else { format!("{count} members: stop them") };
                let message = format!("Group {} has {members} first.", self.group_id);
                Err(Failure::new(Condition::NonEmptyGroup, message))
            }
        }
    }

    /// The catalog as it is now: an administrator may just have changed it through another agent.
    async fn catalog(&self) -> Result<Arc<CatalogSnapshot>, Failure> {
        let catalog = self.context.parts.catalog.refresh().await;
        catalog.map_err(|error| failure_of(condition_of(&error)))
    }
}

impl ShareGroup {
    /// Notes that share partitions begin anew. Agents and members see by the epoch that something changed.
    fn begin_at(&mut self, starts: &[(TopicIdPartition, Offset)], catalog: &CatalogSnapshot) {
        self.exists = true;
        self.bump();
        // Nobody is in it, so there is nothing to assign.
        self.assignment_epoch = self.group_epoch;
        for (partition, _) in starts {
            let topic = self.topics.entry(partition.topic_id).or_default();
            if topic.initialised.is_empty() {
                let record = catalog.topics_by_id.get(&partition.topic_id);
                topic.partition_count = record.map_or(0, |record| record.partition_count);
            }
            topic.initialised.insert(partition.partition);
        }
    }
}

/// Which of a topic's start offsets can be set; those are added to `starts`.
fn judge(topic: AlterTopicOffsets, catalog: &CatalogSnapshot, starts: &mut Starts) -> AlteredTopicOffsets {
    let record = catalog.topics.get(&topic.topic);
    let mut outcome = |index: PartitionIndex, start: Offset| {
        let has_partition = |record: &&Arc<TopicRecord>| (0..record.partition_count).contains(&index.0);
        let record = record.filter(has_partition).ok_or_else(|| unknown_partition(&topic.topic, index))?;
        if start < Offset::NONE {
            let message = format!("{start} is not an offset: give one from 0 on, or -1 for the reset policy.");
            return Err(Failure::new(Condition::InvalidRequest, message));
        }
        starts.insert(TopicIdPartition::new(record.topic_id, index), start);
        Ok(())
    };
    let partitions = topic.partitions.iter().map(|(index, start)| (*index, outcome(*index, *start))).collect();
    AlteredTopicOffsets { topic_id: record.map(|record| record.topic_id), partitions, topic: topic.topic }
}

/// A share partition that begins anew.
fn begin(group_id: &GroupId, partition: TopicIdPartition, start: Offset) -> DocumentPut {
    let state = match start {
        Offset::NONE => StoredPartition::Undecided,
        start => StoredPartition::Decided(SharePartitionState::starting_at(start)),
    };
    let key = partition_key(group_id, partition);
    DocumentPut { key, expect: Expect::Any, change: DocumentChange::Put(encode(&state)) }
}

fn unknown_topic(topic: &TopicName) -> Failure {
    Failure::new(Condition::UnknownTopicOrPartition, format!("There is no topic {topic}."))
}

fn unknown_partition(topic: &TopicName, index: PartitionIndex) -> Failure {
    Failure::new(Condition::UnknownTopicOrPartition, format!("There is no partition {index} of topic {topic}."))
}

fn nothing_to_delete() -> Failure {
    Failure::new(Condition::UnknownTopicOrPartition, "There is no offset information to delete.")
}
