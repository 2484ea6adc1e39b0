//! Shapes of requests: what stands where, in which versions. Tables for the guard, a family each.
//!
//! To add an API: describe it in its family (fields in wire order; tagged ones anywhere), add a line to `table`. The
//! tests of `tests/wire` hold the tables against the decoder, API by API and version by version.

pub mod access;
pub mod cluster;
pub mod data;
pub mod field;
pub mod group;
pub mod share;
pub mod table;
pub mod topic;
pub mod transaction;
