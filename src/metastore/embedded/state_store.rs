//! State store, embedded.

use std::sync::Arc;

use async_trait::async_trait;

use crate::metastore::embedded::core::Step;
use crate::metastore::embedded::keys::{self, NAME_BYTES_MAX};
use crate::metastore::embedded::records::StoredDocument;
use crate::metastore::embedded::store::EmbeddedMetastore;
use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{
    Document, DocumentChange, DocumentKey, DocumentKind, DocumentPut, DocumentVersion, DocumentWrite, Expect,
};

#[async_trait]
impl StateStore for EmbeddedMetastore {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        let view = self.view()?;
        let read = async {
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.push(view.moment.document(&key).await?.and_then(|stored| document(key, stored)));
            }
            Ok(found)
        };
        self.read(read).await
    }

    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        let view = self.view()?;
        let read = async {
            let mut found = Vec::new();
            let mut rows = view.moment.scan(keys::documents(kind, prefix, after.as_deref())).await?;
            while found.len() < limit as usize
                && let Some((key, value)) = rows.next().await?
            {
                let name = keys::document_name(&key)?.into();
                found.extend(document(DocumentKey { kind, name }, StoredDocument::from_bytes(&value)?));
            }
            Ok(found)
        };
        self.read(read).await
    }

    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        self.step(move |step| Box::pin(async move { step.write_documents(&write).await })).await
    }
}

impl Step {
    /// Applies all changes, or none when an expectation does not hold.
    pub(super) async fn write_documents(&mut self, write: &DocumentWrite) -> Result<Vec<DocumentVersion>> {
        let mut known = Vec::with_capacity(write.puts.len());
        for put in &write.puts {
            if put.key.name.len() > NAME_BYTES_MAX {
                let reason = format!("a document's name is {} bytes long, {NAME_BYTES_MAX} fit", put.key.name.len());
                return Err(MetastoreError::Unavailable(reason));
            }
            let stored = self.moment.document(&put.key).await?;
            if !holds(put.expect, stored.as_ref()) {
                return Err(MetastoreError::Conflict { key: put.key.clone() });
            }
            known.push(stored);
        }
        Ok(write.puts.iter().zip(known).map(|(put, stored)| self.write_document(put, stored)).collect())
    }

    fn write_document(&mut self, put: &DocumentPut, stored: Option<StoredDocument>) -> DocumentVersion {
        let last = stored.as_ref().map_or(0, |stored| stored.version);
        let exists = stored.is_some_and(|stored| stored.body.is_some());
        match &put.change {
            DocumentChange::Put(body) => {
                let fresh = StoredDocument { version: last + 1, body: Some(body.clone()) };
                self.put(keys::document(&put.key), fresh.to_bytes());
                DocumentVersion(fresh.version)
            }
            DocumentChange::Delete => {
                if exists {
                    // The version stays, so that it never repeats.
                    let left = StoredDocument { version: last, body: None };
                    self.put(keys::document(&put.key), left.to_bytes());
                }
                DocumentVersion(last)
            }
            DocumentChange::Check => DocumentVersion(if exists { last } else { 0 }),
        }
    }
}

fn holds(expect: Expect, stored: Option<&StoredDocument>) -> bool {
    let living = stored.filter(|stored| stored.body.is_some());
    match expect {
        Expect::Any => true,
        Expect::Absent => living.is_none(),
        Expect::Version(wanted) => living.is_some_and(|stored| stored.version == wanted.0),
    }
}

fn document(key: DocumentKey, stored: StoredDocument) -> Option<Document> {
    let version = DocumentVersion(stored.version);
    stored.body.map(|body| Document { key, version, body })
}
