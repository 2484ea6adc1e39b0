//! Object ledger, embedded.

use std::time::Duration;

use async_trait::async_trait;

use crate::metastore::embedded::core::Step;
use crate::metastore::embedded::keys;
use crate::metastore::embedded::records::StoredObject;
use crate::metastore::embedded::store::EmbeddedMetastore;
use crate::metastore::error::Result;
use crate::metastore::object_ledger::ObjectLedger;
use crate::metastore::values::ObjectState;
use crate::model::object::ObjectKey;

#[async_trait]
impl ObjectLedger for EmbeddedMetastore {
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>> {
        let view = self.view()?;
        let read = async {
            let mut states = Vec::with_capacity(keys.len());
            for key in &keys {
                states.push(match view.moment.object(key).await? {
                    None => ObjectState::Unknown,
                    Some(StoredObject::Tombstoned) => ObjectState::Tombstoned,
                    Some(StoredObject::Committed { extent_count, .. }) => ObjectState::Committed { extent_count },
                });
            }
            Ok(states)
        };
        self.read(read).await
    }

    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        self.step(move |step| Box::pin(step.tombstone(keys))).await
    }

    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>> {
        let view = self.view()?;
        let read = async {
            let mut due = Vec::new();
            let mut rows = view.moment.scan(keys::dereferenced_until(self.clock_now().minus(grace))).await?;
            while due.len() < limit as usize
                && let Some((key, _)) = rows.next().await?
            {
                due.push(keys::timed_object(&key)?);
            }
            Ok(due)
        };
        self.read(read).await
    }

    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()> {
        self.step(move |step| Box::pin(step.forget(keys))).await
    }
}

impl Step {
    async fn tombstone(&mut self, keys: Vec<ObjectKey>) -> Result<Vec<bool>> {
        let mut tombstoned = Vec::with_capacity(keys.len());
        for key in &keys {
            tombstoned.push(match self.object(key).await? {
                Some(StoredObject::Committed { .. }) => false,
                Some(StoredObject::Tombstoned) => true,
                None => {
                    self.set_object(key, StoredObject::Tombstoned);
                    true
                }
            });
        }
        Ok(tombstoned)
    }

    async fn forget(&mut self, keys: Vec<ObjectKey>) -> Result<()> {
        for key in &keys {
            match self.object(key).await? {
                None | Some(StoredObject::Committed { extent_count: 1.., .. }) => continue,
                Some(StoredObject::Committed { dereferenced_at: Some(since), .. }) => {
                    self.delete(keys::dereferenced(since, key));
                }
                Some(StoredObject::Committed { dereferenced_at: None, .. } | StoredObject::Tombstoned) => {}
            }
            self.delete(keys::object(key));
        }
        Ok(())
    }
}
