//! Floor 3: objects. Keys, layout, PUT, ranged GET, cache; knows nothing of the metastore.
//!
//! ```text
//! log/ ──→ cache ──→ store ──→ attempt (limit, hedge, retry, meter) ──→ S3, GCS, Azure, a folder, memory
//!   └─────────────────↑          └── verdict: what an error means
//! metastore/embedded ─┴→ raw (meter)
//! ```
//!
//! *Invariants*
//! - A key is written once, with create-if-absent; nothing is overwritten.
//! - Every call ends in done, refused, or unknown ([`error::ObjectError`] says which).
//! - A range that is shorter than asked for, or fails its CRC, is never handed out and never cached.
//! - No payload byte is copied on its way to the store.
//!
//! *Not here*: offsets, extents and the life of objects (`metastore/`), what to read when (`log/fetch`).

mod attempt;
pub mod cache;
pub mod error;
pub mod footer;
mod hedge;
pub mod identity;
pub mod key;
pub mod layout;
mod limit;
pub mod meter;
pub mod open;
pub mod probe;
mod raw;
mod read;
pub mod store;
mod verdict;
