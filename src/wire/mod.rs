//! Floor 1: the Kafka protocol as bytes. Frames, headers, the guard before the decoder, and own codecs.
//!
//! ```text
//! socket → frame (size limit, one allocation) → header → guard (shapes) → decoder
//! handler → response header + body, or a list of slices (fetch_response) → one vectored write
//! ```
//!
//! What must hold: nothing is allocated by a length or a count that the bytes at hand do not cover, and record
//! batches stay slices of the frame they came in.

pub mod client;
pub mod fetch_response;
pub mod fields;
pub mod frame;
pub mod guard;
pub mod header;
pub mod message;
pub mod pieces;
pub mod shapes;
pub mod share;
pub mod topic_ids;
