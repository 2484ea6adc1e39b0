//! The way in: finds the group's shard and waits for its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::base::task::{Supervisor, TaskKind};
use crate::coordinator::group::command::{Command, Reply};
use crate::coordinator::group::context::{Context, GroupParts, condition_of};
use crate::coordinator::group::offsets;
use crate::coordinator::group::shard::Shard;
use crate::coordinator::group::upkeep;
use crate::coordinator::group::values::{
    CommitOutcome, CommittedOffset, GroupDescription, GroupListing, JoinOutcome, JoinRefused, JoinRequest,
    LeaveOutcome, Leaving, MemberClaim, OffsetCommit, OffsetDelete, OffsetSelection, SyncOutcome, SyncRequest,
};
use crate::model::error::Condition;
use crate::model::group::GroupId;
use crate::model::topic::TopicIdPartition;

/// Serves groups whose home is this agent. Cloning shares it.
///
/// Commands reach a group in the order in which these methods are first polled.
#[derive(Clone, Debug)]
pub struct GroupService(Arc<Context>);

impl GroupService {
    /// Starts the coordinator; its tasks run until the supervisor stops them.
    #[must_use]
    pub fn start(supervisor: &Supervisor, parts: GroupParts) -> Self {
        let service = Self(Arc::new(Context::new(supervisor.clone(), parts)));
        let homes = upkeep::watch_homes(service.0.clone());
        supervisor.spawn(TaskKind::CoordinatorShard, "group homes", homes);
        let own = service.clone();
        let send = async move |group_id: GroupId, command: Command| own.send(&group_id, command).await;
        let expiry = upkeep::expire_offsets(service.0.clone(), send);
        supervisor.spawn(TaskKind::Upkeep, "offset expiry", expiry);
        service
    }

    /// Joins a member to a group. Waits for the rebalance that lets it in.
    ///
    /// # Errors
    /// As Kafka's JoinGroup.
    pub async fn join(&self, request: JoinRequest) -> JoinOutcome {
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        let refused = |condition| JoinRefused { condition, member_id: member_id.clone() };
        named(&group_id).map_err(refused)?;
        let answer = self.ask(&group_id, |reply| Command::Join(request, reply)).await;
        answer.unwrap_or_else(|| Err(refused(Condition::NotCoordinator)))
    }

    /// Gives a member its assignment. Waits for the leader to bring it.
    ///
    /// # Errors
    /// As Kafka's SyncGroup.
    pub async fn sync(&self, request: SyncRequest) -> SyncOutcome {
        let group_id = request.claim.group_id.clone();
        named(&group_id)?;
        self.ask(&group_id, |reply| Command::Sync(request, reply)).await.unwrap_or(Err(Condition::NotCoordinator))
    }

