//! How a shard loads, persists and commits.

use bytes::Bytes;
use tokio::time::sleep;
use tracing::{error, info, warn};

use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::coordinator::group::classic::state::ClassicGroup;
use crate::coordinator::group::commits::{CommitQueue, check, check_absent};
use crate::coordinator::group::context::condition_of;
use crate::coordinator::group::document;
use crate::coordinator::group::shard::{Shard, Write};
use crate::coordinator::group::values::{GroupState, OTHER_KIND, outside_of_join};
use crate::metastore::error::{MetastoreError, Result as MetastoreResult};
use crate::metastore::values::{DocumentChange, DocumentPut, DocumentVersion, DocumentWrite, Expect};
use crate::model::error::Condition;

/// How often a step is tried that conflicts or can not be made, before its requests are refused.
const ATTEMPTS_MAX: u32 = 4;

impl Shard {
    /// Loads the group unless it is loaded.
    ///
    /// # Errors
    /// When this agent is not its home, or the metastore can not be asked.
    pub async fn ensure_loaded(&mut self) -> Result<(), Condition> {
        if !self.context.shards.is_home_of(&self.group_id) {
            return Err(Condition::NotCoordinator);
        }
        if let Some(group) = &self.group {
            return if group.state == GroupState::Dead { self.refuse_other_kind().await } else { Ok(()) };
        }
        // A write of an earlier life must not be mistaken for one of this life.
        let _ = self.settle().await;
        let loaded = self.load().await;
        loaded.inspect_err(|condition| {
            // Asking for a share group here is how its kind is found out, no failure.
            if *condition != OTHER_KIND {
                warn!(group = %self.group_id, %condition, "group not loaded");
            }
        })
    }

    /// Reads the document and writes it again: from then on a former home's writes conflict.
    async fn load(&mut self) -> Result<(), Condition> {
        let metastore = self.context.parts.metastore.clone();
        let refused = |error: MetastoreError| condition_of(&error);
        self.context.ensure_time().await.map_err(refused)?;
        for _ in 0..ATTEMPTS_MAX {
            let keys = vec![self.key.clone(), document::share_key(&self.group_id)];
            let mut documents = metastore.get_documents(keys).await.map_err(refused)?.into_iter();
            let Some(found) = documents.next().flatten() else {
                if documents.next().flatten().is_some() {
                    return Err(OTHER_KIND);
                }
                (self.group, self.version) = (Some(ClassicGroup::dead(self.group_id.clone())), None);
                return Ok(());
            };
            let group = document::decode(&self.group_id, found.body, self.context.now().moment);
            let group = group.map_err(|unreadable| {
                error!(group = %self.group_id, %unreadable, "group document can not be read");
                Condition::CoordinatorNotAvailable
            })?;
            let take_over = self.put(Expect::Version(found.version), document::encode(&group, self.home()));
            match metastore.write_documents(DocumentWrite { puts: vec![take_over] }).await {
                Ok(versions) => {
                    info!(group = %self.group_id, state = %group.state, generation = group.generation.0, "group loaded");
                    (self.group, self.version) = (Some(group), versions.first().copied());
                    return Ok(());
                }
                // Somebody was faster, or the answer got lost: look again.
                Err(MetastoreError::Conflict { .. } | MetastoreError::Unknown(_)) => {}
                Err(error) => return Err(condition_of(&error)),
            }
        }
        Err(Condition::CoordinatorLoadInProgress)
    }

    /// A group that does not exist may have become a share group since.
    async fn refuse_other_kind(&mut self) -> Result<(), Condition> {
        let keys = vec![document::share_key(&self.group_id)];
        let found = self.context.parts.metastore.get_documents(keys).await;
        let found = found.map_err(|error| condition_of(&error))?.into_iter().next().flatten();
        if found.is_some() { Err(OTHER_KIND) } else { Ok(()) }
    }

    fn home(&self) -> crate::model::node::NodeIdentity {
        self.context.parts.membership.view().this
    }

    fn put(&self, expect: Expect, body: Bytes) -> DocumentPut {
        DocumentPut { key: self.key.clone(), expect, change: DocumentChange::Put(body) }
    }

    /// The change of the group's own document. A new one is only made when no share group has its id.
    fn puts(&self, body: Bytes) -> Vec<DocumentPut> {
        match self.version {
            Some(version) => vec![self.put(Expect::Version(version), body)],
            None => vec![self.put(Expect::Absent, body), check_absent(document::share_key(&self.group_id))],
        }
    }

