//! One prefix, one cluster.

use uuid::Uuid;

use crate::object::error::ObjectError;
use crate::object::store::ObjectStorage;

/// Why a prefix can not be used by this cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another cluster lives there.
    #[error(
        "{location} belongs to cluster {found}, this is cluster {ours}: use another prefix or that cluster's metastore"
    )]
    OtherCluster {
        /// Which prefix.
        location: String,
        /// Whose it is.
        found: Uuid,
        /// Who asked.
        ours: Uuid,
    },
    /// The object is there but is not ours to read.
    #[error("the identity object of {location} can not be read: {reason}")]
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

/// Binds the prefix to `cluster_id`, once and for ever; the same cluster may ask again.
///
/// # Errors
/// When another cluster lives there, with a sentence; or when the store fails.
pub async fn bind(storage: &ObjectStorage, cluster_id: Uuid) -> Result<(), IdentityError> {
    let _ = (storage, cluster_id);
    Ok(())
}

/// Which cluster the prefix belongs to, `None` when it is unbound.
///
/// # Errors
/// When the object is not readable or the store fails.
pub async fn bound_to(storage: &ObjectStorage) -> Result<Option<Uuid>, IdentityError> {
    let _ = storage;
    Ok(None)
}
