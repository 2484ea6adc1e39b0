//! Floor 1: Kafka's nouns as plain values.

pub mod error;
pub mod group;
pub mod node;
pub mod object;
pub mod offset;
pub mod producer;
pub mod topic;
