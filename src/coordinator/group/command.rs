//! What a shard is told to do.

use tokio::sync::oneshot;

use crate::coordinator::group::values::{
    CommitOutcome, GroupDescription, JoinOutcome, JoinRefused, JoinRequest, LeaveOutcome, Leaving, MemberClaim,
    OTHER_KIND, OffsetCommit, OffsetDelete, SyncOutcome, SyncRequest, outside_of_join,
};
use crate::coordinator::shards::ShardCommand;
use crate::model::error::Condition;

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<T>;

/// Gives an answer. A client that is gone is not missed.
pub fn tell<T>(reply: Reply<T>, answer: T) {
    let _ = reply.send(answer);
}

/// What a shard is told to do.
#[derive(Debug)]
pub enum Command {
    /// JoinGroup.
    Join(JoinRequest, Reply<JoinOutcome>),
    /// SyncGroup.
    Sync(SyncRequest, Reply<SyncOutcome>),
    /// Heartbeat.
    Heartbeat(MemberClaim, Reply<Result<(), Condition>>),
    /// LeaveGroup.
    Leave(Vec<Leaving>, Reply<LeaveOutcome>),
    /// OffsetCommit.
    Commit(OffsetCommit, Reply<CommitOutcome>),
    /// Answers once everything that was to be committed before is committed.
    Settle(Reply<Result<(), Condition>>),
    /// OffsetDelete.
    DeleteOffsets(OffsetDelete, Reply<CommitOutcome>),
    /// DescribeGroups.
    Describe(Reply<Result<GroupDescription, Condition>>),
    /// DeleteGroups.
    Delete(Reply<Result<(), Condition>>),
    /// Removes offsets that have expired, and the group with them.
    Expire(Reply<Result<(), Condition>>),
    /// Lets go of the group: another agent is its home now.
    Release,
}

impl ShardCommand for Command {
    const RELEASE: Self = Self::Release;

    fn put_off(self, condition: Condition) {
        let of_member = outside_of_join(condition, Condition::UnknownMemberId);
        let of_group = outside_of_join(condition, Condition::GroupIdNotFound);
        match self {
            Self::Join(request, reply) => tell(reply, Err(JoinRefused { condition, member_id: request.member_id })),
            Self::Sync(_, reply) => tell(reply, Err(of_member)),
            Self::Heartbeat(_, reply) => tell(reply, Err(of_member)),
            Self::Leave(_, reply) => tell(reply, Err(of_member)),
            Self::Settle(reply) | Self::Delete(reply) | Self::Expire(reply) => tell(reply, Err(of_group)),
            Self::Commit(_, reply) | Self::DeleteOffsets(_, reply) => tell(reply, Err(of_group)),
            // As a classic group it does not exist.
            Self::Describe(reply) if condition == OTHER_KIND => tell(reply, Ok(GroupDescription::dead())),
            Self::Describe(reply) => tell(reply, Err(condition)),
            Self::Release => {}
        }
    }
}
