//! Floor 2: typed settings.

pub mod listeners;
pub mod topic;
