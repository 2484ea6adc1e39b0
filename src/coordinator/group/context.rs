//! What all shards of an agent share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::command::Command;
use crate::coordinator::group::values::{GroupListing, Moment, Now, OTHER_KIND};
use crate::coordinator::metastore_time::MetastoreTime;
use crate::coordinator::placement::Membership;
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::store::Metastore;
use crate::metastore::values::DocumentKind;
use crate::model::error::Condition;
use crate::model::group::GroupId;

/// What the group coordinator is built from.
pub struct GroupParts {
    /// Where documents are.
    pub metastore: Arc<dyn Metastore>,
    /// Who is home to what.
    pub membership: Membership,
    /// Topics.
    pub catalog: CatalogCache,
    /// Limits and times.
    pub settings: CoordinatorSettings,
    /// For fresh member ids and jitter.
    pub rng: Rng,
    /// Where to count.
    pub metrics: Metrics,
}

impl std::fmt::Debug for GroupParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What all shards of an agent share.
pub struct Context {
    /// What the coordinator is built from.
    pub parts: GroupParts,
    /// Starts shards.
    pub supervisor: Supervisor,
    /// Shards that run.
    pub registry: Registry,
    /// Counters.
    pub counters: GroupCounters,
    time: MetastoreTime,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Context {
    /// A context whose monotonic time begins now.
    #[must_use]
    pub fn new(supervisor: Supervisor, parts: GroupParts) -> Self {
        let counters = GroupCounters::new(&parts.metrics);
        Self { parts, supervisor, registry: Registry::default(), counters, time: MetastoreTime::default() }
    }

    /// Both times. The metastore's is reckoned from when it was last asked.
    #[must_use]
    pub fn now(&self) -> Now {
        let moment = Moment(u64::try_from(self.time.started().elapsed().as_millis()).unwrap_or(u64::MAX));
        Now { moment, wall: self.time.now() }
    }

    /// The instant of a moment.
    #[must_use]
    pub fn instant_of(&self, moment: Moment) -> Instant {
        self.time.started() + std::time::Duration::from_millis(moment.0)
    }

    /// Asks the metastore for its time.
    ///
    /// # Errors
    /// When it can not be asked.
    pub async fn refresh_time(&self) -> Result<()> {
        self.time.refresh(&*self.parts.metastore).await
    }

    /// Asks the metastore for its time unless it was asked before.
    ///
    /// # Errors
    /// When it can not be asked.
    pub async fn ensure_time(&self) -> Result<()> {
        self.time.ensure(&*self.parts.metastore).await
    }

    /// Whether this agent is the group's home.
    #[must_use]
    pub fn is_home_of(&self, group_id: &GroupId) -> bool {
        self.parts.membership.view().is_home_of(group_id.as_str())
    }
}

/// What the coordinator counts.
#[derive(Clone, Debug)]
pub struct GroupCounters {
    /// Groups with a shard.
    pub shards: Gauge,
    /// Rebalances that ended with an assignment.
    pub rebalances: Counter,
    /// Offsets committed.
    pub offset_commits: Counter,
    /// Groups that were lost to another home.
    pub takeovers: Counter,
}

impl GroupCounters {
    fn new(metrics: &Metrics) -> Self {
        Self {
            shards: metrics.register("group_shards", "Groups this agent works with", Gauge::default()),
            rebalances: metrics.register(
                "group_rebalances",
                "Rebalances that ended in an assignment",
                Counter::default(),
            ),
            offset_commits: metrics.register("offset_commits", "Offsets committed", Counter::default()),
            takeovers: metrics.register("group_takeovers", "Groups lost to another home", Counter::default()),
        }
    }
}

/// Shards that run, by group.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<GroupId, Entry>>);

#[derive(Debug)]
struct Entry {
    commands: mpsc::Sender<Command>,
    /// As memory has it: an initial rebalance, for one, is not stored.
    listing: Option<GroupListing>,
}

impl Registry {
    /// The way to a group's shard; `start` makes the shard when none runs.
    pub fn shard_of(&self, group_id: &GroupId, start: impl FnOnce() -> mpsc::Sender<Command>) -> mpsc::Sender<Command> {
        let mut entries = lock(&self.0);
        // A closed way leads to a shard that died; another one takes its place.
        if let Some(entry) = entries.get(group_id).filter(|entry| !entry.commands.is_closed()) {
            return entry.commands.clone();
        }
        let commands = start();
        entries.insert(group_id.clone(), Entry { commands: commands.clone(), listing: None });
        commands
    }

    /// Forgets a shard that wants to end, unless somebody is on the way to it. Says whether it may end.
    pub fn retire(&self, group_id: &GroupId, commands: &mpsc::Receiver<Command>) -> bool {
        let mut entries = lock(&self.0);
        // The registry's own sender is the last one: nobody can send while the lock is held.
        let may_end = commands.is_empty() && commands.sender_strong_count() <= 1;
        if may_end {
            entries.remove(group_id);
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

    /// Notes how a group is to be listed.
    pub fn note(&self, listing: GroupListing) {
        if let Some(entry) = lock(&self.0).get_mut(&listing.group_id) {
            entry.listing = Some(listing);
        }
    }

    /// Forgets how a group is to be listed.
    pub fn unnote(&self, group_id: &GroupId) {
        if let Some(entry) = lock(&self.0).get_mut(group_id) {
            entry.listing = None;
        }
    }

    /// Groups as memory has them.
    #[must_use]
    pub fn listings(&self) -> Vec<GroupListing> {
        lock(&self.0).values().filter_map(|entry| entry.listing.clone()).collect()
    }

    /// Tells shards of groups that `is_home` denies to let go.
    pub fn release(&self, is_home: impl Fn(&GroupId) -> bool) {
        for (group_id, entry) in lock(&self.0).iter() {
            if !is_home(group_id) {
                // A shard whose queue is full is told at the next round.
                let _ = entry.commands.try_send(Command::Release);
            }
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
        MetastoreError::Conflict { key } if key.kind == DocumentKind::ShareGroup => OTHER_KIND,
        MetastoreError::Conflict { .. } | MetastoreError::Fenced { .. } => Condition::NotCoordinator,
        MetastoreError::Unavailable(_) | MetastoreError::Unknown(_) | MetastoreError::Unreadable(_) => {
            Condition::CoordinatorNotAvailable
        }
        MetastoreError::Tombstoned { .. } | MetastoreError::Refused { .. } => Condition::UnknownServerError,
    }
}
