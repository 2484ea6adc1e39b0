//! Opens a metastore in PostgreSQL.

use std::sync::Arc;

use tokio_postgres::NoTls;

use crate::base::rng::Rng;
use crate::base::task::{Supervisor, TaskKind};
use crate::config::metastore::PostgresSettings;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::bell::Bell;
use crate::metastore::postgres::error::describe;
use crate::metastore::postgres::feed::{keep_listening, keep_trimming};
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::postgres::migrate::migrate;
use crate::metastore::postgres::pool::{Address, Database, greet};
use crate::metastore::store::Metastore;

/// Opens the metastore at `url` with at most `pool_size` connections, and one more that listens for news.
///
/// The URL is libpq's (`postgres://user:password@host:5432/database`), with one parameter of our own:
/// `towpath_schema` names the schema that holds everything (default `towpath`), so that several metastores can
/// share a database. The schema is created and migrated as needed, which the user must be allowed to do.
/// Connections must lead to the server itself, not to a pooler that shares sessions.
///
/// # Errors
/// `Unavailable` when the server can not be reached, is older than PostgreSQL 15 or a replica, or the URL makes
/// no sense; `Unreadable` when a newer version of the broker has migrated the schema too far.
pub async fn open(url: &str, pool_size: usize, supervisor: &Supervisor) -> Result<Arc<dyn Metastore>> {
    let pool_size = u32::try_from(pool_size).unwrap_or(u32::MAX);
    let settings = PostgresSettings { pool_size, ..PostgresSettings::default() };
    open_with(url, &settings, Rng::from_entropy(), supervisor).await
}

/// [`open`] with all settings.
///
/// # Errors
/// As [`open`].
pub async fn open_with(
    url: &str,
    settings: &PostgresSettings,
    rng: Rng,
    supervisor: &Supervisor,
) -> Result<Arc<dyn Metastore>> {
    let address = Address::parse(url, settings)?;
    prepare(&address).await?;
    let pool_size = usize::try_from(settings.pool_size).unwrap_or(usize::MAX);
    let database = Database::new(address.clone(), pool_size, rng.clone())?;
    let stop = supervisor.token(TaskKind::Feed).child_token();
    let bell = Bell::default();
    let listening = keep_listening(address, bell.clone(), stop.clone(), rng.clone());
    supervisor.spawn(TaskKind::Feed, "postgres-listen", listening);
    supervisor.spawn(TaskKind::Feed, "postgres-trim", keep_trimming(database.clone(), stop.clone(), rng));
    Ok(Arc::new(PostgresMetastore { database, bell, stop }))
}

/// Checks the server and brings the schema up to date, over a connection of its own.
async fn prepare(address: &Address) -> Result<()> {
    let unavailable = |error: tokio_postgres::Error| MetastoreError::Unavailable(describe(&error));
    let (mut client, connection) = address.config().connect(NoTls).await.map_err(unavailable)?;
    let prepared = async {
        greet(&client).await.map_err(MetastoreError::Unavailable)?;
        migrate(&mut client, address).await
    };
    tokio::select! {
        prepared = prepared => prepared,
        ended = connection => Err(match ended {
            Ok(()) => MetastoreError::Unavailable("the connection was closed".to_owned()),
            Err(error) => unavailable(error),
        }),
    }
}
