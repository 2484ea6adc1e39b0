//! The loop of a shard.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::group::classic::decide::decide;
use crate::coordinator::group::classic::state::ClassicGroup;
use crate::coordinator::group::command::{Command, tell};
use crate::coordinator::group::shard::{Shard, Waiting};
use crate::coordinator::group::store::written;
use crate::coordinator::group::values::{Event, GroupState};
use crate::coordinator::shards::{ShardCommand, close};
use crate::model::error::Condition;

/// Documents that may wait for the write under way; beyond this no command is taken.
const QUEUED_DOCUMENTS_MAX: usize = 10_000;
/// How long a group without members stays in memory after its last request.
const IDLE: Duration = Duration::from_secs(60);

impl Shard {
    /// Serves the group until it is released, idle, or the agent stops.
    ///
    /// # Errors
    /// None: what fails is answered to those who wait.
    pub async fn run(mut self) -> Result<(), TaskError> {
        let stopped = self.context.shards.supervisor.token(TaskKind::CoordinatorShard);
        loop {
            let takes_commands = self.queue.len() < QUEUED_DOCUMENTS_MAX;
            let wake_at = self.wake_at();
            // Every branch only waits; the work is done in its arm, where nothing cancels it.
            tokio::select! {
                biased;
                () = stopped.cancelled() => {
                    self.stop().await;
                    return Ok(());
                }
                outcome = written(&mut self.writing) => {
                    // Who lost the group by it has been answered.
                    let _ = self.finish_write(outcome);
                    self.start_write();
                }
                command = self.commands.recv(), if takes_commands => match command {
                    Some(Command::Release) => {
                        let _ = self.settle().await;
                        self.unload(Condition::NotCoordinator);
                        if self.retire() {
                            return Ok(());
                        }
                    }
                    Some(command) => self.handle(command).await,
                    None => return Ok(()),
                },
                () = sleep_until(wake_at) => {
                    if !self.is_idle() {
                        self.step(Event::Tick).await;
                        self.note();
                    } else if self.retire() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Finishes what is being written, so that its clients learn of it, and sends everyone away.
    async fn stop(&mut self) {
        let _ = self.settle().await;
        self.unload(Condition::NotCoordinator);
        close(&mut self.commands).await;
    }

    /// Whether nothing is going on and nothing will, by itself.
    fn is_idle(&self) -> bool {
        self.writing.is_none() && self.group.as_ref().and_then(ClassicGroup::next_deadline).is_none()
    }

    fn wake_at(&self) -> Instant {
        let due = self.group.as_ref().and_then(ClassicGroup::next_deadline);
        due.map_or(self.last_used + IDLE, |due| self.context.instant_of(due))
    }

    /// Leaves its place, unless a command is on its way.
    fn retire(&mut self) -> bool {
        let may_end = self.context.shards.retire(&self.group_id, &self.commands);
        self.last_used = Instant::now();
        may_end
    }

    async fn handle(&mut self, command: Command) {
        self.last_used = Instant::now();
        if let Err(condition) = self.ensure_loaded().await {
            if condition == Condition::NotCoordinator {
                self.unload(condition);
            }
            return command.put_off(condition);
        }
        match command {
            Command::Join(request, reply) => {
                let ticket = self.wait(Waiting::Join(request.member_id.clone(), reply));
                let fresh = self.context.parts.rng.uuid();
                self.step(Event::Join { ticket, request, fresh }).await;
            }
            Command::Sync(request, reply) => {
                let ticket = self.wait(Waiting::Sync(reply));
                self.step(Event::Sync { ticket, request }).await;
            }
            Command::Heartbeat(claim, reply) => {
                let ticket = self.wait(Waiting::Heartbeat(reply));
                self.step(Event::Heartbeat { ticket, claim }).await;
            }
            Command::Leave(members, reply) => {
                let ticket = self.wait(Waiting::Leave(reply));
                self.step(Event::Leave { ticket, members }).await;
            }
            Command::Commit(request, reply) => self.commit(request, reply),
            Command::Settle(reply) if self.writing.is_none() => tell(reply, Ok(())),
            Command::Settle(reply) => self.queue.settle(reply),
            Command::DeleteOffsets(request, reply) => tell(reply, self.delete_offsets(request).await),
            Command::Describe(reply) => {
                let description = self.group.as_ref().map(ClassicGroup::describe);
                tell(reply, description.ok_or(Condition::CoordinatorNotAvailable));
            }
            Command::Delete(reply) => tell(reply, self.delete().await),
            Command::Expire(reply) => tell(reply, self.expire().await),
            Command::Release => {}
        }
        self.note();
    }

    /// Decides one event, persists what it changed, answers.
    async fn step(&mut self, event: Event) {
        let Some(group) = self.group.take() else { return };
        let former_state = group.state;
        let (group, effects) = decide(group, event, self.context.now(), &self.context.parts.settings);
        if effects.persist {
            if let Err(condition) = self.persist(&group).await {
                return self.unload(condition);
            }
            debug!(group = %self.group_id, state = %group.state, generation = group.generation.0, "group stored");
        }
        if former_state != GroupState::Stable && group.state == GroupState::Stable {
            self.context.counters.rebalances.inc();
        }
        self.group = Some(group);
        self.answer(effects);
    }
}
