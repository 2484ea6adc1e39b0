//! Role: the life of objects.

use std::time::Duration;

use async_trait::async_trait;

use crate::metastore::error::Result;
use crate::metastore::values::ObjectState;
use crate::model::object::ObjectKey;

/// The life of objects: committed → dereferenced → forgotten, or tombstoned before any commit.
#[async_trait]
pub trait ObjectLedger: Send + Sync {
    /// What the ledger knows of each key.
    async fn object_states(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectState>>;

    /// Makes a later commit of keys that are not committed impossible; says per key whether it is tombstoned now
    /// (`false`: it is committed). Tombstones are kept for ever, or until [`ObjectLedger::forget`].
    async fn tombstone(&self, keys: Vec<ObjectKey>) -> Result<Vec<bool>>;

    /// Committed objects that no extent has referred to for at least `grace`, at most `limit`.
    async fn dereferenced(&self, grace: Duration, limit: u32) -> Result<Vec<ObjectKey>>;

    /// Drops what is known of dereferenced or tombstoned objects, after their bytes were deleted. Keys that
    /// extents refer to are left alone.
    async fn forget(&self, keys: Vec<ObjectKey>) -> Result<()>;
}
