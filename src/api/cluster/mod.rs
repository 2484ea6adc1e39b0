//! Requests about the cluster: what it serves, who belongs to it, where things are.

pub mod api_versions;
pub mod find_coordinator;