    /// Stores the group, after everything that was committed before.
    ///
    /// # Errors
    /// `NotCoordinator` when another home took over, `CoordinatorNotAvailable` when it is not certain to be stored.
    /// Either way the group in memory is void.
    pub async fn persist(&mut self, group: &ClassicGroup) -> Result<(), Condition> {
        self.settle().await?;
        let body = document::encode(group, self.home());
        let metastore = self.context.parts.metastore.clone();
        let rng = self.context.parts.rng.clone();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(400), rng);
        for _ in 0..ATTEMPTS_MAX {
            match metastore.write_documents(DocumentWrite { puts: self.puts(body.clone()) }).await {
                Ok(versions) => {
                    self.version = versions.first().copied();
                    return Ok(());
                }
                Err(MetastoreError::Unavailable(_)) => sleep(backoff.next_pause()).await,
                Err(MetastoreError::Unknown(_)) => {
                    if self.was_stored(&body).await? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
        Err(Condition::CoordinatorNotAvailable)
    }

    /// After an answer was lost: whether the document is what was to be stored. A step that is still on its way
    /// does no harm: the next one expects the same version, so only one of them happens.
    async fn was_stored(&mut self, body: &Bytes) -> Result<bool, Condition> {
        let keys = vec![self.key.clone()];
        let found = self.context.parts.metastore.get_documents(keys).await;
        let found = found.map_err(|error| condition_of(&error))?.into_iter().next().flatten();
        match found {
            Some(document) if document.body == *body => {
                self.version = Some(document.version);
                Ok(true)
            }
            found if found.as_ref().map(|document| document.version) == self.version => Ok(false),
            _ => Err(Condition::NotCoordinator),
        }
    }

    /// What a refused write of the group's own document means.
    fn lost(&self, error: &MetastoreError) -> Condition {
        let condition = condition_of(error);
        if condition == Condition::NotCoordinator {
            self.context.counters.takeovers.inc();
            info!(group = %self.group_id, %error, "another agent is the group's home");
        } else {
            warn!(group = %self.group_id, %error, "group not stored");
        }
        condition
    }

    // ------------------------------------------------------------ commits

    /// Sends off what waits, unless a write is under way.
    pub fn start_write(&mut self) {
        if self.writing.is_some() || self.queue.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.queue);
        let guards = match (self.version, &self.group) {
            (Some(version), _) => vec![check(self.key.clone(), version)],
            (None, Some(group)) => self.puts(document::encode(group, self.home())),
            // Whoever unloads the group answers those who wait.
            (None, None) => return batch.answer(Err(Condition::CoordinatorNotAvailable)),
        };
        self.context.counters.offset_commits.inc_by(u64::try_from(batch.len()).unwrap_or(0));
        let write = batch.write(guards);
        let metastore = self.context.parts.metastore.clone();
        let write: Write = Box::pin(async move { metastore.write_documents(write).await });
        self.writing = Some((write, batch));
    }

    /// Answers those whose write is done.
    ///
    /// # Errors
    /// When the group was lost by it; it is unloaded then.
    pub fn finish_write(&mut self, outcome: MetastoreResult<Vec<DocumentVersion>>) -> Result<(), Condition> {
        let Some((_, batch)) = self.writing.take() else { return Ok(()) };
        match outcome {
            Ok(versions) => {
                self.version = versions.first().copied();
                batch.answer(Ok(()));
                Ok(())
            }
            Err(error) => {
                let condition = self.lost(&error);
                batch.answer(Err(outside_of_join(condition, Condition::GroupIdNotFound)));
                // Offsets may be committed again at will; but whether a new group's document exists is unknown.
                let is_void = condition == Condition::NotCoordinator || self.version.is_none();
                if is_void {
                    self.unload(condition);
                    return Err(condition);
                }
                Ok(())
            }
        }
    }

    /// Waits until everything that was to be committed is.
    ///
    /// # Errors
    /// When the group was lost by it; it is unloaded then.
    pub async fn settle(&mut self) -> Result<(), Condition> {
        loop {
            self.start_write();
            if self.writing.is_none() {
                return Ok(());
            }
            let outcome = written(&mut self.writing).await;
            self.finish_write(outcome)?;
        }
    }
}

/// The outcome of the write under way; never, while there is none. May be dropped and called again.
pub async fn written(writing: &mut Option<(Write, CommitQueue)>) -> MetastoreResult<Vec<DocumentVersion>> {
    match writing {
        Some((write, _)) => write.await,
        None => std::future::pending().await,
    }
}
