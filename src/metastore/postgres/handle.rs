//! The metastore as its roles share it.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::metastore::error::Result;
use crate::metastore::postgres::bell::Bell;
use crate::metastore::postgres::pool::Database;
use crate::metastore::store::Metastore;

/// A metastore in PostgreSQL.
#[derive(Debug)]
pub(super) struct PostgresMetastore {
    pub(super) database: Database,
    pub(super) bell: Bell,
    pub(super) stop: CancellationToken,
}

#[async_trait]
impl Metastore for PostgresMetastore {
    fn backend(&self) -> &'static str {
        "postgres"
    }

    async fn close(&self) -> Result<()> {
        self.stop.cancel();
        self.database.close();
        // Wake those who wait for news: there will be none.
        self.bell.heard();
        Ok(())
    }
}
