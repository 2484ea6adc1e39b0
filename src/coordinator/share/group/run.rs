//! The loop of a shard.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::base::task::{TaskError, TaskKind};
use crate::coordinator::shards::close;
use crate::coordinator::share::group::command::{Command, Reply, tell};
use crate::coordinator::share::group::decide::{Effects, Event, Initialised, Surroundings, decide};
use crate::coordinator::share::group::heartbeat::not_found;
use crate::coordinator::share::group::shard::Shard;
use crate::coordinator::share::group::state::ShareGroup;
use crate::coordinator::share::group::store::DOCUMENTS_MAX;
use crate::coordinator::share::partition::document::{StoredPartition, encode, partition_key};
use crate::coordinator::share::partition::state::SharePartitionState;
use crate::coordinator::share::values::{ShareGroupDescription, ShareHeartbeat, ShareHeartbeatAnswer};
use crate::metastore::values::{CatalogSnapshot, DocumentChange, DocumentPut, Expect};
use crate::model::error::{Condition, Failure};
use crate::model::group::GroupId;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// How many commands are taken at once: what came while the last step was stored shares the next one.
const BATCH_MAX: usize = 256;
/// How long a group without members stays in memory after its last request.
const IDLE: Duration = Duration::from_secs(60);

type Beat = (ShareHeartbeat, Reply<ShareHeartbeatAnswer>);

