//! How a shard loads and persists.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::base::backoff::Backoff;
use crate::coordinator::shards::condition_of;
use crate::coordinator::share::group::command::failure_of;
use crate::coordinator::share::group::document;
use crate::coordinator::share::group::heartbeat::not_a_share_group;
use crate::coordinator::share::group::shard::Shard;
use crate::coordinator::share::group::state::ShareGroup;
use crate::metastore::error::MetastoreError;
use crate::metastore::values::{
    Document, DocumentChange, DocumentKey, DocumentKind, DocumentPut, DocumentWrite, Expect,
};
use crate::model::error::{Condition, Failure};
use crate::model::node::NodeIdentity;

/// How often a step is tried that conflicts or can not be made, before its requests are refused.
const ATTEMPTS_MAX: u32 = 4;

/// How many documents one step writes or deletes besides the group's: enough for almost every group, small enough for
/// every metastore.
pub const DOCUMENTS_MAX: usize = 1_000;

impl Shard {
    /// Loads the group unless it is loaded. One that does not exist is absent, not an error.
    ///
    /// # Errors
    /// When this agent is not its home, the id belongs to a classic group, or the metastore can not be asked.
    pub async fn ensure_loaded(&mut self) -> Result<(), Failure> {
        if !self.context.shards.is_home_of(&self.group_id) {
            self.unload();
            return Err(failure_of(Condition::NotCoordinator));
        }
        if self.group.is_some() {
            return Ok(());
        }
        self.load().await
    }

    /// Reads the document and writes it again: from then on a former home's writes conflict.
    async fn load(&mut self) -> Result<(), Failure> {
        let keys = vec![self.key.clone(), document::classic_key(&self.group_id)];
        for _ in 0..ATTEMPTS_MAX {
            let (own, classic) = match &*self.read(keys.clone()).await? {
                [own, classic] => (own.clone(), classic.clone()),
                _ => return Err(failure_of(Condition::UnknownServerError)),
            };
            let Some(found) = own else {
                if classic.is_some() {
                    return Err(not_a_share_group(&self.group_id));
                }
                (self.group, self.version) = (Some(ShareGroup::absent(self.group_id.clone())), None);
                return Ok(());
            };
            // Read after the document: it holds every topic that the document names and that was not deleted.
            let catalog = self.context.parts.catalog.refresh().await;
            let catalog = catalog.map_err(|error| failure_of(condition_of(&error)))?;
            let sessions_end = Instant::now() + self.limits(&catalog).session_timeout;
            let group = document::decode(&self.group_id, &found.body, sessions_end).map_err(|unreadable| {
                error!(group = %self.group_id, %unreadable, "share group document can not be read");
                failure_of(Condition::CoordinatorNotAvailable)
            })?;
            let body = document::encode(&group, self.home());
            let take_over = self.put(Expect::Version(found.version), DocumentChange::Put(body));
            match self.context.parts.metastore.write_documents(DocumentWrite { puts: vec![take_over] }).await {
                Ok(versions) => {
                    info!(group = %self.group_id, epoch = group.group_epoch, "share group loaded");
                    (self.group, self.version) = (Some(group), versions.first().copied());
                    return Ok(());
                }
                // Somebody was faster, or the answer got lost: look again.
                Err(MetastoreError::Conflict { .. } | MetastoreError::Unknown(_)) => {}
                Err(error) => return Err(failure_of(condition_of(&error))),
            }
        }
        Err(failure_of(Condition::CoordinatorLoadInProgress))
    }

