//! Floor 6: the Kafka API. One API is one file; the only room that knows request structs and versions.

pub mod access;
pub mod cluster;
pub mod data;
pub mod dispatch;
pub mod error;
pub mod group;
pub mod handler;
#[cfg(test)]
mod kit;
pub mod lookup;
pub mod services;
pub mod share;
pub mod topic;
pub mod transaction;
