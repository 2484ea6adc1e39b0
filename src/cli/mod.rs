//! Floor 9: the command line. One command is one file or folder; nothing here is needed to serve Kafka.

pub mod config_show;
pub mod consume;
pub mod context;
pub mod cost;
pub mod delimiter;
pub mod error;
pub mod format;
pub mod group;
pub mod kafka;
pub mod output;
pub mod produce;
pub mod settings_args;
pub mod signal;
pub mod topic;
