//! Requests about topics and configurations.
