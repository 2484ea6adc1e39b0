//! Floor 2: typed settings.

pub mod topic;
