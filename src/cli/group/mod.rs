//! `towpath group`: list, describe, delete, reset.

pub mod delete;
pub mod describe;
pub mod lag;
pub mod list;
pub mod reset;
