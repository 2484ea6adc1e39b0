//! A small Kafka client on top of `wire/client`: what the commands need and no more.
//!
//! ```text
//! cluster (who is there) → producer | consumer | group | share_* | offsets        records (bytes ↔ records)
//! ```
//!
//! It speaks to any Kafka-compatible cluster. *Not here:* transactions, compression tuning, metadata caching across
//! commands. Programs use a Kafka client library instead.

pub mod assignment;
pub mod cluster;
pub mod committed;
pub mod configs;
pub mod connection;
pub mod consumer;
pub mod group;
pub mod offsets;
pub mod producer;
pub mod protocol;
pub mod records;
pub mod share_acknowledgements;
pub mod share_admin;
pub mod share_consumer;
pub mod share_member;
pub mod share_session;
