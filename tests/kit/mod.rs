//! What tests share.

pub(crate) mod s3;
pub(crate) mod toxic_store;
