//! What delivery is built from.

use std::sync::Arc;

use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::config::share::ShareSettings;
use crate::coordinator::placement::Membership;
use crate::coordinator::share::letters::service::Letters;
use crate::log::fetch::reader::Reader;
use crate::log::offsets::OffsetFinder;
use crate::log::tail::Tail;
use crate::metastore::cached::CatalogCache;
use crate::metastore::store::Metastore;

/// What delivery is built from. Everything is the agent's own and shared with its other rooms.
pub struct DeliveryParts {
    /// Where documents are.
    pub metastore: Arc<dyn Metastore>,
    /// Who lives: whose locks hold, and whether anybody else changes documents.
    pub membership: Membership,
    /// Topics, and the groups' configuration.
    pub catalog: CatalogCache,
    /// Reads record batches.
    pub reader: Reader,
    /// The same tail that the reader looks into: where logs end, and news of them.
    pub tail: Tail,
    /// Finds where a group begins.
    pub offsets: OffsetFinder,
    /// Writes what is given up.
    pub letters: Letters,
    /// What holds where a group's configuration says nothing.
    pub settings: ShareSettings,
    /// For pauses between attempts.
    pub rng: Rng,
    /// Where to count.
    pub metrics: Metrics,
}

impl std::fmt::Debug for DeliveryParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliveryParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}
