//! The one place that chooses a backend.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::metastore::{MetastoreBackend, MetastoreSettings};
use crate::metastore::embedded;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::postgres;
use crate::metastore::store::Metastore;

/// What a metastore may be built of; each backend takes what it needs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The cluster's bucket or folder (embedded).
    pub store: Arc<dyn ObjectStore>,
    /// Where in the bucket the embedded metastore lives, by itself.
    pub prefix: Path,
    /// The time of backends that live in this process.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Rng,
    /// Runs steps and flushes.
    pub supervisor: Supervisor,
}

/// Opens the metastore that the settings name.
///
/// # Errors
/// `Unavailable` when it can not be reached or the URL names none, `Unreadable` when what it holds was written by
/// something else.
pub async fn open(settings: &MetastoreSettings, surroundings: Surroundings) -> Result<Arc<dyn Metastore>> {
    let backend = settings.backend().map_err(|unknown| MetastoreError::Unavailable(unknown.to_string()))?;
    match backend {
        MetastoreBackend::Memory => Ok(Arc::new(MemoryMetastore::new(surroundings.clock))),
        MetastoreBackend::Embedded => embedded::open::open(settings, surroundings.into()).await,
        MetastoreBackend::Postgres(url) => {
            let pool_size = usize::try_from(settings.postgres.pool_size).unwrap_or(1);
            postgres::store::open(url, pool_size, &surroundings.supervisor).await
        }
    }
}

impl From<Surroundings> for embedded::open::Foundation {
    fn from(surroundings: Surroundings) -> Self {
        let Surroundings { store, prefix, clock, rng, supervisor } = surroundings;
        Self { store, prefix, clock, rng, supervisor }
    }
}
