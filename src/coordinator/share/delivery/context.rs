//! What all lanes of an agent share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::base::task::Supervisor;
use crate::config::share_group::ShareGroupConfig;
use crate::coordinator::metastore_time::MetastoreTime;
use crate::coordinator::share::delivery::board::Board;
use crate::coordinator::share::delivery::cache::DocumentCache;
use crate::coordinator::share::delivery::counters::Counters;
use crate::coordinator::share::delivery::living::Living;
use crate::coordinator::share::delivery::parts::DeliveryParts;
use crate::coordinator::share::delivery::work::Work;
use crate::coordinator::share::partition::rules::{RedeliveryBackoff, Rules};
use crate::metastore::values::{CatalogVersion, ConfigResource};
use crate::model::group::GroupId;

/// Documents in memory, decoded, over all groups. One of a full window with every record in another state takes some
/// 130 KiB, a usual one less than one.
const CACHE_BYTES_MAX: usize = 64 << 20;
/// Configurations in memory; they are made anew when they are needed.
const CONFIGS_MAX: usize = 10_000;

/// What all lanes of an agent share.
pub(super) struct Context {
    pub parts: DeliveryParts,
    pub supervisor: Supervisor,
    pub time: MetastoreTime,
    pub cache: DocumentCache,
    pub board: Board,
    pub lanes: Lanes,
    pub counters: Counters,
    /// Writes so far, over all groups.
    writes: AtomicU64,
    configs: Mutex<BTreeMap<GroupId, (CatalogVersion, Arc<GroupRules>)>>,
}

/// What a group's configuration comes to.
#[derive(Debug)]
pub(super) struct GroupRules {
    pub config: ShareGroupConfig,
    pub rules: Rules,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Context {
    pub(super) fn new(supervisor: Supervisor, parts: DeliveryParts) -> Self {
        Self {
            counters: Counters::new(&parts.metrics),
            parts,
            supervisor,
            time: MetastoreTime::default(),
            cache: DocumentCache::new(CACHE_BYTES_MAX),
            board: Board::default(),
            lanes: Lanes::default(),
            writes: AtomicU64::new(0),
            configs: Mutex::default(),
        }
    }

    /// The group's configuration as the catalog has it now.
    pub(super) fn rules_of(&self, group_id: &GroupId) -> Arc<GroupRules> {
        let snapshot = self.parts.catalog.snapshot();
        let mut configs = lock(&self.configs);
        if let Some((version, rules)) = configs.get(group_id)
            && *version == snapshot.version
        {
            return Arc::clone(rules);
        }
        let own = snapshot.configs.get(&ConfigResource::Group(group_id.clone()));
        let cluster = snapshot.configs.get(&ConfigResource::Broker(None));
        let rules = Arc::new(GroupRules::new(ShareGroupConfig::effective(own, cluster, &self.parts.settings)));
        if configs.len() >= CONFIGS_MAX {
            configs.clear();
        }
        configs.insert(group_id.clone(), (snapshot.version, Arc::clone(&rules)));
        rules
    }

    /// A number that no other write of this process has.
    pub(super) fn next_write(&self) -> u64 {
        self.writes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whose locks hold now.
    pub(super) fn living(&self) -> Living {
        Living::now(&self.parts.membership, &self.time)
    }
}

impl GroupRules {
    fn new(config: ShareGroupConfig) -> Self {
        let backoff = &config.backoff;
        // Rounded to thousandths; what is no number or too large is cut to what a rest can do with.
        let factor_thousandths = (backoff.multiplier.clamp(1.0, 1_000_000.0) * 1_000.0).round() as u32;
        let backoff = RedeliveryBackoff { first: backoff.first, factor_thousandths, longest: backoff.longest };
        let rules = Rules {
            lock_duration: config.record_lock_duration,
            delivery_count_limit: config.delivery_count_limit,
            record_locks_max: config.record_locks_max,
            renew_allowed: config.renew_allowed,
            backoff,
        };
        Self { config, rules }
    }
}

/// Lanes that run, by group.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<BTreeMap<GroupId, mpsc::Sender<Work>>>);

impl Lanes {
    /// The way to a group's lane; `start` makes the lane when none runs.
    pub(super) fn lane_of(&self, group_id: &GroupId, start: impl FnOnce() -> mpsc::Sender<Work>) -> mpsc::Sender<Work> {
        let mut lanes = lock(&self.0);
        // A closed way leads to a lane that died; another one takes its place.
        if let Some(lane) = lanes.get(group_id).filter(|lane| !lane.is_closed()) {
            return lane.clone();
        }
        let lane = start();
        lanes.insert(group_id.clone(), lane.clone());
        lane
    }

    /// Forgets a lane that wants to end, unless somebody is on the way to it. Says whether it may end.
    pub(super) fn retire(&self, group_id: &GroupId, queue: &mpsc::Receiver<Work>) -> bool {
        let mut lanes = lock(&self.0);
        // The registry's own sender is the last one: nobody can send while the lock is held.
        let may_end = queue.is_empty() && queue.sender_strong_count() <= 1;
        if may_end {
            lanes.remove(group_id);
        }
        may_end
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock only means that a thread died between two whole changes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
