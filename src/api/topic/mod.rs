//! Requests about topics and configurations.

pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alteration;
pub mod config_rows;
pub mod create_partitions;
pub mod create_topics;
pub mod creation;
pub mod delete_topics;
pub mod describe_configs;
pub mod describe_log_dirs;
pub mod elect_leaders;
pub mod incremental_alter_configs;
pub mod list_config_resources;
pub mod list_partition_reassignments;
pub mod resource;
pub mod settle;
