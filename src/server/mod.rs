//! Floor 7: sockets. Accepts connections, reads frames, runs requests, writes answers in order.
//!
//! ```text
//! listener ── accept, limits ──► connection
//!                                 │  read: idle timeout → length → byte budget → frame → start the request
//!                                 ▼
//!                                pipeline ── run: requests of the connection, concurrently
//!                                 │
//!                                 ▼  write: answers in request order, many slices at once
//! ```
//!
//! Invariants: bytes are charged to the budget before they are read; requests of one connection *start* in the order in
//! which they came and are *answered* in it; a request that waits (a long poll) holds up neither the start nor the
//! execution of a later one; a handler that panics costs its own connection only.
//!
//! Not here: what requests mean (`api/dispatch`).

pub mod budget;
pub mod connection;
pub mod listener;
pub mod metrics;
pub mod pipeline;
