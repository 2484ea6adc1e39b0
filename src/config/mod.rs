//! Floor 2: typed settings.

pub mod broker;
pub mod broker_table;
pub mod coordinators;
pub mod definition;
pub mod group_table;
pub mod listeners;
pub mod log;
pub mod objects;
pub mod topic;
pub mod topic_table;
