//! Classic consumer groups and committed offsets.

pub mod service;
