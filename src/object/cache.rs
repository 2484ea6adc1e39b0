//! A memory of object ranges: byte-bounded, one load per range at a time, only bytes that pass their CRC.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::metrics::Metrics;
use crate::config::objects::ObjectSettings;
use crate::model::object::{ByteRange, ObjectKey};
use crate::object::error::ObjectError;
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// Which share of the memory pays for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heat {
    /// Near a log's end: other consumers will want them soon.
    Tail,
    /// Far behind: a lagging consumer reads them, perhaps once.
    Cold,
}

/// A range that is wanted, with what it must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedRange {
    /// Which bytes of the object.
    pub bytes: ByteRange,
    /// Their CRC-32C.
    pub crc: u32,
}

/// A range's bytes: slices in order, which together are exactly the range.
pub type Slices = Arc<[Bytes]>;

/// The cache. Cloning shares it.
#[derive(Clone, Debug)]
pub struct RangeCache {}

impl RangeCache {
    /// An empty cache of the sizes that `settings` name.
    #[must_use]
    pub fn new(settings: &ObjectSettings, metrics: &Metrics) -> Self {
        let _ = (settings, metrics);
        Self {}
    }

    /// Remembers bytes that this agent itself has just uploaded, as they are: nothing is joined or copied.
    /// `slices` together are exactly `range`.
    pub async fn insert(&self, key: &ObjectKey, range: ByteRange, slices: Vec<Bytes>) {
        let _ = (key, range, slices);
    }

    /// What is remembered of a range.
    pub async fn get(&self, key: &ObjectKey, range: ByteRange) -> Option<Slices> {
        let _ = (key, range);
        None
    }

    /// Ranges of one object, from memory or else from `storage`: one outcome per wanted range, in order. A range
    /// that someone else is loading is waited for. What fails its CRC is an error of that range alone, and is not
    /// remembered. Dropping the future leaves nothing behind that others would wait for.
    pub async fn load(
        &self,
        storage: &ObjectStorage,
        key: &ObjectKey,
        wanted: &[WantedRange],
        heat: Heat,
        purpose: Purpose,
    ) -> Vec<Result<Slices, ObjectError>> {
        let _ = (storage, key, wanted, heat, purpose);
        Vec::new()
    }
}
