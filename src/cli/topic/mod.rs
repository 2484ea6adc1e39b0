//! `towpath topic`: list, create, describe, delete, alter.

pub mod alter;
pub mod create;
pub mod delete;
pub mod describe;
pub mod list;
pub mod pairs;
