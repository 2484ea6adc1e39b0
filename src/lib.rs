//! Towpath, a diskless Kafka-compatible broker.
//!
//! Folders are floors: a room imports only rooms below its own floor. `docs/ARCHITECTURE.md` draws the house.

pub mod agent;
pub mod api;
pub mod base;
pub mod cli;
pub mod config;
pub mod console;
pub mod coordinator;
pub mod log;
pub mod metastore;
pub mod model;
pub mod object;
pub mod record;
pub mod server;
pub mod wire;
