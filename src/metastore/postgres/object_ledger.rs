//! Object ledger: states, tombstones, and what nothing refers to any more.

use std::time::Duration;

use async_trait::async_trait;

use crate::metastore::error::Result;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::postgres::convert::{column, key_texts, only, signed, unsigned_column};
use crate::metastore::postgres::error::Effect;
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::values::ObjectState;
use crate::model::object::ObjectKey;

#[async_trait]
impl ObjectLedger for PostgresMetastore {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        let statement = "SELECT r.n, o.tombstoned, o.extent_count::bigint FROM unnest($1::text[]) WITH ORDINALITY r(key, n) \
                         JOIN objects o ON o.key = r.key";
        let rows = self.database.query(Effect::Read, statement, &[&key_texts(&keys)]).await?;
        let mut states = vec![ObjectState::Unknown; keys.len()];
        for row in &rows {
            let (place, tombstoned): (usize, bool) = (unsigned_column(row, 0)?, column(row, 1)?);
            let Some(state) = states.get_mut(place.wrapping_sub(1)) else { continue };
            *state = if tombstoned {
                ObjectState::Tombstoned
            } else {
                ObjectState::Committed { extent_count: unsigned_column(row, 2)? }
            };
        }
        Ok(states)
    }

    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.database.query(Effect::Write, "SELECT tombstone($1)", &[&key_texts(&keys)]).await?;
        column(only(&rows)?, 0)
    }

    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        // A deletion of topics that was cut short left extents behind: first finish it.
        self.drop_extents().await?;
        let statement = "SELECT key FROM objects WHERE dereferenced_at IS NOT NULL AND dereferenced_at <= now_ms() - $1 \
                         ORDER BY dereferenced_at, key LIMIT $2";
        let (grace_ms, limit) = (signed(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)), i64::from(limit));
        let rows = self.database.query(Effect::Read, statement, &[&grace_ms, &limit]).await?;
        rows.iter().map(|row| Ok(ObjectKey::from(column::<&str>(row, 0)?))).collect()
    }

    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        let statement = "DELETE FROM objects o USING (SELECT object_id FROM objects WHERE key = ANY($1) \
                         AND extent_count = 0 ORDER BY object_id FOR UPDATE) d WHERE o.object_id = d.object_id";
        self.database.query(Effect::Write, statement, &[&key_texts(&keys)]).await?;
        Ok(())
    }
}
