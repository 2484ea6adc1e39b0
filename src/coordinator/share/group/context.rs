//! What all shards of an agent share.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::share::ShareSettings;
use crate::coordinator::placement::Membership;
use crate::coordinator::shards::Shards;
use crate::coordinator::share::group::command::Command;
use crate::metastore::cached::CatalogCache;
use crate::metastore::store::Metastore;

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
    /// Shards that run.
    pub shards: Shards<Command>,
    /// Counters.
    pub counters: ShareGroupCounters,
}

impl Context {
    /// A context without shards.
    #[must_use]
    pub fn new(supervisor: Supervisor, parts: ShareGroupParts) -> Self {
        let about = "Share groups this agent works with";
        let gauge = parts.metrics.register("share_group_shards", about, Gauge::default());
        let shards = Shards::new(supervisor, parts.membership.clone(), gauge, "share group");
        let counters = ShareGroupCounters::new(&parts.metrics);
        Self { parts, shards, counters }
    }
}

/// What the coordinator counts.
#[derive(Clone, Debug)]
pub struct ShareGroupCounters {
    /// Runs of the assignor.
    pub rebalances: Counter,
    /// Groups that were lost to another home.
    pub takeovers: Counter,
}

impl ShareGroupCounters {
    fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.register(name, help, Counter::default());
        Self {
            rebalances: counter("share_group_rebalances", "Assignments made for share groups"),
            takeovers: counter("share_group_takeovers", "Share groups lost to another home"),
        }
    }
}
