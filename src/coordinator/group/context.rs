//! What all shards of an agent share.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::coordinators::CoordinatorSettings;
use crate::coordinator::group::command::Command;
use crate::coordinator::group::values::{GroupListing, Moment, Now, OTHER_KIND};
use crate::coordinator::metastore_time::MetastoreTime;
use crate::coordinator::placement::Membership;
use crate::coordinator::shards::{self, Shards};
use crate::metastore::cached::CatalogCache;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::store::Metastore;
use crate::metastore::values::DocumentKind;
use crate::model::error::Condition;

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
    /// Shards that run, each with how its group is to be listed as memory has it: an initial rebalance, for one, is
    /// not stored.
    pub shards: Shards<Command, GroupListing>,
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
        let gauge = parts.metrics.register("group_shards", "Groups this agent works with", Gauge::default());
        let shards = Shards::new(supervisor, parts.membership.clone(), gauge, "group");
        let counters = GroupCounters::new(&parts.metrics);
        Self { parts, shards, counters, time: MetastoreTime::default() }
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
}

/// What the coordinator counts.
#[derive(Clone, Debug)]
pub struct GroupCounters {
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

/// What a failed step of the metastore means to a client.
#[must_use]
pub fn condition_of(error: &MetastoreError) -> Condition {
    match error {
        MetastoreError::Conflict { key } if key.kind == DocumentKind::ShareGroup => OTHER_KIND,
        error => shards::condition_of(error),
    }
}
