//! Floor 2: typed settings.

pub mod coordinators;
pub mod listeners;
pub mod log;
pub mod console;
pub mod load;
pub mod settings;
pub mod objects;
pub mod topic;
