//! The metastore of a single agent, kept in the bucket itself by SlateDB.
//!
//! ```text
//! roles (catalog, batch_index, object_ledger, state_store)
//!   │ step: one at a time, on what was applied        │ read: on what is durable
//!   ▼                                                  ▼
//! engine: core ──applies──▶ SlateDB memory ──flush──▶ bucket ──publishes──▶ view, feed
//! ```
//!
//! *Invariants.* Steps are applied one after another, each as one write batch, and answered only once they are
//! durable; steps that arrive while a flush is under way share the next one (group commit). The first step that
//! waits starts the flush: an idle metastore has no task and writes nothing. Readers see the last durable moment
//! and nothing younger; they see every step that was answered. Memory is bounded: caches of heads and producers,
//! the catalog, the feed's last entries, SlateDB's tables and block cache.
//!
//! *Failure.* SlateDB repeats a failed flush until it succeeds; a caller that waits too long is told `Unknown`.
//! When SlateDB gives up, everything in memory is dropped and read again from the bucket. When another agent
//! opens the same metastore, this one is fenced for good.
//!
//! *Not here.* Beats are not stored: all of them come through this process, and a process that opens the
//! metastore has fenced all others, so nobody else lives.

mod batch_index;
mod catalog;
mod codec;
mod core;
mod engine;
mod keys;
mod object_ledger;
pub mod open;
mod reader;
mod recent;
mod records;
mod state_store;
mod store;
mod time_index;