    /// Keeps a member's session alive.
    ///
    /// # Errors
    /// As Kafka's Heartbeat.
    pub async fn heartbeat(&self, claim: MemberClaim) -> Result<(), Condition> {
        let group_id = claim.group_id.clone();
        named(&group_id)?;
        let answer = self.ask(&group_id, |reply| Command::Heartbeat(claim, reply)).await;
        match answer.unwrap_or(Err(Condition::NotCoordinator)) {
            // While the group loads, every member lives: its session starts with the load.
            Err(Condition::CoordinatorLoadInProgress) => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes members.
    ///
    /// # Errors
    /// As Kafka's LeaveGroup, for the whole request.
    pub async fn leave(&self, group_id: &GroupId, members: Vec<Leaving>) -> LeaveOutcome {
        named(group_id)?;
        self.ask(group_id, |reply| Command::Leave(members, reply)).await.unwrap_or(Err(Condition::NotCoordinator))
    }

    /// Commits offsets: all that are acceptable, in one step.
    ///
    /// # Errors
    /// As Kafka's OffsetCommit, for the whole request.
    pub async fn commit_offsets(&self, request: OffsetCommit) -> CommitOutcome {
        let group_id = request.claim.group_id.clone();
        self.ask(&group_id, |reply| Command::Commit(request, reply)).await.unwrap_or(Err(Condition::NotCoordinator))
    }

    /// Committed offsets: no partition that has none. Sees every commit that came before.
    ///
    /// # Errors
    /// `NotCoordinator`, also when the metastore can not be asked: consumers before 3.9 know no other way to retry.
    pub async fn fetch_offsets(
        &self,
        group_id: &GroupId,
        selection: OffsetSelection,
    ) -> Result<BTreeMap<TopicIdPartition, CommittedOffset>, Condition> {
        let metastore = &*self.0.parts.metastore;
        let settled = self.ask(group_id, Command::Settle).await.unwrap_or(Err(Condition::NotCoordinator));
        settled.map_err(|condition| match condition {
            Condition::CoordinatorNotAvailable => Condition::NotCoordinator,
            other => other,
        })?;
        let found = match selection {
            OffsetSelection::All => offsets::list(metastore, group_id).await.map(|found| found.into_iter().collect()),
            OffsetSelection::Partitions(partitions) => {
                let found = offsets::get(metastore, group_id, &partitions).await;
                let pair = |(partition, found): (_, Option<_>)| Some((partition, found?));
                found.map(|found| partitions.into_iter().zip(found).filter_map(pair).collect())
            }
        };
        found.map_err(|_| Condition::NotCoordinator)
    }

    /// Deletes committed offsets, one result per partition.
    ///
    /// # Errors
    /// As Kafka's OffsetDelete, for the whole request.
    pub async fn delete_offsets(&self, request: OffsetDelete) -> CommitOutcome {
        let group_id = request.group_id.clone();
        let answer = self.ask(&group_id, |reply| Command::DeleteOffsets(request, reply)).await;
        answer.unwrap_or(Err(Condition::NotCoordinator))
    }

    /// A group; its state is `Dead` when there is none.
    ///
    /// # Errors
    /// When this agent is not its home, or the metastore can not be asked.
    pub async fn describe(&self, group_id: &GroupId) -> Result<GroupDescription, Condition> {
        self.ask(group_id, Command::Describe).await.unwrap_or(Err(Condition::NotCoordinator))
    }

    /// The groups whose home is this agent, by id.
    ///
    /// # Errors
    /// When the metastore can not be asked.
    pub async fn list(&self) -> Result<Vec<GroupListing>, Condition> {
        let mut listings = BTreeMap::new();
        let mut after = None;
        loop {
            let page = upkeep::stored_groups(&self.0, after).await.map_err(|error| condition_of(&error))?;
            listings.extend(page.groups.iter().map(|group| (group.group_id.clone(), group.listing())));
            let Some(last) = page.last else { break };
            after = Some(last);
        }
        // What memory knows is newer than what was just read.
        listings.extend(self.0.shards.notes().into_iter().map(|listing| (listing.group_id.clone(), listing)));
        Ok(listings.into_values().collect())
    }

    /// Deletes a group without members, with its offsets.
    ///
    /// # Errors
    /// As Kafka's DeleteGroups.
    pub async fn delete(&self, group_id: &GroupId) -> Result<(), Condition> {
        self.ask(group_id, Command::Delete).await.unwrap_or(Err(Condition::NotCoordinator))
    }

    /// Hands a command to the group's shard and waits; `None` when the shard ended without an answer.
    async fn ask<T>(&self, group_id: &GroupId, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.send(group_id, command(reply)).await;
        answer.await.ok()
    }

    /// Hands a command to the group's shard. The place in its queue is taken at the first poll.
    async fn send(&self, group_id: &GroupId, command: Command) {
        let run = |commands| Shard::new(self.0.clone(), group_id.clone(), commands).run();
        self.0.shards.send(group_id, command, run).await;
    }
}

/// Membership needs a name; offsets, as ever, do not.
fn named(group_id: &GroupId) -> Result<(), Condition> {
    if group_id.as_str().is_empty() { Err(Condition::InvalidGroupId) } else { Ok(()) }
}

#[cfg(test)]
pub(in crate::coordinator) mod kit;
#[cfg(test)]
mod tests;
