//! Floor 9: the command line. One command is one file or folder; nothing here is needed to serve Kafka.

pub mod cost;
pub mod error;
pub mod kafka;
pub mod output;
