//! Offsets become bytes.
//!
//! ```text
//! locate → plan → load → assemble           driven by reader; wait for long polls
//! ```

pub mod reader;
pub mod values;
