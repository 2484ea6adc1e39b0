//! Floor 9: the command line. One command is one file or folder; nothing here is needed to serve Kafka.

pub mod agent;
pub mod args;
pub mod bench;
pub mod config_show;
pub mod consume;
pub mod context;
pub mod cost;
pub mod delimiter;
pub mod demo;
pub mod dev;
pub mod doctor;
pub mod error;
pub mod format;
pub mod group;
pub mod kafka;
pub mod latency;
pub mod launch;
pub mod logging;
pub mod output;
pub mod produce;
pub mod run;
pub mod settings_args;
pub mod share;
pub mod signal;
pub mod topic;
pub mod workspace;
