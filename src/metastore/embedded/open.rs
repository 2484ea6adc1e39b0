//! Opens the embedded metastore.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::task::Supervisor;
use crate::config::metastore::MetastoreSettings;
use crate::metastore::embedded::core::Core;
use crate::metastore::embedded::engine::Ground;
use crate::metastore::embedded::store::{EmbeddedMetastore, Parts};
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::store::Metastore;

/// What the metastore is built upon.
#[derive(Clone, Debug)]
pub struct Foundation {
    /// Where the files lie.
    pub store: Arc<dyn ObjectStore>,
    /// Below which path; nothing else may lie there.
    pub prefix: Path,
    /// The metastore's time.
    pub clock: Arc<dyn Clock>,
    /// Names of files.
    pub rng: Rng,
    /// Runs steps and flushes.
    pub supervisor: Supervisor,
}

/// Opens the metastore, creates it when it is not there, and fences whoever has it open. Deletions of topics that
/// a crash interrupted are finished first.
///
/// # Errors
/// `Unavailable` when the store does not answer within the step timeout, `Unreadable` when it holds something else.
pub async fn open(settings: &MetastoreSettings, foundation: Foundation) -> Result<Arc<dyn Metastore>> {
    let Foundation { store, prefix, clock, rng, supervisor } = foundation;
    let ground = Ground { store, prefix, rng, settings: settings.embedded.clone() };
    let patience = settings.step_timeout();
    let opening = async {
        let db = ground.open(None).await?;
        Core::load(db, 0, 0).await
    };
    let late = || MetastoreError::Unavailable("the object store did not answer in time".to_owned());
    let core = tokio::time::timeout(patience, opening).await.unwrap_or_else(|_| Err(late()))?;
    let metastore = EmbeddedMetastore::new(Parts { ground, clock, supervisor, patience }, core)?;
    metastore.finish_deletions().await?;
    Ok(Arc::new(metastore))
}
