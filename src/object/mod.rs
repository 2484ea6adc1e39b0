//! Floor 3: objects. Keys, layout, PUT, ranged GET, cache; knows nothing of the metastore.

pub mod error;
