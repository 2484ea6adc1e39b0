//! The handles that API handlers may call, built by `agent/`.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::placement::Membership;
use crate::log::append::writer::Writer;
use crate::log::fetch::reader::Reader;
use crate::log::offsets::OffsetFinder;
use crate::metastore::cached::CatalogCache;
use crate::metastore::store::Metastore;

/// What handlers work with; a plain struct of handles.
pub struct Services {
    /// The cluster's identity, as clients see it.
    pub cluster_id: Uuid,
    /// Topics and configurations.
    pub catalog: CatalogCache,
    /// The metastore, for administration.
    pub metastore: Arc<dyn Metastore>,
    /// Who lives.
    pub membership: Membership,
    /// Appends.
    pub writer: Writer,
    /// Fetches.
    pub reader: Reader,
    /// Offsets by time.
    pub offsets: OffsetFinder,
    /// Groups.
    pub groups: GroupService,
    /// Wall clock, for answers only.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for fresh ids.
    pub rng: Rng,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}
