//! Delivery of share groups: what any agent does for ShareFetch and ShareAcknowledge (KIP-932).
//!
//! ```text
//! service ──► lane (one task per group)          one round at a time, while new work gathers:
//!    ▲          take ─► load ─► lapse, acknowledge ─► read ─► acquire ─► store ─► answer
//!    │ nothing to acquire                                                  │
//!    └── watch ◄── the log's news, other requests, locks that end ◄────────┘
//! ```
//!
//! *Sketch.* A round is a group commit: all queued requests of the group, whatever members and partitions, cost one
//! `write_documents`, and nothing at all when nothing changed. A ShareFetch that carries acknowledgements is one write;
//! one that finds nothing is none. Documents are cached decoded, with their versions: in steady state a round asks the
//! metastore nothing besides that write. Record bytes are shared from the range cache to the socket; headers of the
//! acquired batches are copied, once per round. Per round and changed partition the state is copied once and encoded
//! once. Requests to the object store: none, as long as records come from the tail; what is cold is loaded by the
//! request's own task before it queues again, never inside a round for longer than a bound.
//!
//! *Invariants.*
//! - Nothing is answered before it is stored. A lost answer is looked into before anything is decided anew.
//! - A document is written only where its version is the one that was decided on. After a conflict that partition alone
//!   is decided again.
//! - What is refused or found empty on account of memory is looked at once more, fresh, before it is said.
//! - Locks end by the metastore's clock, or when the agent of their holder is over.
//! - Every queue is bounded; a lane that has nothing to do ends.
//!
//! *Not here:* the rules of a share partition (`share/partition`), sessions and versions (`api/share`), who is in the
//! group (`share/group`), what a dead letter looks like (`share/letters`).

mod begin;
mod board;
mod cache;
mod context;
mod counters;
mod fetching;
mod job;
#[cfg(test)]
mod kit;
mod lane;
mod living;
mod look;
pub mod parts;
mod read;
mod round;
mod seat;
pub mod service;
mod store;
mod submit;
mod take;
#[cfg(test)]
mod tests;
mod topics;
mod watch;
mod work;
