//! The object store as Towpath uses it: few operations, each with three outcomes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use crate::base::clock::Timestamp;
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::config::objects::ObjectSettings;
use crate::model::object::{ByteRange, ObjectKey};
use crate::object::attempt::{Client, Job};
use crate::object::error::ObjectError;
use crate::object::hedge::Hedging;
use crate::object::limit::Limits;
use crate::object::meter::{Counters, Meter, Operation, Purpose};
use crate::object::open::{self, OpenError, Opened};
use crate::object::raw::MeteredStore;
use crate::object::read::{BodyError, coalesce, cut};
use crate::object::verdict::Verdict;

/// Keys per DELETE request; S3 takes no more.
const DELETE_KEYS_MAX: usize = 1000;

/// Bytes at an object's end that are compared to recognise it as our own.
const RECOGNISE_BYTES: u64 = 4096;

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: ObjectKey,
    /// Its size.
    pub byte_size: u64,
    /// When it was written, by the store's clock.
    pub modified_at: Timestamp,
}

/// One cluster's prefix in an object store. Cloning shares it.
///
/// Every method may be cancelled by dropping its future; a write whose future was dropped may have been applied.
#[derive(Clone, Debug)]
pub struct ObjectStorage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    /// Whether the store lists in order of key.
    lists_sorted: bool,
}

impl ObjectStorage {
    /// Opens the store that `url` names: `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix`,
    /// `az://container/prefix?account=…`, `file:///folder` (made when missing, written with fsync) or `memory:`.
    ///
    /// Credentials come from the environment, as the clouds' own tools read them; `s3://…?anonymous=true` sends none,
    /// for servers that check none. No request is made: [`crate::object::probe::probe`] does.
    ///
    /// # Errors
    /// When the URL is not usable, with a sentence.
    pub fn open(url: &str, settings: &ObjectSettings, rng: Rng, metrics: &Metrics) -> Result<Self, OpenError> {
        Ok(Self::with(open::open(url, settings)?, settings, rng, metrics))
    }

