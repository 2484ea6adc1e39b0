//! What all shards of an agent share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::share::ShareSettings;
use crate::coordinator::placement::Membership;
use crate::coordinator::share::group::command::Command;
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::MetastoreError;
use crate::metastore::store::Metastore;
use crate::model::error::Condition;
use crate::model::group::GroupId;

/// What the coordinator of share groups is built from.
pub struct ShareGroupParts {
    /// Where documents are.
    pub metastore: Arc<dyn Metastore>,
    /// Who is home to what.
    pub membership: Membership,
    /// Topics, and the groups' own configurations.
    pub catalog: CatalogCache,
    /// What holds where a group's own configuration says nothing.
    pub settings: ShareSettings,
    /// For jitter.
    pub rng: Rng,
    /// Where to count.
    pub metrics: Metrics,
}

impl std::fmt::Debug for ShareGroupParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShareGroupParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What all shards of an agent share.
#[derive(Debug)]
pub struct Context {
    /// What the coordinator is built from.
    pub parts: ShareGroupParts,
    /// Starts shards.
    pub supervisor: Supervisor,
    /// Shards that run.
    pub registry: Registry,
    /// Counters.
    pub counters: ShareGroupCounters,
}

impl Context {
    /// A context without shards.
    #[must_use]
    pub fn new(supervisor: Supervisor, parts: ShareGroupParts) -> Self {
        let counters = ShareGroupCounters::new(&parts.metrics);
        Self { parts, supervisor, registry: Registry::default(), counters }
    }

    /// Whether this agent is the group's home.
    #[must_use]
    pub fn is_home_of(&self, group_id: &GroupId) -> bool {
        self.parts.membership.view().is_home_of(group_id.as_str())
    }
}

/// What the coordinator counts.
#[derive(Clone, Debug)]
pub struct ShareGroupCounters {
    /// Groups with a shard.
    pub shards: Gauge,
    /// Runs of the assignor.
    pub rebalances: Counter,
    /// Groups that were lost to another home.
    pub takeovers: Counter,
}

impl ShareGroupCounters {
    fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(name, help, Counter::default());
        Self {
            shards: metrics.register("share_group_shards", "Share groups this agent works with", Gauge::default()),
            rebalances: counter("share_group_rebalances", "Assignments made for share groups"),
            takeovers: counter("share_group_takeovers", "Share groups lost to another home"),
        }
    }
}

/// Shards that run, by group.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<GroupId, mpsc::Sender<Command>>>);

impl Registry {
    /// The way to a group's shard; `start` makes the shard when none runs.
    pub fn shard_of(&self, group_id: &GroupId, start: impl FnOnce() -> mpsc::Sender<Command>) -> mpsc::Sender<Command> {
        let mut shards = lock(&self.0);
        // A closed way leads to a shard that died; another one takes its place.
        if let Some(commands) = shards.get(group_id).filter(|commands| !commands.is_closed()) {
            return commands.clone();
        }
        let commands = start();
        shards.insert(group_id.clone(), commands.clone());
        commands
    }

    /// Forgets a shard that wants to end, unless somebody is on the way to it. Says whether it may end.
    pub fn retire(&self, group_id: &GroupId, commands: &mpsc::Receiver<Command>) -> bool {
        let mut shards = lock(&self.0);
        // The registry's own sender is the last one: nobody can send while the lock is held.
        let may_end = commands.is_empty() && commands.sender_strong_count() <= 1;
        if may_end {
            shards.remove(group_id);
        }
        may_end
    }

    /// How many shards run.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells shards of groups that `is_home` denies to let go.
    pub fn release(&self, is_home: impl Fn(&GroupId) -> bool) {
        for (_, commands) in lock(&self.0).iter().filter(|(group_id, _)| !is_home(group_id)) {
            // A shard whose queue is full is told at the next round.
            let _ = commands.try_send(Command::Release);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock only means that a thread died between two whole changes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
