//! The prefix as a plain object store, counted: what the embedded metastore writes to.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use tokio::time::Instant;

use crate::object::meter::{Meter, Operation, Purpose};

/// Entries of a listing that a store gives per request.
const PAGE_ENTRIES: u64 = 1000;

/// Counts every request under one purpose and changes nothing.
#[derive(Debug)]
pub(crate) struct MeteredStore {
    store: Arc<dyn ObjectStore>,
    gauge: Gauge,
}

#[derive(Clone, Debug)]
struct Gauge {
    meter: Meter,
    purpose: Purpose,
}

impl Gauge {
    /// Counts one request around `request`, unless the store's client refuses it without asking anybody: a folder takes
    /// no attributes, and is asked again without them.
    async fn measure<T>(
        &self,
        operation: Operation,
        bytes_sent: u64,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        let outcome = request.await;
        if !matches!(outcome, Err(Error::NotImplemented { .. } | Error::NotSupported { .. })) {
            self.meter.sent(self.purpose, operation, bytes_sent);
            self.meter.answered(self.purpose, operation, is_failure(&outcome), started.elapsed());
        }
        outcome
    }

    /// Counts a listing's pages as its entries pass.
    fn measure_listing(
        &self,
        listing: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let gauge = self.clone();
        let counted = listing.enumerate().map(move |(index, entry)| {
            if (index as u64).is_multiple_of(PAGE_ENTRIES) && index > 0 {
                gauge.meter.sent(gauge.purpose, Operation::List, 0);
            }
            entry
        });
        self.meter.sent(self.purpose, Operation::List, 0);
        counted.boxed()
    }
}

/// Whether the store failed. That something is not there, or is there already, is an answer to a question.
fn is_failure<T>(outcome: &Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| {
        !matches!(
            error,
            Error::NotFound { .. }
                | Error::AlreadyExists { .. }
                | Error::Precondition { .. }
                | Error::NotModified { .. }
        )
    })
}

impl MeteredStore {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, meter: Meter, purpose: Purpose) -> Self {
        Self { store, gauge: Gauge { meter, purpose } }
    }
}

impl fmt::Display for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.store, f)
    }
}

#[async_trait]
impl ObjectStore for MeteredStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let bytes = payload.content_length() as u64;
        self.gauge.measure(Operation::Put, bytes, self.store.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.gauge.measure(Operation::Put, 0, self.store.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(MeteredUpload { upload, gauge: self.gauge.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let answer = self.gauge.measure(operation, 0, self.store.get_opts(location, options)).await?;
        if operation == Operation::Get {
            let bytes = answer.range.end.saturating_sub(answer.range.start);
            self.gauge.meter.received(self.gauge.purpose, operation, bytes);
        }
        Ok(answer)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let answers = self.gauge.measure(Operation::Get, 0, self.store.get_ranges(location, ranges)).await?;
        let bytes = answers.iter().map(|answer| answer.len() as u64).sum();
        self.gauge.meter.received(self.gauge.purpose, Operation::Get, bytes);
        Ok(answers)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let gauge = self.gauge.clone();
        let counted = self.store.delete_stream(locations).inspect(move |deleted| {
            gauge.meter.sent(gauge.purpose, Operation::Delete, 0);
            if deleted.is_err() {
                gauge.meter.failed(gauge.purpose, Operation::Delete);
            }
        });
        counted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.gauge.measure_listing(self.store.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.gauge.measure_listing(self.store.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.gauge.measure(Operation::List, 0, self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.gauge.measure(Operation::Put, 0, self.store.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.gauge.measure(Operation::Put, 0, self.store.rename_opts(from, to, options)).await
    }
}

/// Counts the steps of a multi-part upload.
#[derive(Debug)]
struct MeteredUpload {
    upload: Box<dyn MultipartUpload>,
    gauge: Gauge,
}

#[async_trait]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (gauge, bytes) = (self.gauge.clone(), data.content_length() as u64);
        let part = self.upload.put_part(data);
        Box::pin(async move { gauge.measure(Operation::Put, bytes, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.gauge.clone().measure(Operation::Put, 0, self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.gauge.clone().measure(Operation::Delete, 0, self.upload.abort()).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::local::LocalFileSystem;
    use object_store::{Attribute, Attributes, ObjectStoreExt, PutMode};

    use super::*;
    use crate::base::metrics::Metrics;

    #[tokio::test]
    async fn only_what_reached_the_store_counts_and_only_its_failures_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        let meter = Meter::new(&Metrics::default());
        let store = MeteredStore::new(folder, meter.clone(), Purpose::Metastore);
        let path = Path::from("one");
        let put = |options: PutOptions| store.put_opts(&path, PutPayload::from_static(b"four"), options);
        let attributes = Attributes::from_iter([(Attribute::ContentType, "text/plain")]);
        let refused = put(PutOptions { attributes, ..PutOptions::default() }).await;
        assert!(matches!(refused, Err(Error::NotImplemented { .. })), "{refused:?}");
        assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
        put(PutMode::Create.into()).await.unwrap();
        let again = put(PutMode::Create.into()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        let count = |operation| meter.counters().of(Purpose::Metastore, operation);
        let (puts, gets) = (count(Operation::Put), count(Operation::Get));
        assert_eq!((puts.requests, puts.errors, puts.bytes_sent), (2, 0, 8));
        assert_eq!((gets.requests, gets.errors), (1, 0));
    }
}
