//! What commands print: tables for people, JSON for programs, both through a pipe.

pub mod json;
pub mod printer;
pub mod table;
pub mod units;
