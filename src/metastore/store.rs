//! A metastore: the four roles together.

use async_trait::async_trait;

use crate::metastore::batch_index::BatchIndex;
use crate::metastore::catalog::Catalog;
use crate::metastore::error::Result;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::state_store::StateStore;

/// The four roles, and an orderly end.
#[async_trait]
pub trait Metastore: Catalog + BatchIndex + ObjectLedger + StateStore {
    /// `memory`, `embedded` or `postgres`.
    fn backend(&self) -> &'static str;

    /// Flushes and releases; later calls answer `Unavailable`.
    async fn close(&self) -> Result<()>;
}
