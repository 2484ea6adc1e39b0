//! What a shard is told to do.

use tokio::sync::oneshot;

use crate::coordinator::shards::ShardCommand;
use crate::coordinator::share::values::{
    AlterTopicOffsets, AlteredTopicOffsets, DeletedTopicOffsets, ShareGroupDescription, ShareHeartbeat,
    ShareHeartbeatAnswer,
};
use crate::model::error::{Condition, Failure};
use crate::model::topic::TopicName;

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// Gives an answer. A client that is gone is not missed.
pub fn tell<T>(reply: Reply<T>, answer: Result<T, Failure>) {
    let _ = reply.send(answer);
}

/// What a shard is told to do.
#[derive(Debug)]
pub enum Command {
    /// ShareGroupHeartbeat.
    Heartbeat(ShareHeartbeat, Reply<ShareHeartbeatAnswer>),
    /// ShareGroupDescribe.
    Describe(Reply<ShareGroupDescription>),
    /// DeleteGroups.
    Delete(Reply<()>),
    /// AlterShareGroupOffsets.
    AlterOffsets(Vec<AlterTopicOffsets>, Reply<Vec<AlteredTopicOffsets>>),
    /// DeleteShareGroupOffsets.
    DeleteOffsets(Vec<TopicName>, Reply<Vec<DeletedTopicOffsets>>),
    /// Looks whether topics are gone and members silent.
    Tidy,
    /// Lets go of the group: another agent is its home now.
    Release,
}

impl Command {
    /// Answers that it can not be done.
    pub fn refuse(self, failure: Failure) {
        match self {
            Self::Heartbeat(_, reply) => tell(reply, Err(failure)),
            Self::Describe(reply) => tell(reply, Err(failure)),
            Self::Delete(reply) => tell(reply, Err(failure)),
            Self::AlterOffsets(_, reply) => tell(reply, Err(failure)),
            Self::DeleteOffsets(_, reply) => tell(reply, Err(failure)),
            Self::Tidy | Self::Release => {}
        }
    }
}

impl ShardCommand for Command {
    const RELEASE: Self = Self::Release;

    fn put_off(self, condition: Condition) {
        self.refuse(failure_of(condition));
    }
}

/// The sentence for what another agent or a later try can do.
#[must_use]
pub fn failure_of(condition: Condition) -> Failure {
    let sentence = match condition {
        Condition::NotCoordinator => "another agent coordinates this group: look it up again",
        Condition::CoordinatorLoadInProgress => "the group is being loaded: try again",
        Condition::CoordinatorNotAvailable => "the metastore could not be asked, or its answer got lost: try again",
        Condition::InvalidGroupId => "this can not be a group id",
        other => return other.into(),
    };
    Failure::new(condition, sentence)
}
