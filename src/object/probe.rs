//! Whether a store can do what Towpath relies on, found out before anything depends on it.
//!
//! `create → create again (must fail) → create by several at once (one may win) → read a range → list → delete`.
//! Some stores take a conditional PUT and ignore the condition; some check it, but not atomically. Both would let two
//! agents write one key, so both are refused.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;

use crate::base::rng::Rng;
use crate::model::object::{ByteRange, ObjectKey};
use crate::object::error::ObjectError;
use crate::object::key::probe_key;
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// What is written; the range that is read back lies in its middle.
const CONTENT: &[u8] = b"towpath probe: this object is deleted again";
/// Which bytes are read back.
const MIDDLE: ByteRange = ByteRange { position: 8, length: 5 };
/// How many try to create one key at once.
const RACERS: u8 = 4;

/// What was tried, and how long each step took.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProbeReport {
    /// Creating an object.
    pub create: Duration,
    /// Finding that it exists already.
    pub create_again: Duration,
    /// Four creations of one key at once.
    pub create_race: Duration,
    /// Reading a range.
    pub read_range: Duration,
    /// Listing.
    pub list: Duration,
    /// Deleting.
    pub delete: Duration,
}

/// Why a store is refused: one sentence that names what is missing and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It overwrites where it must not.
    #[error("{0}")]
    IgnoresConditions(String),
    /// A right, the bucket or the credentials are missing.
    #[error("{0}")]
    Refused(String),
    /// It gives other bytes than were written.
    #[error("{0}")]
    WrongBytes(String),
    /// It does not answer, or not in time.
    #[error("{0}")]
    Unavailable(String),
}

/// Tries everything that Towpath relies on, with objects that are deleted again.
///
/// # Errors
/// When the store is not fit, with a sentence.
pub async fn probe(storage: &ObjectStorage, rng: &Rng) -> Result<ProbeReport, ProbeError> {
    let keys = [probe_key(rng), probe_key(rng)];
    let mut report = ProbeReport::default();
    let tried = try_all(storage, &keys, &mut report).await;
    // Also after a failure; then the first failure is what counts.
    let deleted = timed(&mut report.delete, storage.delete(&keys, Purpose::Probe)).await;
    tried?;
    deleted.map_err(refusal)?;
    Ok(report)
}

async fn try_all(
    storage: &ObjectStorage,
    [key, raced_key]: &[ObjectKey; 2],
    report: &mut ProbeReport,
) -> Result<(), ProbeError> {
    let location = storage.location();
    let create =
        |key: ObjectKey, content: Bytes| async move { storage.put_new(&key, vec![content], Purpose::Probe).await };
    timed(&mut report.create, create(key.clone(), Bytes::from_static(CONTENT))).await.map_err(refusal)?;
    match timed(&mut report.create_again, create(key.clone(), Bytes::from_static(b"overwritten"))).await {
        Err(ObjectError::AlreadyExists(_)) => {}
        Ok(()) => {
            return Err(ProbeError::IgnoresConditions(format!(
                "{location} overwrites an existing object although If-None-Match forbids it: use a store, or a \
                 version of it, with conditional writes"
            )));
        }
        Err(failure) => return Err(refusal(failure)),
    }
    let racers = (0..RACERS).map(|racer| create(raced_key.clone(), Bytes::from(vec![racer; 3])));
    let mut winners = 0;
    for outcome in timed(&mut report.create_race, join_all(racers)).await {
        match outcome {
            Ok(()) => winners += 1,
            Err(ObjectError::AlreadyExists(_)) => {}
            Err(failure) => return Err(refusal(failure)),
        }
    }
    if winners != 1 {
        return Err(ProbeError::IgnoresConditions(format!(
            "{location} let {winners} of {RACERS} concurrent creations of one object succeed: use a store, or a \
             version of it, whose conditional writes are atomic"
        )));
    }
    let read = timed(&mut report.read_range, storage.get_ranges(key, &[MIDDLE], Purpose::Probe)).await;
    let expected = &CONTENT[MIDDLE.position as usize..MIDDLE.end() as usize];
    if read.map_err(refusal)?.first().is_none_or(|bytes| bytes != expected) {
        return Err(ProbeError::WrongBytes(format!(
            "{location} answers a range read with other bytes than were written"
        )));
    }
    // A late listing is nothing to refuse a store for; a forbidden one is.
    timed(&mut report.list, storage.list("probe", None, 1, Purpose::Probe)).await.map_err(refusal)?;
    Ok(())
}

async fn timed<T>(duration: &mut Duration, step: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let outcome = step.await;
    *duration = started.elapsed();
    outcome
}

fn refusal(failure: ObjectError) -> ProbeError {
    match failure {
        ObjectError::Refused(sentence) => ProbeError::Refused(sentence),
        ObjectError::Unavailable(sentence) | ObjectError::Unknown(sentence) => ProbeError::Unavailable(sentence),
        failure @ ObjectError::Corrupt { .. } => ProbeError::WrongBytes(failure.to_string()),
        failure @ (ObjectError::NotFound(_) | ObjectError::AlreadyExists(_)) => {
            ProbeError::WrongBytes(format!("the store contradicts itself: {failure}"))
        }
    }
}
