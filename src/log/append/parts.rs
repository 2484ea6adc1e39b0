//! What a writer works with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::config::log::LogSettings;
use crate::log::tail::Tail;
use crate::metastore::store::Metastore;
use crate::model::node::NodeIdentity;
use crate::object::cache::RangeCache;
use crate::object::store::ObjectStorage;

/// What a writer works with.
pub struct WriterParts {
    /// Who this agent is; replaced by whoever registers it again.
    pub node: Arc<ArcSwap<NodeIdentity>>,
    /// Whose objects these are.
    pub cluster_id: Uuid,
    /// Where objects go.
    pub storage: ObjectStorage,
    /// Who gives offsets.
    pub metastore: Arc<dyn Metastore>,
    /// Told of every commit before it is answered.
    pub tail: Tail,
    /// Given the bytes of every commit before it is answered.
    pub cache: RangeCache,
    /// Pace and bounds.
    pub settings: LogSettings,
    /// For keys and pauses.
    pub rng: Rng,
    /// Where the writer counts.
    pub metrics: Metrics,
    /// For the bounds of producers' timestamps only.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for WriterParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}
