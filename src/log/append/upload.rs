//! Makes an object of a buffer and puts it into the store.

use tracing::warn;
use uuid::Uuid;

use crate::base::rng::Rng;
use crate::model::node::NodeIdentity;
use crate::model::object::{ByteRange, ObjectKey};
use crate::model::topic::TopicIdPartition;
use crate::object::error::ObjectError;
use crate::object::key::wal_key;
use crate::object::layout::{WalBatch, WalObject};
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// An object that is in the store and has no offsets yet.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded {
    pub key: ObjectKey,
    pub byte_size: u64,
    /// Where each part went, in the order of the parts.
    pub ranges: Vec<ByteRange>,
}

/// What is to be uploaded: each partition once, sorted.
pub(crate) type Parts = Vec<(TopicIdPartition, Vec<WalBatch>)>;

/// Puts `parts` into the store under a key that was never used before.
///
/// # Errors
/// When the store does not take it. Nothing was sequenced, so the failure is definite even where the PUT's own
/// outcome is unknown: an object that nobody commits is swept some day.
pub(crate) async fn upload(
    storage: &ObjectStorage,
    cluster_id: Uuid,
    writer: NodeIdentity,
    rng: &Rng,
    parts: Parts,
) -> Result<Uploaded, ObjectError> {
    let WalObject { slices, byte_size, ranges } = WalObject::build(cluster_id, writer, parts);
    let mut key = wal_key(rng);
    let mut outcome = storage.put_new(&key, slices.clone(), Purpose::Append).await;
    if let Err(ObjectError::AlreadyExists(taken)) = &outcome {
        // Keys are random, so this is a broken store or a broken generator; once more, and then it is an error.
        warn!(object = %taken, "a fresh object key is taken");
        key = wal_key(rng);
        outcome = storage.put_new(&key, slices, Purpose::Append).await;
    }
    outcome.map(|()| Uploaded { key, byte_size, ranges })
}
