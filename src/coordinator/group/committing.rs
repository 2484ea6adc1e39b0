//! What a shard does with committed offsets, and how a group ends.

use std::collections::BTreeSet;

use tracing::info;

use crate::coordinator::group::classic::state::{ClassicGroup, Turn};
use crate::coordinator::group::command::{Reply, tell};
use crate::coordinator::group::commits::check;
use crate::coordinator::group::context::condition_of;
use crate::coordinator::group::expiry::Expiry;
use crate::coordinator::group::offsets;
use crate::coordinator::group::shard::Shard;
use crate::coordinator::group::values::{
    CommitOutcome, CommittedOffset, Effects, GroupState, OffsetCommit, OffsetDelete, PartitionCommit,
};
use crate::metastore::values::{DocumentChange, DocumentKey, DocumentPut, DocumentWrite, Expect};
use crate::model::error::Condition;

/// How many documents one step deletes: enough for almost every group, small enough for every metastore.
const DELETIONS_MAX: usize = 1_000;

impl Shard {
    /// Takes a commit; it is answered once it is written.
    pub fn commit(&mut self, request: OffsetCommit, reply: Reply<CommitOutcome>) {
        let now = self.context.now();
        let settings = &self.context.parts.settings;
        let Some(group) = &mut self.group else { return tell(reply, Err(Condition::CoordinatorNotAvailable)) };
        let mut turn = Turn { now, settings, effects: Effects::default() };
        if let Err(condition) = group.accept_commit(&request.claim, request.knows_group_id_not_found, &mut turn) {
            return tell(reply, Err(condition));
        }
        // Kafka counts UTF-16 units, as Java does.
        let metadata_max = usize::try_from(settings.offset_metadata_bytes_max).unwrap_or(usize::MAX);
        let judge = |commit: &PartitionCommit| match commit.metadata.encode_utf16().count() {
            units if units > metadata_max => Err(Condition::OffsetMetadataTooLarge),
            _ => Ok(()),
        };
        let results: Vec<_> = request.partitions.iter().map(judge).collect();
        let expires_at = request.retention.map(|retention| now.wall.plus(retention));
        let accepted = request.partitions.into_iter().zip(&results).filter(|(_, result)| result.is_ok());
        let puts: Vec<_> = accepted
            .map(|(commit, _)| {
                let committed = CommittedOffset {
                    offset: commit.offset,
                    leader_epoch: commit.leader_epoch,
                    metadata: commit.metadata,
                    committed_at: now.wall,
                    expires_at,
                };
                (offsets::offset_key(&self.group_id, commit.partition), offsets::encode(&committed))
            })
            .collect();
        self.queue.push(puts, results, reply);
        self.start_write();
    }

    /// Deletes offsets, save those of topics that a member may subscribe to.
    ///
    /// # Errors
    /// As Kafka's, for the whole request.
    pub async fn delete_offsets(&mut self, request: OffsetDelete) -> CommitOutcome {
        let group = self.group.as_ref().ok_or(Condition::CoordinatorNotAvailable)?;
        group.accept_offset_delete()?;
        let mut results = Vec::with_capacity(request.partitions.len());
        let mut keys = BTreeSet::new();
        for (topic, partition) in &request.partitions {
            let is_subscribed = group.may_subscribe_to(topic.as_str());
            results.push(if is_subscribed { Err(Condition::GroupSubscribedToTopic) } else { Ok(()) });
            if !is_subscribed {
                keys.insert(offsets::offset_key(&self.group_id, *partition));
            }
        }
        self.settle().await?;
        self.delete_documents(keys.into_iter().collect(), false).await?;
        Ok(results)
    }

    /// Deletes the group with its offsets.
    ///
    /// # Errors
    /// As Kafka's.
    pub async fn delete(&mut self) -> Result<(), Condition> {
        self.group.as_ref().ok_or(Condition::CoordinatorNotAvailable)?.accept_delete()?;
        self.settle().await?;
        let committed = offsets::list(&*self.context.parts.metastore, &self.group_id).await;
        let committed = committed.map_err(|error| condition_of(&error))?;
        let keys = committed.iter().map(|(partition, _)| offsets::offset_key(&self.group_id, *partition)).collect();
        self.delete_documents(keys, true).await?;
        info!(group = %self.group_id, offsets = committed.len(), "group deleted");
        Ok(())
    }

    /// Deletes the offsets that have expired or whose topics are gone, and a group that has neither offsets nor
    /// members any more.
    ///
    /// # Errors
    /// When the metastore can not be asked, or another home took over.
    pub async fn expire(&mut self) -> Result<(), Condition> {
        self.settle().await?;
        let committed = offsets::list(&*self.context.parts.metastore, &self.group_id).await;
        let committed = committed.map_err(|error| condition_of(&error))?;
        // The catalog is read after the offsets: a topic that is not in it was deleted after the commit.
        let catalog = self.context.parts.catalog.refresh().await.map_err(|error| condition_of(&error))?;
        let retention = self.context.parts.settings.offsets_retention();
        let expiry = Expiry { now: self.context.now().wall, retention };
        let Some(group) = self.group.as_ref().filter(|group| group.state != GroupState::Dead) else { return Ok(()) };
        let expired = expiry.judge(group, &committed, &catalog);
        if expired.is_nothing() {
            return Ok(());
        }
        info!(group = %self.group_id, offsets = expired.offsets.len(), group_ends = expired.group, "offsets expired");
        let keys = expired.offsets.iter().map(|partition| offsets::offset_key(&self.group_id, *partition)).collect();
        self.delete_documents(keys, expired.group).await
    }

    /// Deletes documents, the group's own last if it ends. Every step checks that this is still the home.
    async fn delete_documents(&mut self, keys: Vec<DocumentKey>, group_ends: bool) -> Result<(), Condition> {
        let mut chunks: Vec<_> = keys.chunks(DELETIONS_MAX).map(<[DocumentKey]>::to_vec).collect();
        if chunks.is_empty() && group_ends {
            chunks.push(Vec::new());
        }
        let last = chunks.len();
        let Some(version) = self.version else {
            // Nothing was ever stored of the group.
            if group_ends {
                self.group = Some(ClassicGroup::dead(self.group_id.clone()));
            }
            return Ok(());
        };
        for (number, chunk) in (1..).zip(chunks) {
            let mut own = check(self.key.clone(), version);
            if group_ends && number == last {
                own.change = DocumentChange::Delete;
            }
            let delete = |key| DocumentPut { key, expect: Expect::Any, change: DocumentChange::Delete };
            let puts = std::iter::once(own).chain(chunk.into_iter().map(delete)).collect();
            if let Err(error) = self.context.parts.metastore.write_documents(DocumentWrite { puts }).await {
                // What of it was done is seen when the group is read again.
                let condition = condition_of(&error);
                self.unload(condition);
                return Err(condition);
            }
        }
        if group_ends {
            self.group = Some(ClassicGroup::dead(self.group_id.clone()));
            self.version = None;
        }
        Ok(())
    }
}
