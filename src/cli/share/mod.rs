//! `towpath share`: share groups (KIP-932), which are queues over ordinary topics.

pub mod config;
pub mod consume;
pub mod describe;
pub mod list;
pub mod look;
pub mod peek;
pub mod redrive;
pub mod release;
pub mod reset;
