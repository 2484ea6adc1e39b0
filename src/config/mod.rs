//! Floor 2: typed settings.

pub mod agent;
pub mod broker;
pub mod broker_table;
pub mod definition;
pub mod group_table;
pub mod coordinators;
pub mod listeners;
pub mod log;
pub mod console;
pub mod load;
pub mod settings;
pub mod metastore;
pub mod objects;
pub mod topic;
pub mod topic_table;
