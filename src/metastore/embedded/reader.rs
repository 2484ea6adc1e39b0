//! Typed reads at one moment.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use slatedb::config::ScanOptions;
use slatedb::{DbIterator, DbSnapshot};

use crate::metastore::embedded::engine::read_error;
use crate::metastore::embedded::records::{StoredDocument, StoredExtent, StoredHead, StoredObject};
use crate::metastore::embedded::{keys, records};
use crate::metastore::error::Result;
use crate::metastore::values::{CommitReceipt, DocumentKey};
use crate::model::object::ObjectKey;
use crate::model::offset::Offset;
use crate::model::topic::TopicIdPartition;

/// One moment of the store.
#[derive(Clone)]
pub(super) struct Moment(Arc<DbSnapshot>);

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Moment").field(&self.0.seq()).finish()
    }
}

impl Moment {
    pub(super) fn new(snapshot: Arc<DbSnapshot>) -> Self {
        Self(snapshot)
    }

    pub(super) async fn get(&self, key: Vec<u8>) -> Result<Option<Bytes>> {
        self.0.get(key).await.map_err(read_error)
    }

    /// Walks a range of keys in order. The range may be empty.
    pub(super) async fn scan(&self, range: Range<Vec<u8>>) -> Result<Rows> {
        if range.start >= range.end {
            return Ok(Rows(None));
        }
        let options = ScanOptions { cache_blocks: true, ..ScanOptions::default() };
        Ok(Rows(Some(self.0.scan_with_options(range, &options).await.map_err(read_error)?)))
    }

    pub(super) async fn head(&self, partition: TopicIdPartition) -> Result<StoredHead> {
        let found = self.get(keys::head(partition)).await?;
        found.map_or(Ok(StoredHead::default()), |bytes| StoredHead::from_bytes(&bytes))
    }

    pub(super) async fn object(&self, object: &ObjectKey) -> Result<Option<StoredObject>> {
        self.get(keys::object(object)).await?.map(|bytes| StoredObject::from_bytes(&bytes)).transpose()
    }

    pub(super) async fn receipt(&self, object: &ObjectKey) -> Result<Option<CommitReceipt>> {
        self.get(keys::receipt(object)).await?.map(|bytes| records::receipt(&bytes)).transpose()
    }

    pub(super) async fn document(&self, key: &DocumentKey) -> Result<Option<StoredDocument>> {
        self.get(keys::document(key)).await?.map(|bytes| StoredDocument::from_bytes(&bytes)).transpose()
    }

    /// The extent that holds `offset`, or the next one.
    pub(super) async fn extent(&self, partition: TopicIdPartition, offset: Offset) -> Result<Option<StoredExtent>> {
        self.scan(keys::extents_from(partition, offset)).await?.next_extent().await
    }
}

/// Keys and values in order.
pub(super) struct Rows(Option<DbIterator>);

impl Rows {
    pub(super) async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        let Some(rows) = &mut self.0 else { return Ok(None) };
        Ok(rows.next().await.map_err(read_error)?.map(|row| (row.key, row.value)))
    }

    /// The next row of a range of extents.
    pub(super) async fn next_extent(&mut self) -> Result<Option<StoredExtent>> {
        let Some((key, value)) = self.next().await? else { return Ok(None) };
        let (_, last_offset) = keys::extent_of(&key)?;
        StoredExtent::from_bytes(last_offset, &value).map(Some)
    }
}
