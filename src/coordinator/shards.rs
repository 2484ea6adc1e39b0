//! Shards: one task per group, on the agent that is the group's home; both coordinators run theirs so.
//!
//! ```text
//! send ── home? ──► the group's way in, or a new shard ──► its queue
//! watch_homes ── no longer home? ──► the group's shard is told to let go
//! retire ── nobody on the way? ──► the shard may end
//! ```
//!
//! *Invariant.* A group has one running shard at most, and a command that was sent reaches it or is put off: a shard
//! leaves only while nobody can send to it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

use crate::base::task::{Supervisor, TaskError, TaskKind};
use crate::coordinator::placement::{ClusterView, Membership};
use crate::coordinator::upkeep::every;
use crate::metastore::error::MetastoreError;
use crate::model::error::Condition;
use crate::model::group::GroupId;

/// Commands that may wait for one shard: enough for a burst of a large group, small enough to push back.
const COMMANDS_MAX: usize = 1_024;
/// How often the membership is looked at: a parked request of a group that moved waits at most this much longer.
const HOMES_INTERVAL: Duration = Duration::from_millis(250);

/// What a shard is told to do.
pub trait ShardCommand: Send + 'static {
    /// Lets go of the group: another agent is its home now.
    const RELEASE: Self;

    /// Answers that this agent can not do it, or not now.
    fn put_off(self, condition: Condition);
}

/// The shards of an agent, with what is noted of each (`N`).
#[derive(Debug)]
pub struct Shards<C, N = ()> {
    /// Starts them.
    pub supervisor: Supervisor,
    membership: Membership,
    gauge: Gauge,
    task: &'static str,
    running: Mutex<BTreeMap<GroupId, Entry<C, N>>>,
}

#[derive(Debug)]
struct Entry<C, N> {
    commands: mpsc::Sender<C>,
    note: Option<N>,
}

impl<C: ShardCommand, N: Clone> Shards<C, N> {
    /// None yet; `gauge` is to show how many there are, `task` is what each is called in the log.
    #[must_use]
    pub fn new(supervisor: Supervisor, membership: Membership, gauge: Gauge, task: &'static str) -> Self {
        Self { supervisor, membership, gauge, task, running: Mutex::default() }
    }

    /// Whether this agent is the group's home.
    #[must_use]
    pub fn is_home_of(&self, group_id: &GroupId) -> bool {
        self.membership.view().is_home_of(group_id.as_str())
    }

    /// Whether this agent may answer for the group.
    ///
    /// # Errors
    /// `InvalidGroupId`, or `NotCoordinator` when it is not the group's home.
    pub fn admit(&self, group_id: &GroupId) -> Result<(), Condition> {
        if group_id.as_str().contains('\0') {
            // No document's name may hold it.
            return Err(Condition::InvalidGroupId);
        }
        if self.is_home_of(group_id) { Ok(()) } else { Err(Condition::NotCoordinator) }
    }

    /// Hands a command to the group's shard, which `run` makes when none runs. The place in its queue is taken at the
    /// first poll.
    pub async fn send<F>(&self, group_id: &GroupId, command: C, run: impl FnOnce(mpsc::Receiver<C>) -> F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        if let Err(condition) = self.admit(group_id) {
            return command.put_off(condition);
        }
        let shard = self.way_to(group_id, run);
        if let Err(mpsc::error::SendError(command)) = shard.send(command).await {
            command.put_off(Condition::NotCoordinator);
        }
    }

    fn way_to<F>(&self, group_id: &GroupId, run: impl FnOnce(mpsc::Receiver<C>) -> F) -> mpsc::Sender<C>
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let mut running = self.running();
        // A closed way leads to a shard that died; another one takes its place.
        if let Some(entry) = running.get(group_id).filter(|entry| !entry.commands.is_closed()) {
            return entry.commands.clone();
        }
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        self.supervisor.spawn(TaskKind::CoordinatorShard, self.task, run(queue));
        running.insert(group_id.clone(), Entry { commands: commands.clone(), note: None });
        commands
    }

    /// Forgets a shard that wants to end, unless somebody is on the way to it. Says whether it may end.
    pub fn retire(&self, group_id: &GroupId, commands: &mpsc::Receiver<C>) -> bool {
        let mut running = self.running();
        // The sender kept here is the last one: nobody can send while the lock is held.
        let may_end = commands.is_empty() && commands.sender_strong_count() <= 1;
        if may_end {
            running.remove(group_id);
        }
        may_end
    }

    /// Tells shards to let go of groups that do not `stay`, as long as the agent runs.
    ///
    /// # Errors
    /// None.
    pub async fn watch_homes(&self, stays: impl Fn(&ClusterView, &GroupId) -> bool) -> Result<(), TaskError> {
        let round = || async {
            let view = self.membership.view();
            let running = self.running();
            for (_, entry) in running.iter().filter(|(group_id, _)| !stays(&view, group_id)) {
                // A shard whose queue is full is told at the next round.
                let _ = entry.commands.try_send(C::RELEASE);
            }
            self.gauge.set(i64::try_from(running.len()).unwrap_or(i64::MAX));
        };
        every(&self.supervisor, TaskKind::CoordinatorShard, HOMES_INTERVAL, round).await
    }

    /// Notes something of a group's shard, or nothing more.
    pub fn note(&self, group_id: &GroupId, note: Option<N>) {
        if let Some(entry) = self.running().get_mut(group_id) {
            entry.note = note;
        }
    }

    /// What is noted of all shards.
    #[must_use]
    pub fn notes(&self) -> Vec<N> {
        self.running().values().filter_map(|entry| entry.note.clone()).collect()
    }

    /// How many run.
    #[cfg(test)]
    pub(in crate::coordinator) fn len(&self) -> usize {
        self.running().len()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<GroupId, Entry<C, N>>> {
        // A poisoned lock only means that a thread died between two whole changes.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes no command any more and puts off those that wait.
pub async fn close<C: ShardCommand>(commands: &mut mpsc::Receiver<C>) {
    commands.close();
    while let Some(command) = commands.recv().await {
        command.put_off(Condition::NotCoordinator);
    }
}

/// What a failed step of the metastore means to a client.
#[must_use]
pub fn condition_of(error: &MetastoreError) -> Condition {
    match error {
        MetastoreError::Conflict { .. } | MetastoreError::Fenced { .. } => Condition::NotCoordinator,
        MetastoreError::Unavailable(_) | MetastoreError::Unknown(_) | MetastoreError::Unreadable(_) => {
            Condition::CoordinatorNotAvailable
        }
        MetastoreError::Tombstoned { .. } | MetastoreError::Refused { .. } => Condition::UnknownServerError,
    }
}