    async fn read(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>, Failure> {
        let found = self.context.parts.metastore.get_documents(keys).await;
        found.map_err(|error| {
            warn!(group = %self.group_id, %error, "share group not read");
            failure_of(condition_of(&error))
        })
    }

    fn home(&self) -> NodeIdentity {
        self.context.parts.membership.view().this
    }

    fn put(&self, expect: Expect, change: DocumentChange) -> DocumentPut {
        DocumentPut { key: self.key.clone(), expect, change }
    }

    /// Stores the group, or deletes it with `None`, and changes documents of share partitions in the same step. A share
    /// partition that is to come into being and is there already stays as it is.
    ///
    /// # Errors
    /// When another home took over, the id belongs to a classic group, or it is not certain to be stored. In each case
    /// the group in memory is void, and is forgotten.
    pub async fn store(&mut self, group: Option<&ShareGroup>, changes: Vec<DocumentPut>) -> Result<(), Failure> {
        let stored = self.try_to_store(group, changes).await;
        stored.inspect_err(|_| self.unload())
    }

    async fn try_to_store(&mut self, group: Option<&ShareGroup>, mut changes: Vec<DocumentPut>) -> Result<(), Failure> {
        let body = group.map(|group| document::encode(group, self.home()));
        let rng = self.context.parts.rng.clone();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(400), rng);
        for _ in 0..ATTEMPTS_MAX {
            let puts = self.own_puts(body.clone()).into_iter().chain(changes.iter().cloned()).collect();
            match self.context.parts.metastore.write_documents(DocumentWrite { puts }).await {
                Ok(versions) => {
                    self.version = versions.first().copied().filter(|_| body.is_some());
                    return Ok(());
                }
                Err(MetastoreError::Unavailable(_)) => sleep(backoff.next_pause()).await,
                Err(MetastoreError::Unknown(_)) => {
                    if self.was_stored(body.as_ref()).await? {
                        return Ok(());
                    }
                }
                Err(MetastoreError::Conflict { key }) if key.kind == DocumentKind::SharePartition => {
                    self.leave_out_existing(&mut changes).await?;
                }
                Err(MetastoreError::Conflict { key }) if key.kind == DocumentKind::Group => {
                    return Err(not_a_share_group(&self.group_id));
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
        Err(failure_of(Condition::CoordinatorNotAvailable))
    }

    /// The change of the group's own document. A new one is only made when no classic group has its id.
    fn own_puts(&self, body: Option<Bytes>) -> Vec<DocumentPut> {
        let change = body.map_or(DocumentChange::Delete, DocumentChange::Put);
        match self.version {
            Some(version) => vec![self.put(Expect::Version(version), change)],
            None => {
                let key = document::classic_key(&self.group_id);
                let is_free = DocumentPut { key, expect: Expect::Absent, change: DocumentChange::Check };
                vec![self.put(Expect::Absent, change), is_free]
            }
        }
    }

    /// After an answer was lost: whether the document is what was to be stored. A step that is still on its way does
    /// no harm: the next one expects the same version, so only one of them happens.
    async fn was_stored(&mut self, body: Option<&Bytes>) -> Result<bool, Failure> {
        let found = self.read(vec![self.key.clone()]).await?.into_iter().next().flatten();
        let (version, found) = (found.as_ref().map(|document| document.version), found.map(|document| document.body));
        if version == self.version {
            return Ok(false);
        }
        if found.as_ref() == body {
            self.version = version;
            return Ok(true);
        }
        Err(self.lost(&MetastoreError::Conflict { key: self.key.clone() }))
    }

    /// Leaves share partitions as they are that were to come into being and are there already.
    async fn leave_out_existing(&self, changes: &mut Vec<DocumentPut>) -> Result<(), Failure> {
        let found = self.read(changes.iter().map(|change| change.key.clone()).collect()).await?;
        let mut found = found.into_iter();
        changes.retain(|change| {
            let exists = found.next().flatten().is_some();
            let stays = !(exists && change.expect == Expect::Absent);
            if !stays {
                warn!(key = %change.key, "share partition exists already and is kept");
            }
            stays
        });
        Ok(())
    }

    /// What a refused write of the group's own document means.
    fn lost(&self, error: &MetastoreError) -> Failure {
        let condition = condition_of(error);
        if condition == Condition::NotCoordinator {
            self.context.counters.takeovers.inc();
            info!(group = %self.group_id, %error, "another agent is the share group's home");
        } else {
            warn!(group = %self.group_id, %error, "share group not stored");
        }
        failure_of(condition)
    }
}
