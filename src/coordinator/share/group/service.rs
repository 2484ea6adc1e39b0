//! The way in: finds the group's shard and waits for its answer.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::base::task::{Supervisor, TaskKind};
use crate::coordinator::shards::condition_of;
use crate::coordinator::share::group::command::{Command, Reply, failure_of};
use crate::coordinator::share::group::context::{Context, ShareGroupParts};
use crate::coordinator::share::group::heartbeat::check;
use crate::coordinator::share::group::progress;
use crate::coordinator::share::group::shard::Shard;
use crate::coordinator::share::group::state::ShareGroup;
use crate::coordinator::share::group::upkeep;
use crate::coordinator::share::values::{
    AlterTopicOffsets, AlteredTopicOffsets, DeletedTopicOffsets, OffsetSelection, ShareGroupDescription,
    ShareGroupListing, ShareHeartbeat, ShareHeartbeatAnswer, ShareTopicOffsets,
};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::topic::TopicName;

/// Serves share groups whose home is this agent. Cloning shares it.
#[derive(Clone, Debug)]
pub struct ShareGroups(Arc<Context>);

impl ShareGroups {
    /// Starts the coordinator; its tasks run until the supervisor stops them.
    #[must_use]
    pub fn start(supervisor: &Supervisor, parts: ShareGroupParts) -> Self {
        let service = Self(Arc::new(Context::new(supervisor.clone(), parts)));
        let homes = upkeep::watch_homes(service.0.clone());
        supervisor.spawn(TaskKind::CoordinatorShard, "share group homes", homes);
        let own = service.clone();
        let send = async move |group_id: GroupId, command: Command| own.send(&group_id, command).await;
        let tidying = upkeep::tidy_groups(service.0.clone(), send);
        supervisor.spawn(TaskKind::Upkeep, "share group tidying", tidying);
        service
    }

    /// Takes a member in, keeps it alive or lets it go. The answer to a member that joins holds its assignment.
    ///
    /// # Errors
    /// As Kafka's ShareGroupHeartbeat.
    pub async fn heartbeat(&self, request: ShareHeartbeat) -> Result<ShareHeartbeatAnswer, Failure> {
        check(&request)?;
        let group_id = request.group_id.clone();
        self.ask(&group_id, |reply| Command::Heartbeat(request, reply)).await
    }

    /// A group.
    ///
    /// # Errors
    /// `GroupIdNotFound` when there is none, also when the id belongs to a group of another kind; when this agent is
    /// not its home, or the metastore can not be asked.
    pub async fn describe(&self, group_id: &GroupId) -> Result<ShareGroupDescription, Failure> {
        self.ask(group_id, Command::Describe).await
    }

    /// The share groups whose home is this agent, by id.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn list(&self) -> Result<Vec<ShareGroupListing>, Condition> {
        let mut listings = Vec::new();
        let mut after = None;
        loop {
            let page = upkeep::stored_groups(&self.0, after).await.map_err(|error| condition_of(&error))?;
            listings.extend(page.groups.iter().map(ShareGroup::listing));
            let Some(last) = page.last else { return Ok(listings) };
            after = Some(last);
        }
    }

    /// Deletes a group without members, with all that is stored of its share partitions.
    ///
    /// # Errors
    /// As Kafka's DeleteGroups.
    pub async fn delete(&self, group_id: &GroupId) -> Result<(), Failure> {
        self.ask(group_id, Command::Delete).await
    }

    /// How far a group is: with these partitions, or with `None` all that it ever had a share in, by topic name. A
    /// group that does not exist is no error.
    ///
    /// # Errors
    /// When this agent is not its home, or the metastore can not be asked.
    pub async fn describe_offsets(
        &self,
        group_id: &GroupId,
        topics: Option<OffsetSelection>,
    ) -> Result<Vec<ShareTopicOffsets>, Failure> {
        self.admit(group_id)?;
        progress::describe(&self.0.parts, group_id, topics).await
    }

    /// Makes share partitions begin anew at given offsets, one outcome per topic and partition in the request's order;
    /// makes the group when there is none. Nobody may be in it.
    ///
    /// # Errors
    /// As Kafka's AlterShareGroupOffsets, for the whole request.
    pub async fn alter_offsets(
        &self,
        group_id: &GroupId,
        topics: Vec<AlterTopicOffsets>,
    ) -> Result<Vec<AlteredTopicOffsets>, Failure> {
        self.ask(group_id, |reply| Command::AlterOffsets(topics, reply)).await
    }

    /// Forgets topics, one outcome per topic in the request's order. Nobody may be in the group.
    ///
    /// # Errors
    /// As Kafka's DeleteShareGroupOffsets, for the whole request.
    pub async fn delete_offsets(
        &self,
        group_id: &GroupId,
        topics: Vec<TopicName>,
    ) -> Result<Vec<DeletedTopicOffsets>, Failure> {
        self.ask(group_id, |reply| Command::DeleteOffsets(topics, reply)).await
    }

    /// Whether this agent may answer for the group.
    fn admit(&self, group_id: &GroupId) -> Result<(), Failure> {
        if group_id.as_str().is_empty() {
            return Err(failure_of(Condition::InvalidGroupId));
        }
        self.0.shards.admit(group_id).map_err(failure_of)
    }

    /// Hands a command to the group's shard and waits.
    async fn ask<T>(&self, group_id: &GroupId, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(group_id, command(reply)).await;
        // A shard that ends without an answer was stopped.
        answer.await.unwrap_or_else(|_| Err(failure_of(Condition::NotCoordinator)))
    }

    /// Hands a command to the group's shard. The place in its queue is taken at the first poll.
    async fn send(&self, group_id: &GroupId, command: Command) {
        if let Err(failure) = self.admit(group_id) {
            return command.refuse(failure);
        }
        let run = |commands| Shard::new(self.0.clone(), group_id.clone(), commands).run();
        self.0.shards.send(group_id, command, run).await;
    }
}

#[cfg(test)]
mod kit;
#[cfg(test)]
mod tests;
