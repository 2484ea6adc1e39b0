//! State store: conditional documents.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::metastore::error::{MetastoreError, Result};
use crate::metastore::postgres::convert::{column, only, unsigned, unsigned_column};
use crate::metastore::postgres::error::Effect;
use crate::metastore::postgres::handle::PostgresMetastore;
use crate::metastore::postgres::plan::DocumentColumns;
use crate::metastore::state_store::StateStore;
use crate::metastore::values::{Document, DocumentKey, DocumentKind, DocumentVersion, DocumentWrite};

#[async_trait]
impl StateStore for PostgresMetastore {
    async fn get_documents(&self, keys: Vec<DocumentKey>) -> Result<Vec<Option<Document>>> {
        let kinds: Vec<_> = keys.iter().map(|key| key.kind.as_str()).collect();
        let names: Vec<_> = keys.iter().map(|key| key.name.as_bytes()).collect();
        let statement = "SELECT r.n, d.version, d.body FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY r(kind, name, n) \
                         JOIN documents d ON d.kind = r.kind AND d.name = r.name WHERE d.body IS NOT NULL";
        let rows = self.database.query(Effect::Read, statement, &[&kinds, &names]).await?;
        let mut documents = vec![None; keys.len()];
        for row in &rows {
            let place: usize = unsigned_column(row, 0)?;
            let Some(key) = keys.get(place.wrapping_sub(1)) else { continue };
            let version = DocumentVersion(unsigned_column(row, 1)?);
            let body = Bytes::copy_from_slice(column(row, 2)?);
            documents[place - 1] = Some(Document { key: key.clone(), version, body });
        }
        Ok(documents)
    }

    async fn list_documents(
        &self,
        kind: DocumentKind,
        prefix: &str,
        after: Option<Arc<str>>,
        limit: u32,
    ) -> Result<Vec<Document>> {
        // The end of the prefix's range bounds the scan; no byte of UTF-8 is 0xff, so the last one can grow.
        let mut end = prefix.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let end = (!end.is_empty()).then_some(end);
        let after = after.as_ref().map(|name| name.as_bytes());
        let statement = "SELECT name, version, body FROM documents WHERE kind = $1 AND name >= $2 \
                         AND name < coalesce($3::bytea, '\\xff') AND name > coalesce($4::bytea, '\\x') \
                         AND body IS NOT NULL ORDER BY name LIMIT $5";
        // Nothing sorts before the empty name, so "after nothing" must let that one in.
        let all = "SELECT name, version, body FROM documents WHERE kind = $1 AND name >= $2 \
                   AND name < coalesce($3::bytea, '\\xff') AND $4::bytea IS NULL \
                   AND body IS NOT NULL ORDER BY name LIMIT $5";
        let statement = if after.is_some() { statement } else { all };
        let (kind_text, from, limit) = (kind.as_str(), prefix.as_bytes(), i64::from(limit));
        let rows = self.database.query(Effect::Read, statement, &[&kind_text, &from, &end, &after, &limit]).await?;
        let document = |row| {
            let name = std::str::from_utf8(column(row, 0)?)
                .map_err(|_| MetastoreError::Unreadable("a document's name is not UTF-8".to_owned()))?;
            let key = DocumentKey { kind, name: name.into() };
            let version = DocumentVersion(unsigned_column(row, 1)?);
            Ok(Document { key, version, body: Bytes::copy_from_slice(column(row, 2)?) })
        };
        rows.iter().map(document).collect()
    }

    async fn write_documents(&self, write: DocumentWrite) -> Result<Vec<DocumentVersion>> {
        if write.puts.is_empty() {
            return Ok(Vec::new());
        }
        let columns = DocumentColumns::new(&write);
        let statement = "SELECT conflict, versions FROM write_documents($1, $2, $3, $4, $5)";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&columns.kinds, &columns.names, &columns.expects, &columns.changes, &columns.bodies];
        let rows = self.database.query(Effect::Write, statement, &parameters).await?;
        let row = only(&rows)?;
        let conflict: i32 = column(row, 0)?;
        if conflict > 0 {
            return Err(conflict_at(&write, conflict));
        }
        column::<Vec<i64>>(row, 1)?.into_iter().map(|version| Ok(DocumentVersion(unsigned(version)?))).collect()
    }
}

/// The conflict at a place of the write, counted from 1.
pub(super) fn conflict_at(write: &DocumentWrite, place: i32) -> MetastoreError {
    let put = usize::try_from(place).ok().and_then(|place| write.puts.get(place.wrapping_sub(1)));
    match put {
        Some(put) => MetastoreError::Conflict { key: put.key.clone() },
        None => MetastoreError::Unreadable(format!("a conflict at document {place} of {}", write.puts.len())),
    }
}
