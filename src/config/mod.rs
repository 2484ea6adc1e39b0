//! Floor 2: typed settings.

pub mod metastore;
pub mod topic;
