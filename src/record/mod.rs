//! Floor 2: record batches, format version 2 (KIP-98), as zero-copy views over the producers' own bytes.
//!
//! ```text
//! offset  0          8       12           16     17   21          23                27
//!         base_offset|length |leader_epoch|magic |crc |attributes |last_offset_delta|base_timestamp
//!        35            43          51             53            57           61
//!         max_timestamp|producer_id|producer_epoch|base_sequence|record_count|records …
//! ```
//!
//! The CRC-32C covers everything from `attributes` on, so base offset and leader epoch may change on the way out.
//! Records behind the header may be compressed as one run; nothing here reads them unless it is asked to, and
//! decompression always has a limit.

pub mod batch;
pub mod build;
pub mod decompress;
pub mod stamp;
pub mod validate;
pub mod view;
