//! Floor 2: typed settings.

pub mod coordinators;
pub mod listeners;
pub mod log;
pub mod objects;
pub mod topic;
