//! What a call to the object store can end in besides success.

use crate::model::object::ObjectKey;

/// Why an object could not be written or read. Every variant says what the caller may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The object is not there.
    #[error("object {0} is not there")]
    NotFound(ObjectKey),
    /// Another object has the key.
    #[error("object {0} exists already")]
    AlreadyExists(ObjectKey),
    /// The store refuses for good (rights, bucket, credentials): an operator must act. Nothing was applied.
    #[error("object store refuses: {0}")]
    Refused(String),
    /// The store fails for now, beyond our retries; nothing was applied.
    #[error("object store unavailable: {0}")]
    Unavailable(String),
    /// The answer was lost beyond our retries; the write may or may not have been applied.
    #[error("object store outcome unknown: {0}")]
    Unknown(String),
    /// The bytes are not what was written.
    #[error("object {key} is corrupt: {reason}")]
    Corrupt {
        /// Which object.
        key: ObjectKey,
        /// What does not match.
        reason: String,
    },
}
