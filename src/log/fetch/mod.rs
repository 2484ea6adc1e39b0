//! Offsets become bytes.
//!
//! ```text
//! locate → plan → load → assemble           driven by reader, which also waits for long polls
//! ```
//!
//! What always holds:
//! - Whole batches only, with real offsets, in order and without gaps; what fails its checksum is an error of its own
//!   partition and goes no further.
//! - An offset is called out of range only after the metastore was asked.
//! - read_committed ends at the last stable offset, or before: where this agent does not know what was aborted.
//! - Waiting costs nothing: news of a commit wake the reader, nobody polls.
//! - Payload bytes are shared from the cache to the socket; only headers, and batches hardly longer, are copied.

pub mod assemble;
pub mod load;
pub mod locate;
pub mod plan;
pub mod reader;
pub mod values;
