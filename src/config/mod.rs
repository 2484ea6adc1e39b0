//! Floor 2: typed settings.

pub mod log;
pub mod topic;
