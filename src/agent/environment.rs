//! What an agent gets from outside.

use std::sync::Arc;

use crate::base::clock::Clock;
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::metastore::store::Metastore;
use crate::model::node::{Endpoint, NodeId, Rack};
use crate::object::store::ObjectStorage;

/// What an agent gets from outside: everything that a simulation may want to own.
pub struct Environment {
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for keys, ids and pauses.
    pub rng: Rng,
    /// Where everything counts.
    pub metrics: Metrics,
    /// The bucket.
    pub storage: ObjectStorage,
    /// The metastore.
    pub metastore: Arc<dyn Metastore>,
    /// Where clients reach this agent.
    pub endpoint: Endpoint,
    /// Its zone.
    pub rack: Option<Rack>,
    /// A wanted id, or any free one.
    pub node_id: Option<NodeId>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
