//! Floor 2: typed settings.

pub mod coordinators;
pub mod listeners;
pub mod topic;
