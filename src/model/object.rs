//! Objects as the metastore and the bucket both name them.

use std::fmt;
use std::sync::Arc;

/// An object's key below the cluster's prefix. Only `object/` makes new ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(pub Arc<str>);

impl ObjectKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ObjectKey {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A run of bytes in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ByteRange {
    /// Where it begins.
    pub position: u64,
    /// How many bytes.
    pub length: u32,
}

impl ByteRange {
    /// The position after the last byte.
    #[must_use]
    pub fn end(self) -> u64 {
        self.position + u64::from(self.length)
    }
}
