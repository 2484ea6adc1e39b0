//! Floor 2: typed settings.

pub mod objects;
pub mod topic;
