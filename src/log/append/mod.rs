//! Produced batches become durable, sequenced offsets.
//!
//! ```text
//! admit → buffer → upload → commit → settle        driven by writer (the handle) and drive (its task)
//!           ▲ pace                     │
//!           └────────── hold ◄─────────┘
//! atomic: admit → upload → commit with documents → settle        for the server's own records
//! ```
//!
//! What always holds:
//! - Nothing is answered as appended that is not both in the store and sequenced by the metastore.
//! - Order of admission is order of offsets, per producer and partition; commits run in order of sealing.
//! - No outcome is called a failure while it is unknown: that is `RequestTimedOut`.
//! - Payload bytes are shared from the frame to the PUT and to the cache, never copied or joined.
//! - Bytes under way are bounded; what does not fit waits in order.
//!
//! When a stage fails: what can not be uploaded is refused (nothing was sequenced). A commit in doubt is resolved
//! however long it takes, while the commits behind it wait and their callers time out. A fenced agent stops.

pub mod admit;
pub mod atomic;
pub mod buffer;
pub mod commit;
pub mod drive;
pub mod gauges;
pub mod hold;
pub mod pace;
pub mod parts;
pub mod pressure;
pub mod settle;
pub mod upload;
pub mod values;
pub mod writer;
