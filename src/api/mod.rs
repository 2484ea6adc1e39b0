//! Floor 6: the Kafka API. One API is one file; the only room that knows request structs and versions.

pub mod handler;
pub mod services;
