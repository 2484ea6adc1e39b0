//! Gets the bytes of extents: from the cache, or from the store in as few requests as possible.

use std::collections::BTreeMap;

use futures::future::join_all;

use crate::metastore::values::Extent;
use crate::model::object::ObjectKey;
use crate::object::cache::{Heat, RangeCache, Slices, WantedRange};
use crate::object::error::ObjectError;
use crate::object::meter::Purpose;
use crate::object::store::ObjectStorage;

/// Loads extents. Cloning shares the cache.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    pub storage: ObjectStorage,
    pub cache: RangeCache,
}

impl Loader {
    /// One outcome per extent, in order. Extents of one object are loaded together, objects side by side.
    pub(crate) async fn load(&self, extents: &[(Extent, Heat)]) -> Vec<Result<Slices, ObjectError>> {
        // The hot path: one extent, most likely in memory.
        if let [(extent, heat)] = extents {
            return self.load_object(&extent.object, &[wanted(extent)], *heat).await;
        }
        let mut groups: BTreeMap<(&ObjectKey, bool), Vec<usize>> = BTreeMap::new();
        for (index, (extent, heat)) in extents.iter().enumerate() {
            groups.entry((&extent.object, *heat == Heat::Tail)).or_default().push(index);
        }
        let loads = groups.into_iter().map(|((object, is_tail), indices)| async move {
            let ranges: Vec<WantedRange> = indices.iter().map(|&index| wanted(&extents[index].0)).collect();
            let heat = if is_tail { Heat::Tail } else { Heat::Cold };
            let outcomes = self.load_object(object, &ranges, heat).await;
            indices.into_iter().zip(outcomes).collect::<Vec<_>>()
        });
        let mut loaded: Vec<(usize, Result<Slices, ObjectError>)> =
            join_all(loads).await.into_iter().flatten().collect();
        loaded.sort_by_key(|(index, _)| *index);
        loaded.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn load_object(
        &self,
        object: &ObjectKey,
        ranges: &[WantedRange],
        heat: Heat,
    ) -> Vec<Result<Slices, ObjectError>> {
        self.cache.load(&self.storage, object, ranges, heat, Purpose::Fetch).await
    }
}

fn wanted(extent: &Extent) -> WantedRange {
    WantedRange { bytes: extent.bytes, crc: extent.crc }
}
