//! One prefix, one cluster.
//!
//! ```text
//! towpath-cluster.json    {"format":1,"cluster_id":"7b0c…"}
//! ```
//!
//! Written once with create-if-absent, never changed. An agent with another cluster's metastore would take every
//! object here for garbage: it is turned away before it looks.

use bytes::Bytes;
use uuid::Uuid;

use crate::model::object::ObjectKey;
use crate::object::error::ObjectError;
use crate::object::key::IDENTITY_KEY;
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// What this build writes, and all it reads.
const FORMAT: u32 = 1;

/// The object is tiny; a larger one is not ours.
const IDENTITY_BYTES_MAX: u64 = 4096;

/// Why a prefix can not be used by this cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another cluster lives there.
    #[error("{location} belongs to cluster {found}, this is {ours}: use another prefix, or that cluster's metastore")]
    OtherCluster {
        /// Which prefix.
        location: String,
        /// Whose it is.
        found: Uuid,
        /// Who asked.
        ours: Uuid,
    },
    /// The object is there but says nothing we understand.
    #[error("{location}/{IDENTITY_KEY} does not name a cluster ({reason}): use another prefix")]
    Unreadable {
        /// Which prefix.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ObjectError),
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Identity {
    format: u32,
    cluster_id: Uuid,
}

/// Binds the prefix to `cluster_id`, once and for ever; the same cluster may ask again.
///
/// # Errors
/// When another cluster lives there, with a sentence; or when the store fails.
pub async fn bind(storage: &ObjectStorage, cluster_id: Uuid) -> Result<(), IdentityError> {
    if let Some(found) = bound_to(storage).await? {
        return same(storage, found, cluster_id);
    }
    let text = serde_json::to_vec(&Identity { format: FORMAT, cluster_id })
        .map_err(|error| IdentityError::Store(ObjectError::Refused(error.to_string())))?;
    match storage.put_new(&ObjectKey::from(IDENTITY_KEY), vec![Bytes::from(text)], Purpose::Probe).await {
        Ok(()) => Ok(()),
        // Another agent was faster; perhaps one of ours.
        Err(ObjectError::AlreadyExists(key)) => match bound_to(storage).await? {
            Some(found) => same(storage, found, cluster_id),
            None => Err(IdentityError::Store(ObjectError::NotFound(key))),
        },
        Err(failure) => Err(failure.into()),
    }
}

/// Which cluster the prefix belongs to, `None` when it is unbound.
///
/// # Errors
/// When the object is not readable or the store fails.
pub async fn bound_to(storage: &ObjectStorage) -> Result<Option<Uuid>, IdentityError> {
    let unreadable = |reason: String| IdentityError::Unreadable { location: storage.location().to_owned(), reason };
    let text = match storage.get_whole(&ObjectKey::from(IDENTITY_KEY), IDENTITY_BYTES_MAX, Purpose::Probe).await {
        Ok(text) => text,
        Err(ObjectError::NotFound(_)) => return Ok(None),
        Err(ObjectError::Corrupt { reason, .. }) => return Err(unreadable(reason)),
        Err(failure) => return Err(failure.into()),
    };
    let identity: Identity = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if identity.format != FORMAT {
        return Err(unreadable(format!("format {} is not known to this build", identity.format)));
    }
    Ok(Some(identity.cluster_id))
}

fn same(storage: &ObjectStorage, found: Uuid, ours: Uuid) -> Result<(), IdentityError> {
    if found == ours {
        return Ok(());
    }
    Err(IdentityError::OtherCluster { location: storage.location().to_owned(), found, ours })
}
