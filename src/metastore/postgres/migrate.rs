//! The schema, built up by numbered files.
//!
//! A change of the schema goes *expand → migrate → contract*: first a migration adds what the new version needs,
//! while older agents go on; then data moves; and only when no older agent runs any more does a later migration
//! remove what nobody uses. Every migration says the oldest schema number an agent must know to work beside it.

use tokio_postgres::Client;

use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::error::describe;
use crate::metastore::postgres::pool::Address;

/// One step of the schema.
struct Migration {
    name: &'static str,
    sql: &'static str,
    /// Agents that know at least this number can work with the schema afterwards.
    needs: i32,
}

/// All steps, numbered from 1. A step that was released is never changed.
const MIGRATIONS: [Migration; 5] = [
    Migration { name: "tables", sql: include_str!("migrations/0001_tables.sql"), needs: 5 },
    Migration { name: "append", sql: include_str!("migrations/0002_append.sql"), needs: 5 },
    Migration { name: "read", sql: include_str!("migrations/0003_read.sql"), needs: 5 },
    Migration { name: "catalog", sql: include_str!("migrations/0004_catalog.sql"), needs: 5 },
    Migration { name: "upkeep", sql: include_str!("migrations/0005_upkeep.sql"), needs: 5 },
];

/// Brings the schema up to what this version knows. Agents that start at once do it one after another.
pub(super) async fn migrate(client: &mut Client, address: &Address) -> Result<()> {
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let transaction = client.transaction().await.map_err(|error| unavailable(&error))?;
    // Another agent may be migrating: wait for it longer than for any statement.
    let prepare = "SET LOCAL statement_timeout = '5min'; SET LOCAL lock_timeout = '5min'";
    transaction.batch_execute(prepare).await.map_err(|error| unavailable(&error))?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('towpath migration of ' || $1, 0))";
    transaction.execute(lock, &[&address.schema()]).await.map_err(|error| unavailable(&error))?;
    // Asked first, since creating needs a right that an existing schema's user may not have.
    let exists = "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($1 || '.schema_migrations') IS NOT NULL";
    let row = transaction.query_one(exists, &[&address.schema()]).await.map_err(|error| unavailable(&error))?;
    let (schema_exists, begun): (bool, bool) = (row.get(0), row.get(1));
    if !schema_exists {
        let create = format!("CREATE SCHEMA {}", address.schema());
        transaction.batch_execute(&create).await.map_err(|error| unavailable(&error))?;
    }
    if !begun {
        let create = "CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, \
                      needs integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())";
        transaction.batch_execute(create).await.map_err(|error| unavailable(&error))?;
    }
    let state = "SELECT coalesce(max(number), 0), coalesce(max(needs), 0) FROM schema_migrations";
    let row = transaction.query_one(state, &[]).await.map_err(|error| unavailable(&error))?;
    let (applied, needs): (i32, i32) = (row.get(0), row.get(1));
    if needs > known {
        return Err(too_new(address.schema(), applied, needs, known));
    }
    for (number, migration) in (1..).zip(&MIGRATIONS).skip(usize::try_from(applied).unwrap_or(0)) {
        transaction.batch_execute(migration.sql).await.map_err(|error| failed(number, migration.name, &error))?;
        let note = "INSERT INTO schema_migrations (number, name, needs) VALUES ($1, $2, $3)";
        let noted = transaction.execute(note, &[&number, &migration.name, &migration.needs]).await;
        noted.map_err(|error| failed(number, migration.name, &error))?;
    }
    transaction.execute("SELECT settle_feed()", &[]).await.map_err(|error| unavailable(&error))?;
    transaction.commit().await.map_err(|error| unavailable(&error))
}

fn too_new(schema: &str, applied: i32, needs: i32, known: i32) -> MetastoreError {
    MetastoreError::Unreadable(format!(
        "the schema {schema} has been migrated to number {applied} by a newer version, and needs agents that know \
         number {needs}; this one knows {known}: run a newer version"
    ))
}

fn failed(number: i32, name: &str, error: &tokio_postgres::Error) -> MetastoreError {
    MetastoreError::Unavailable(format!("migration {number} ({name}) failed: {}", describe(error)))
}

fn unavailable(error: &tokio_postgres::Error) -> MetastoreError {
    MetastoreError::Unavailable(describe(error))
}
