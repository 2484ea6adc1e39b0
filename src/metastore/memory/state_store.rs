//! State store, in memory.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;

use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::memory::state::{DocumentRecord, State};
use crate::metastore::memory::store::MemoryMetastore;
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{
    Document, DocumentChange, DocumentKey, DocumentKind, DocumentPut, DocumentVersion, DocumentWrite, Expect,
};

#[async_trait]
impl StateStore for MemoryMetastore {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        let state = self.step()?;
        Ok(keys.iter().map(|key| document(key, state.documents.get(key)?)).collect())
    }

    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        let state = self.step()?;
        let from = match after {
            Some(after) if after.as_ref() >= prefix => Bound::Excluded(DocumentKey { kind, name: after }),
            _ => Bound::Included(DocumentKey { kind, name: prefix.into() }),
        };
        Ok(state
            .documents
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| key.kind == kind && key.name.starts_with(prefix))
            .filter_map(|(key, record)| document(key, record))
            .take(limit as usize)
            .collect())
    }

    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        let mut state = self.step()?;
        state.check_documents(&write)?;
        Ok(state.apply_documents(&write))
    }
}

impl State {
    /// Whether every expectation holds.
    pub(super) fn check_documents(&self, write: &DocumentWrite) -> Result<()> {
        let holds = |put: &&DocumentPut| {
            let living = self.documents.get(&put.key).filter(|record| record.body.is_some());
            match put.expect {
                Expect::Any => true,
                Expect::Absent => living.is_none(),
                Expect::Version(wanted) => living.is_some_and(|record| record.version == wanted.0),
            }
        };
        match write.puts.iter().find(|put| !holds(put)) {
            Some(put) => Err(MetastoreError::Conflict { key: put.key.clone() }),
            None => Ok(()),
        }
    }

    /// Applies every change; answers the versions.
    pub(super) fn apply_documents(&mut self, write: &DocumentWrite) -> Vec<DocumentVersion> {
        write.puts.iter().map(|put| self.apply_document(put)).collect()
    }

    fn apply_document(&mut self, put: &DocumentPut) -> DocumentVersion {
        let known = self.documents.get_mut(&put.key);
        let version = match (&put.change, known) {
            (DocumentChange::Put(body), Some(record)) => {
                record.version += 1;
                record.body = Some(body.clone());
                record.version
            }
            (DocumentChange::Put(body), None) => {
                self.documents.insert(put.key.clone(), DocumentRecord { version: 1, body: Some(body.clone()) });
                1
            }
            (DocumentChange::Delete, Some(record)) => {
                record.body = None;
                record.version
            }
            (DocumentChange::Check, Some(record)) if record.body.is_some() => record.version,
            (DocumentChange::Check | DocumentChange::Delete, _) => 0,
        };
        DocumentVersion(version)
    }
}

fn document(key: &DocumentKey, record: &DocumentRecord) -> Option<Document> {
    let body = record.body.clone()?;
    Some(Document { key: key.clone(), version: DocumentVersion(record.version), body })
}
