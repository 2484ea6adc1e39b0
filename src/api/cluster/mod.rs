//! Requests about the cluster.

pub mod describe_cluster;
pub mod describe_topic_partitions;
pub mod metadata;
pub mod operations;
pub mod replicas;
pub mod zone;
