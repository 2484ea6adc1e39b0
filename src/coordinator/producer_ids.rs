//! Ids for idempotent producers, from blocks that the metastore hands out.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::metastore::error::Result;
use crate::metastore::store::Metastore;
use crate::metastore::values::ProducerIdBlock;
use crate::model::producer::ProducerId;

/// How many ids are taken at a time; those left over when an agent stops are never used.
const BLOCK: u32 = 1000;

/// Hands out producer ids that nobody else will ever get. Cloning shares the block.
#[derive(Clone)]
pub struct ProducerIds(Arc<Inner>);

struct Inner {
    metastore: Arc<dyn Metastore>,
    rest: Mutex<ProducerIdBlock>,
}

impl std::fmt::Debug for ProducerIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerIds").finish_non_exhaustive()
    }
}

impl ProducerIds {
    /// Takes blocks from `metastore`, the first one when the first id is wanted.
    #[must_use]
    pub fn new(metastore: Arc<dyn Metastore>) -> Self {
        let rest = Mutex::new(ProducerIdBlock { first: ProducerId(0), count: 0 });
        Self(Arc::new(Inner { metastore, rest }))
    }

    /// A fresh id. Whoever waits meanwhile shares the block that is on its way.
    ///
    /// # Errors
    /// When a new block is needed and the metastore can not be asked. After an unknown outcome another block may be
    /// taken at once: one that was lost on the way is simply never used.
    pub async fn next(&self) -> Result<ProducerId> {
        let mut rest = self.0.rest.lock().await;
        if rest.count == 0 {
            *rest = self.0.metastore.allocate_producer_ids(BLOCK).await?;
        }
        let id = rest.first;
        *rest = ProducerIdBlock { first: ProducerId(id.0 + 1), count: rest.count.saturating_sub(1) };
        Ok(id)
    }
}
