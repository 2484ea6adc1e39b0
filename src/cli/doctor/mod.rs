//! `towpath doctor`: is this bucket fit, how fast is it, what will it cost.
//!
//! ```text
//! store (rights, conditional PUT, latency, clock) → metadata (metastore) → bill (forecast)     printed by run
//! ```
//!
//! The embedded metastore is not opened: its one writer may be a running agent, which would be fenced.

pub mod bill;
pub mod finding;
pub mod metadata;
pub mod run;
pub mod store;
