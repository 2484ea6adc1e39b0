//! What integration tests share. Each test file compiles all of it and uses a part.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod postgres;
pub mod s3;
pub mod toxic_store;
