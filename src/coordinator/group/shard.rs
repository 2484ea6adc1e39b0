//! A group at its home: what its task holds.
//!
//! One task per group loads it, decides, persists and answers, in this order (`run`). The group leaves the task's
//! hands while a step is under way and comes back only when the step is done; whatever goes wrong in between, it
//! is read again from its document.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error};

use crate::coordinator::group::classic::state::ClassicGroup;
use crate::coordinator::group::command::{Command, Reply, tell};
use crate::coordinator::group::commits::CommitQueue;
use crate::coordinator::group::context::Context;
use crate::coordinator::group::document;
use crate::coordinator::group::values::{
    Answer, Effects, GroupState, JoinOutcome, JoinRefused, LeaveOutcome, SyncOutcome, Ticket, outside_of_join,
};
use crate::metastore::error::Result as MetastoreResult;
use crate::metastore::values::{DocumentKey, DocumentVersion};
use crate::model::error::Condition;
use crate::model::group::{GroupId, MemberId};

/// A write of the metastore under way.
pub type Write = Pin<Box<dyn Future<Output = MetastoreResult<Vec<DocumentVersion>>> + Send>>;

/// A group at its home.
pub struct Shard {
    /// What it shares with the other shards.
    pub context: Arc<Context>,
    /// Which group.
    pub group_id: GroupId,
    /// The key of its document.
    pub key: DocumentKey,
    /// What it is told.
    pub commands: mpsc::Receiver<Command>,
    /// The group, while it is loaded.
    pub group: Option<ClassicGroup>,
    /// Its document's version, `None` when it has no document. Means nothing while the group is not loaded.
    pub version: Option<DocumentVersion>,
    /// Commits that wait for the write under way.
    pub queue: CommitQueue,
    /// The write under way and who waits for it.
    pub writing: Option<(Write, CommitQueue)>,
    /// When it was last asked for anything.
    pub last_used: Instant,
    waiting: BTreeMap<Ticket, Waiting>,
    next_ticket: u64,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub enum Waiting {
    /// JoinGroup, with the id the member came with.
    Join(MemberId, Reply<JoinOutcome>),
    /// SyncGroup.
    Sync(Reply<SyncOutcome>),
    /// Heartbeat.
    Heartbeat(Reply<Result<(), Condition>>),
    /// LeaveGroup.
    Leave(Reply<LeaveOutcome>),
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("group_id", &self.group_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Shard {
    /// A shard that has not loaded its group yet.
    #[must_use]
    pub fn new(context: Arc<Context>, group_id: GroupId, commands: mpsc::Receiver<Command>) -> Self {
        Self {
            key: document::group_key(&group_id),
            context,
            group_id,
            commands,
            group: None,
            version: None,
            queue: CommitQueue::default(),
            writing: None,
            last_used: Instant::now(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// Lets a request wait; its ticket comes back with the answer.
    pub fn wait(&mut self, waiting: Waiting) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, waiting);
        ticket
    }

    /// Gives a decision's answers.
    pub fn answer(&mut self, effects: Effects) {
        for (ticket, answer) in effects.answers {
            match (self.waiting.remove(&ticket), answer) {
                (Some(Waiting::Join(_, reply)), Answer::Join(outcome)) => tell(reply, outcome),
                (Some(Waiting::Sync(reply)), Answer::Sync(outcome)) => tell(reply, outcome),
                (Some(Waiting::Heartbeat(reply)), Answer::Heartbeat(outcome)) => tell(reply, outcome),
                (Some(Waiting::Leave(reply)), Answer::Leave(outcome)) => tell(reply, outcome),
                (_, answer) => error!(group = %self.group_id, ?answer, "answer to a request that does not wait"),
            }
        }
    }

    /// Forgets the group and refuses whoever waits; it is read again when it is next asked for. A write under way
    /// goes on, its clients learn of its own outcome.
    pub fn unload(&mut self, condition: Condition) {
        debug!(group = %self.group_id, %condition, waiting = self.waiting.len(), "group unloaded");
        self.group = None;
        self.version = None;
        self.context.shards.note(&self.group_id, None);
        for (_, waiting) in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Join(member_id, reply) => tell(reply, Err(JoinRefused { condition, member_id })),
                Waiting::Sync(reply) => tell(reply, Err(outside_of_join(condition, Condition::UnknownMemberId))),
                Waiting::Heartbeat(reply) => tell(reply, Err(outside_of_join(condition, Condition::UnknownMemberId))),
                Waiting::Leave(reply) => tell(reply, Err(outside_of_join(condition, Condition::UnknownMemberId))),
            }
        }
        let condition = outside_of_join(condition, Condition::GroupIdNotFound);
        std::mem::take(&mut self.queue).answer(Err(condition));
    }

    /// Notes how the group is to be listed.
    pub fn note(&self) {
        let Some(group) = &self.group else { return };
        let listing = (group.state != GroupState::Dead).then(|| group.listing());
        self.context.shards.note(&self.group_id, listing);
    }
}
