//! Floor 2: typed settings.

pub mod agent;
pub mod broker;
pub mod broker_table;
pub mod console;
pub mod coordinators;
pub mod definition;
pub mod group_rules;
pub mod group_table;
pub mod iso_duration;
pub mod listeners;
pub mod load;
pub mod log;
pub mod metastore;
pub mod objects;
pub mod settings;
pub mod share;
pub mod share_group;
pub mod topic;
pub mod topic_table;
