//! Role: the coordinators' documents.

use std::sync::Arc;

use async_trait::async_trait;

use crate::metastore::error::Result;
use crate::metastore::values::{Document, DocumentKey, DocumentKind, DocumentVersion, DocumentWrite};

/// Versioned documents of the coordinators. Every method is one atomic, durable step.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Documents by key, at one moment; `None` for one that does not exist.
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>>;

    /// Documents of one kind whose names begin with `prefix`, ordered by the bytes of their names, strictly after
    /// `after`, at most `limit`.
    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>>;

    /// Applies all changes or none; answers the new version per put (the version checked, for a `Check`; the last
    /// version it had, or 0, for a `Delete`).
    ///
    /// # Errors
    /// `Conflict` when an expectation does not hold: nothing was applied. `Unknown`: read again and compare.
    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>>;
}
