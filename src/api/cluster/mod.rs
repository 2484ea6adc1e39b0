//! Requests about the cluster.