    /// Uses `store` below `prefix` (none when empty): for tests and simulation. As deterministic as the store.
    #[must_use]
    pub fn over(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        settings: &ObjectSettings,
        rng: Rng,
        metrics: &Metrics,
    ) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        let opened = Opened { store, prefix, root: "test:".to_owned(), lists_sorted: false, hint: "" };
        Self::with(opened, settings, rng, metrics)
    }

    fn with(opened: Opened, settings: &ObjectSettings, rng: Rng, metrics: &Metrics) -> Self {
        let Opened { store, prefix, root, lists_sorted, hint } = opened;
        let (store, location): (Arc<dyn ObjectStore>, String) = if prefix.is_empty() {
            (store, root)
        } else {
            let location = format!("{root}/{prefix}");
            (Arc::new(PrefixStore::new(store, prefix)), location)
        };
        let client = Client {
            store,
            location,
            hint,
            settings: settings.clone(),
            rng,
            limits: Limits::new(settings),
            hedging: Hedging::new(settings),
            meter: Meter::new(metrics),
        };
        Self(Arc::new(Inner { client, lists_sorted }))
    }

    /// Where the store is, for people; without credentials.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.0.client.location
    }

    /// Creates an object that must not exist yet; slices go out one after the other without being joined.
    ///
    /// Retried and hedged within the settings' budget. When an attempt's answer was lost and a later one finds the
    /// key taken, the object's size and end are compared: our own bytes are a success.
    ///
    /// # Errors
    /// [`ObjectError::AlreadyExists`] when the key holds other bytes; [`ObjectError::Unknown`] when the write may
    /// have been applied; [`ObjectError::Refused`] and [`ObjectError::Unavailable`] when it certainly was not.
    pub async fn put_new(&self, key: &ObjectKey, payload: Vec<Bytes>, purpose: Purpose) -> Result<(), ObjectError> {
        let client = &self.0.client;
        let path = client.path(key).map_err(|verdict| read_error(verdict, key))?;
        let payload: PutPayload = payload.into_iter().collect();
        let bytes_sent = payload.content_length() as u64;
        let job = Job { purpose, operation: Operation::Put, bytes_sent, bytes_received: 0 };
        // The payload is a list of shared slices: each attempt sends a clone of the list.
        let request = || self.put_once(&path, payload.clone());
        let (mut budget, mut doubtful) = (client.budget(), false);
        loop {
            let attempted = client.hedged(job, &budget, &request).await;
            // Of two requests under way one was abandoned: the key may be taken by it.
            doubtful |= attempted.twice;
            let verdict = match attempted.outcome {
                Ok(()) => return Ok(()),
                Err(Verdict::AlreadyExists) if doubtful => match self.recognise(&path, &payload, purpose).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => return Err(ObjectError::AlreadyExists(key.clone())),
                    Err(Verdict::NotFound) => Verdict::NotApplied("the key was taken and is free again".to_owned()),
                    Err(verdict) => verdict,
                },
                Err(verdict) => verdict,
            };
            doubtful |= matches!(verdict, Verdict::Doubtful(_));
            match verdict {
                Verdict::AlreadyExists => return Err(ObjectError::AlreadyExists(key.clone())),
                verdict if verdict.is_passing() && budget.pause().await => {}
                verdict if doubtful => return Err(ObjectError::Unknown(verdict.sentence())),
                verdict => return Err(read_error(verdict, key)),
            }
        }
    }

    async fn put_once(&self, path: &Path, payload: PutPayload) -> Result<(), Verdict> {
        let client = &self.0.client;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match client.store.put_opts(path, payload, options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(client.judge(Operation::Put, &error)),
        }
    }

    /// Whether the object at `path` has the size and the end of `payload`. (Its footer holds a hash of the rest.)
    async fn recognise(&self, path: &Path, payload: &PutPayload, purpose: Purpose) -> Result<bool, Verdict> {
        let size = payload.content_length() as u64;
        let tail_bytes = size.min(RECOGNISE_BYTES);
        let job = Job { purpose, operation: Operation::Get, bytes_sent: 0, bytes_received: tail_bytes };
        let (start, length) = (size - tail_bytes, tail_bytes as u32);
        let found = self.0.client.call(job, || async move {
            if size == 0 {
                return Ok((self.head_once(path).await?, Bytes::new()));
            }
            let answer = self.get_once(path, Some(start..size)).await?;
            let found_size = answer.meta.size;
            let member = ByteRange { position: start, length };
            let tail = cut(answer, &(start..size), &[member]).await.map_err(|error| self.judge_body(error))?;
            Ok((found_size, tail.into_iter().next().unwrap_or_default()))
        });
        match found.await {
            Ok((found_size, tail)) => Ok(found_size == size && ends_with(payload, &tail)),
            // Shorter than ours.
            Err(Verdict::OutOfRange) => Ok(false),
            Err(verdict) => Err(verdict),
        }
    }

    /// Reads ranges of one object, in the order asked; neighbours share a request. Each answer has exactly the
    /// length asked for.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::Corrupt`] when the object ends before a range does.
    pub async fn get_ranges(
        &self,
        key: &ObjectKey,
        ranges: &[ByteRange],
        purpose: Purpose,
    ) -> Result<Vec<Bytes>, ObjectError> {
        let client = &self.0.client;
        let path = client.path(key).map_err(|verdict| read_error(verdict, key))?;
        let mut answers = vec![Bytes::new(); ranges.len()];
        // Nothing asked is nothing answered: an empty range is no request.
        let wanted: Vec<usize> = (0..ranges.len()).filter(|&index| ranges[index].length > 0).collect();
        let wanted_ranges: Vec<ByteRange> = wanted.iter().map(|&index| ranges[index]).collect();
        let spans = coalesce(&wanted_ranges, client.settings.coalesce_gap_bytes, client.settings.coalesce_bytes_max);
        let reads = spans.iter().map(|span| {
            let members: Vec<ByteRange> = span.members.iter().map(|&index| wanted_ranges[index]).collect();
            self.get_span(&path, span.bytes.clone(), members, purpose)
        });
        let parts = try_join_all(reads).await.map_err(|verdict| read_error(verdict, key))?;
        for (span, parts) in spans.iter().zip(parts) {
            for (&member, part) in span.members.iter().zip(parts) {
                answers[wanted[member]] = part;
            }
        }
        Ok(answers)
    }

    /// One coalesced request, cut into its members.
    async fn get_span(
        &self,
        path: &Path,
        asked: Range<u64>,
        members: Vec<ByteRange>,
        purpose: Purpose,
    ) -> Result<Vec<Bytes>, Verdict> {
        let bytes_received = asked.end - asked.start;
        let job = Job { purpose, operation: Operation::Get, bytes_sent: 0, bytes_received };
        let (asked, members) = (&asked, &members);
        let request = || async move {
            let answer = self.get_once(path, Some(asked.clone())).await?;
            cut(answer, asked, members).await.map_err(|error| self.judge_body(error))
        };
        self.0.client.call(job, request).await
    }

    async fn get_once(&self, path: &Path, range: Option<Range<u64>>) -> Result<GetResult, Verdict> {
        let client = &self.0.client;
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        client.store.get_opts(path, options).await.map_err(|error| client.judge(Operation::Get, &error))
    }

    fn judge_body(&self, error: BodyError) -> Verdict {
        let location = self.location();
        match error {
            BodyError::ObjectTooShort => Verdict::OutOfRange,
            BodyError::WrongLength => Verdict::NotApplied(format!("get on {location}: the body has the wrong length")),
            BodyError::Store(error) => self.0.client.judge(Operation::Get, &error),
        }
    }

    /// Reads a whole object of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::Corrupt`] when it is larger than that or than 4 GiB.
    pub async fn get_whole(&self, key: &ObjectKey, bytes_max: u64, purpose: Purpose) -> Result<Bytes, ObjectError> {
        let client = &self.0.client;
        let path = &client.path(key).map_err(|verdict| read_error(verdict, key))?;
        let request = || async move {
            let answer = self.get_once(path, None).await?;
            let size = answer.meta.size;
            let Some(length) = u32::try_from(size).ok().filter(|_| size <= bytes_max) else {
                return Ok(Err(size));
            };
            let member = ByteRange { position: 0, length };
            let parts = cut(answer, &(0..size), &[member]).await.map_err(|error| self.judge_body(error))?;
            let whole = parts.into_iter().next().unwrap_or_default();
            client.meter.received(purpose, Operation::Get, size);
            Ok(Ok(whole))
        };
        match client.call(Job::small(purpose, Operation::Get), request).await {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(size)) => {
                let reason = format!("it has {size} bytes, at most {bytes_max} were expected");
                Err(ObjectError::Corrupt { key: key.clone(), reason })
            }
            Err(verdict) => Err(read_error(verdict, key)),
        }
    }

    /// An object's size, `None` when it is not there.
    ///
    /// # Errors
    /// When the store can not say.
    pub async fn head_size(&self, key: &ObjectKey, purpose: Purpose) -> Result<Option<u64>, ObjectError> {
        let client = &self.0.client;
        let path = client.path(key).map_err(|verdict| read_error(verdict, key))?;
        match client.call(Job::small(purpose, Operation::Head), || self.head_once(&path)).await {
            Ok(size) => Ok(Some(size)),
            Err(Verdict::NotFound) => Ok(None),
            Err(verdict) => Err(read_error(verdict, key)),
        }
    }

    async fn head_once(&self, path: &Path) -> Result<u64, Verdict> {
        let client = &self.0.client;
        match client.store.head(path).await {
            Ok(meta) => Ok(meta.size),
            Err(error) => Err(client.judge(Operation::Head, &error)),
        }
    }

    /// Deletes objects; those that are not there count as deleted.
    ///
    /// # Errors
    /// When some may be left: repeat with the same keys.
    pub async fn delete(&self, keys: &[ObjectKey], purpose: Purpose) -> Result<(), ObjectError> {
        let client = &self.0.client;
        for keys in keys.chunks(DELETE_KEYS_MAX) {
            let mut paths = Vec::with_capacity(keys.len());
            for key in keys {
                paths.push(client.path(key).map_err(|verdict| read_error(verdict, key))?);
            }
            let request = || self.delete_once(paths.clone());
            match client.call(Job::small(purpose, Operation::Delete), request).await {
                Ok(()) => {}
                Err(Verdict::Refused(sentence)) => return Err(ObjectError::Refused(sentence)),
                Err(verdict) => return Err(ObjectError::Unknown(verdict.sentence())),
            }
        }
        Ok(())
    }

    async fn delete_once(&self, paths: Vec<Path>) -> Result<(), Verdict> {
        let client = &self.0.client;
        let mut deletions = client.store.delete_stream(futures::stream::iter(paths.into_iter().map(Ok)).boxed());
        // Go on after a failure: what can be deleted is, and the whole is tried again.
        let mut worst = Ok(());
        while let Some(deletion) = deletions.next().await {
            match deletion.map_err(|error| client.judge(Operation::Delete, &error)) {
                Ok(_) | Err(Verdict::NotFound) => {}
                Err(verdict) if worst.is_ok() => worst = Err(verdict),
                Err(_) => {}
            }
        }
        worst
    }

    /// Objects below the folder `prefix` (all when empty) after `start_after` in order of key, at most `limit`.
    /// Never used where correctness depends on it: a store may be late to list.
    ///
    /// # Errors
    /// When the store can not say.
    pub async fn list(
        &self,
        prefix: &str,
        start_after: Option<&ObjectKey>,
        limit: usize,
        purpose: Purpose,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        let client = &self.0.client;
        let folder = ObjectKey::from(prefix);
        let folder_path = (!prefix.is_empty()).then(|| client.path(&folder)).transpose();
        let offset = start_after.map(|key| client.path(key)).transpose();
        let (folder_path, offset) =
            folder_path.and_then(|path| Ok((path, offset?))).map_err(|verdict| read_error(verdict, &folder))?;
        let request = || async {
            let listing = match &offset {
                Some(offset) => client.store.list_with_offset(folder_path.as_ref(), offset),
                None => client.store.list(folder_path.as_ref()),
            };
            self.collect_listing(listing, limit, purpose).await
        };
        let listed = client.call(Job::small(purpose, Operation::List), request).await;
        listed.map_err(|verdict| read_error(verdict, &folder))
    }

    /// The first `limit` entries in order of key.
    async fn collect_listing(
        &self,
        mut listing: BoxStream<'static, object_store::Result<ObjectMeta>>,
        limit: usize,
        purpose: Purpose,
    ) -> Result<Vec<ListedObject>, Verdict> {
        let client = &self.0.client;
        let (mut first, mut seen) = (BTreeMap::new(), 0_usize);
        while first.len() < limit || !self.0.lists_sorted {
            let next = listing.try_next().await.map_err(|error| client.judge(Operation::List, &error))?;
            let Some(meta) = next else { break };
            seen += 1;
            if seen.is_multiple_of(DELETE_KEYS_MAX) {
                // The next entry comes with a new page.
                client.meter.sent(purpose, Operation::List, 0);
            }
            let key = ObjectKey::from(meta.location.as_ref());
            let modified_at = Timestamp(meta.last_modified.timestamp_millis());
            first.insert(key.clone(), ListedObject { key, byte_size: meta.size, modified_at });
            if first.len() > limit {
                first.pop_last();
            }
        }
        Ok(first.into_values().collect())
    }

    /// The prefix as a plain [`ObjectStore`], for the embedded metastore: metered as [`Purpose::Metastore`],
    /// without retries of our own.
    #[must_use]
    pub fn raw(&self) -> Arc<dyn ObjectStore> {
        let client = &self.0.client;
        Arc::new(MeteredStore::new(Arc::clone(&client.store), client.meter.clone(), Purpose::Metastore))
    }

    /// What was asked so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.client.meter.counters()
    }
}

/// What a verdict on a call that changed nothing means for its caller.
fn read_error(verdict: Verdict, key: &ObjectKey) -> ObjectError {
    match verdict {
        Verdict::NotFound => ObjectError::NotFound(key.clone()),
        Verdict::AlreadyExists => ObjectError::AlreadyExists(key.clone()),
        Verdict::OutOfRange => {
            ObjectError::Corrupt { key: key.clone(), reason: "it ends before the bytes that were asked for".to_owned() }
        }
        Verdict::Refused(sentence) => ObjectError::Refused(sentence),
        Verdict::NotApplied(sentence) | Verdict::Doubtful(sentence) => ObjectError::Unavailable(sentence),
    }
}

/// Whether `payload` ends with `tail`, slice by slice from behind.
fn ends_with(payload: &PutPayload, mut tail: &[u8]) -> bool {
    for slice in payload.as_ref().iter().rev() {
        let compared = slice.len().min(tail.len());
        let (rest, end) = tail.split_at(tail.len() - compared);
        if slice[slice.len() - compared..] != *end {
            return false;
        }
        tail = rest;
    }
    tail.is_empty()
}