impl Shard {
    /// Serves the group until it is released, idle, or the agent stops.
    ///
    /// # Errors
    /// None: what fails is answered to those who wait.
    pub async fn run(mut self) -> Result<(), TaskError> {
        let stopped = self.context.shards.supervisor.token(TaskKind::CoordinatorShard);
        let mut batch = Vec::new();
        loop {
            let wake_at = self.wake_at();
            // Every branch only waits; the work is done in its arm, where nothing cancels it.
            tokio::select! {
                biased;
                () = stopped.cancelled() => {
                    self.stop().await;
                    return Ok(());
                }
                count = self.commands.recv_many(&mut batch, BATCH_MAX) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.last_used = Instant::now();
                    self.handle(std::mem::take(&mut batch)).await;
                    if std::mem::take(&mut self.released) && self.retire() {
                        return Ok(());
                    }
                }
                () = sleep_until(wake_at) => {
                    if self.next_deadline().is_some() {
                        self.tick().await;
                    } else if self.retire() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends everyone away.
    async fn stop(&mut self) {
        self.unload();
        close(&mut self.commands).await;
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        let catalog = self.context.parts.catalog.snapshot();
        let limits = self.limits(&catalog);
        self.group.as_ref()?.next_deadline(Instant::now(), &limits)
    }

    fn wake_at(&mut self) -> Instant {
        self.next_deadline().unwrap_or(self.last_used + IDLE)
    }

    /// Leaves its place, unless a command is on its way.
    fn retire(&mut self) -> bool {
        let may_end = self.context.shards.retire(&self.group_id, &self.commands);
        self.last_used = Instant::now();
        may_end
    }

    /// Does what it is told, in order; heartbeats that stand together are decided together and stored once.
    async fn handle(&mut self, batch: Vec<Command>) {
        let mut beats = Vec::new();
        for command in batch {
            match command {
                Command::Heartbeat(request, reply) => beats.push((request, reply)),
                other => {
                    self.beat(std::mem::take(&mut beats)).await;
                    self.handle_one(other).await;
                }
            }
        }
        self.beat(beats).await;
    }

    async fn handle_one(&mut self, command: Command) {
        if let Command::Release = command {
            self.unload();
            self.released = true;
            return;
        }
        if let Err(failure) = self.ensure_loaded().await {
            return command.refuse(failure);
        }
        match command {
            Command::Describe(reply) => tell(reply, self.describe()),
            Command::Delete(reply) => tell(reply, self.delete().await),
            Command::AlterOffsets(topics, reply) => tell(reply, self.alter_offsets(topics).await),
            Command::DeleteOffsets(topics, reply) => tell(reply, self.delete_offsets(topics).await),
            Command::Tidy => self.tick().await,
            Command::Heartbeat(request, reply) => self.beat(vec![(request, reply)]).await,
            Command::Release => {}
        }
        self.group = self.group.take().filter(|group| group.exists);
    }

    fn describe(&self) -> Result<ShareGroupDescription, Failure> {
        let group = self.group.as_ref().filter(|group| group.exists);
        group.map(ShareGroup::describe).ok_or_else(|| not_found(&self.group_id))
    }

    async fn beat(&mut self, beats: Vec<Beat>) {
        if beats.is_empty() {
            return;
        }
        let loaded = self.ensure_loaded().await;
        let Some(mut group) = self.group.take().filter(|_| loaded.is_ok()) else {
            let failure = loaded.err().unwrap_or_else(|| Condition::CoordinatorNotAvailable.into());
            return beats.into_iter().for_each(|(_, reply)| tell(reply, Err(failure.clone())));
        };
        let catalog = self.catalog_for(beats.iter().map(|(request, _)| request)).await;
        let limits = self.limits(&catalog);
        let mut effects = Effects::default();
        let mut answers = Vec::with_capacity(beats.len());
        for (request, reply) in beats {
            let documents_max = DOCUMENTS_MAX.saturating_sub(effects.initialise.len() + effects.forget.len());
            let surroundings = Surroundings { now: Instant::now(), limits: &limits, catalog: &catalog, documents_max };
            let (next, made) = decide(group, Event::Heartbeat(request), surroundings);
            group = next;
            answers.push((reply, effects.absorb(made)));
        }
        let concluded = self.conclude(group, effects).await;
        for (reply, answer) in answers {
            let answer = answer.unwrap_or_else(|| Err(Condition::UnknownServerError.into()));
            tell(reply, concluded.clone().and(answer));
        }
    }

    /// Sees to sessions that ended, assignments that were put off and topics that changed.
    async fn tick(&mut self) {
        let Some(group) = self.group.take() else { return };
        let catalog = self.context.parts.catalog.snapshot();
        let limits = self.limits(&catalog);
        let documents_max = DOCUMENTS_MAX;
        let surroundings = Surroundings { now: Instant::now(), limits: &limits, catalog: &catalog, documents_max };
        let (group, effects) = decide(group, Event::Tick, surroundings);
        if let Err(failure) = self.conclude(group, effects).await {
            debug!(group = %self.group_id, %failure, "share group to be read again");
        }
    }

    /// Persists what was decided.
    async fn conclude(&mut self, group: ShareGroup, effects: Effects) -> Result<(), Failure> {
        if effects.persist {
            let appear = effects.initialise.iter().map(|new| appear(&self.group_id, new));
            let vanish = effects.forget.iter().map(|partition| vanish(&self.group_id, *partition));
            let changes = appear.chain(vanish).collect();
            self.store(Some(&group), changes).await?;
            debug!(group = %self.group_id, epoch = group.group_epoch, members = group.members.len(), "share group stored");
        }
        if effects.assigned {
            self.context.counters.rebalances.inc();
        }
        self.group = Some(group).filter(|group| group.exists);
        Ok(())
    }

    /// The catalog, fresh if a member asks for a topic that is not in it as last read: another agent may have made it.
    async fn catalog_for(&self, requests: impl Iterator<Item = &ShareHeartbeat>) -> Arc<CatalogSnapshot> {
        let cache = &self.context.parts.catalog;
        let catalog = cache.snapshot();
        let mut names = requests.flat_map(|request| request.subscribed.iter().flatten());
        if names.all(|name| catalog.topics.contains_key(name)) {
            return catalog;
        }
        cache.refresh().await.unwrap_or_else(|error| {
            // The topic is seen at a later heartbeat then.
            warn!(group = %self.group_id, %error, "catalog not read");
            catalog
        })
    }
}

/// A share partition that comes into being.
fn appear(group_id: &GroupId, new: &Initialised) -> DocumentPut {
    let state = if new.from_the_beginning {
        StoredPartition::Decided(SharePartitionState::starting_at(Offset(0)))
    } else {
        StoredPartition::Undecided
    };
    let key = partition_key(group_id, new.partition);
    DocumentPut { key, expect: Expect::Absent, change: DocumentChange::Put(encode(&state)) }
}

/// A share partition that goes.
#[must_use]
pub fn vanish(group_id: &GroupId, partition: TopicIdPartition) -> DocumentPut {
    DocumentPut { key: partition_key(group_id, partition), expect: Expect::Any, change: DocumentChange::Delete }
}
