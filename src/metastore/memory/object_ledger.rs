//! Object ledger, in memory.

use std::time::Duration;

use async_trait::async_trait;

use crate::metastore::error::Result;
use crate::metastore::memory::state::ObjectRecord;
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::values::ObjectState;
use crate::model::object::ObjectKey;

#[async_trait]
impl ObjectLedger for MemoryMetastore {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        let state = self.step()?;
        let state_of = |key| match state.objects.get(key) {
            None => ObjectState::Unknown,
            Some(ObjectRecord::Tombstoned) => ObjectState::Tombstoned,
            Some(ObjectRecord::Committed { extent_count, .. }) => {
                ObjectState::Committed { extent_count: *extent_count }
            }
        };
        Ok(keys.iter().map(state_of).collect())
    }

    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        let mut state = self.step()?;
        let mut tombstone = |key| {
            let record = state.objects.entry(key).or_insert(ObjectRecord::Tombstoned);
            matches!(record, ObjectRecord::Tombstoned)
        };
        Ok(keys.into_iter().map(&mut tombstone).collect())
    }

    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        let (state, now) = (self.step()?, self.clock_now());
        let mut due: Vec<_> = state
            .objects
            .iter()
            .filter_map(|(key, record)| match record {
                ObjectRecord::Committed { dereferenced_at: Some(since), .. } => Some((*since, key.clone())),
                ObjectRecord::Committed { dereferenced_at: None, .. } | ObjectRecord::Tombstoned => None,
            })
            .filter(|(since, _)| since.plus(grace) <= now)
            .collect();
        due.sort();
        Ok(due.into_iter().map(|(_, key)| key).take(limit as usize).collect())
    }

    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        let mut state = self.step()?;
        for key in keys {
            if !matches!(state.objects.get(&key), Some(ObjectRecord::Committed { extent_count: 1.., .. })) {
                state.objects.remove(&key);
            }
        }
        Ok(())
    }
}
