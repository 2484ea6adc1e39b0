//! Requests about the cluster: what it serves, who belongs to it, where things are.

pub mod api_versions;
pub mod describe_cluster;
pub mod describe_topic_partitions;
pub mod find_coordinator;
pub mod metadata;
pub mod operations;
pub mod replicas;
pub mod zone;
