//! The handles that API handlers may call, built by `agent/`.

use std::sync::Arc;

use uuid::Uuid;

use crate::api::data::fetch_session::FetchSessions;
use crate::api::share::share_session::ShareSessions;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::config::broker::BrokerDefaults;
use crate::config::share::ShareSettings;
use crate::coordinator::group::service::GroupService;
use crate::coordinator::placement::Membership;
use crate::coordinator::producer_ids::ProducerIds;
use crate::coordinator::share::delivery::service::ShareDelivery;
use crate::coordinator::share::group::service::ShareGroups;
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
    /// Share groups: members and start offsets.
    pub share_groups: ShareGroups,
    /// Share groups: what is with whom.
    pub share_delivery: ShareDelivery,
    /// Share sessions of this agent's connections.
    pub share_sessions: ShareSessions,
    /// Ids for idempotent producers.
    pub producer_ids: ProducerIds,
    /// Incremental fetch sessions of this agent's connections.
    pub fetch_sessions: FetchSessions,
    /// What a topic gets when nobody says, and what clients may do with topics.
    pub defaults: BrokerDefaults,
    /// What holds where a share group's configuration says nothing, and how far it may go.
    pub share: ShareSettings,
    /// What clients are told the one log directory is: the bucket's URL, without secrets.
    pub log_dir: Arc<str>,
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
